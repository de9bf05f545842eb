/**
 * Images per second of a whole evaluation, ResNet-18 at 224 pixels: files to logits. Beside it PyTorch with torchvision's transforms and a
 * DataLoader, on the same files, threads and batch. The photographs are those of `imagenet-sample.tar`, six times.
 */
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {writeFullSize} from '../fixtures/full-size.js';
import {openDataset} from '../src/data/open-dataset.js';
import {timeCommand} from './measure.js';

const ROUNDS = 3;
const COPIES = 6;
const archive = join(process.env['GPD_SHARED'] ?? join(process.cwd(), '../shared'), 'data/imagenet-sample.tar');
const python = '/usr/bin/python3';

const torch = `
import glob, json, sys, time, torch, torchvision, torchvision.transforms as T
from PIL import Image
torch.set_num_threads(2)
files = sorted(glob.glob(sys.argv[1] + '/*'))
transform = T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor(), T.Normalize((.485, .456, .406), (.229, .224, .225))])
class Photos(torch.utils.data.Dataset):
    def __len__(self): return len(files)
    def __getitem__(self, i): return transform(Image.open(files[i]).convert('RGB'))
model = torchvision.models.resnet18().eval()
loader = torch.utils.data.DataLoader(Photos(), batch_size=16, num_workers=2)
with torch.no_grad():
    model(torch.zeros(16, 3, 224, 224))
    start = time.time()
    for images in loader: model(images)
print(json.dumps(len(files) / (time.time() - start)))
`;

async function photographs(): Promise<string> {
  const folder = join('build', 'bench', 'photographs');
  if (existsSync(folder)) return folder;
  mkdirSync(folder, {recursive: true});
  const dataset = await openDataset(archive);
  for (const sample of dataset.samples) {
    const bytes = await sample.read();
    for (let copy = 0; copy < COPIES; copy++) writeFileSync(join(folder, `${copy}-${sample.index}.jpeg`), bytes);
  }
  await dataset.close();
  return folder;
}

function student(): string {
  const [checkpoint, model] = ['resnet18_gpd.pth.tar', 'resnet18.onnx'].map((name) => join('build', 'bench', name)) as [
    string,
    string,
  ];
  if (!existsSync(checkpoint)) writeFullSize('resnet18', checkpoint);
  if (!existsSync(model)) timeCommand(['bin/gpd.js', 'convert', checkpoint, '-o', model], 0);
  return model;
}

interface Evaluation {
  timing: {imagesPerSecond: number; elapsedMs: number; cpuMs: number};
  peakBytes: number;
}

export async function benchEval(): Promise<void> {
  if (!existsSync(archive)) return console.log('eval: the photographs are not at hand (data/imagenet-sample.tar)');
  const [folder, model] = [await photographs(), student()];
  const [ours, theirs, busy]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    const {timing} = JSON.parse(timeCommand(['bin/gpd.js', 'eval', model, '--data', folder, '--json'], 0).stdout) as Evaluation;
    ours.push(timing.imagesPerSecond);
    busy.push(timing.cpuMs / timing.elapsedMs);
    const peer = spawnSync(python, ['-c', torch, folder], {encoding: 'utf8'});
    if (peer.status === 0) theirs.push(Number(peer.stdout));
  }
  const list = (values: readonly number[], digits = 1) => values.map((v) => v.toFixed(digits)).join(', ');
  console.log(`eval, ResNet-18, 224 pixels, 360 photographs: ${list(ours)} images/s, ${list(busy, 2)} cores busy`);
  if (theirs.length < ROUNDS) return console.log('PyTorch: not installed (Debian: python3-torch, python3-torchvision)');
  console.log(
    `PyTorch with DataLoader: ${list(theirs)} images/s; ratio ${list(
      ours.map((v, i) => v / theirs[i]!),
      2,
    )}`,
  );
}
