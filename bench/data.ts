/**
 * Images per second from the files of `imagenet-sample.tar`, beside torchvision with PIL: crops alone (decode, resize, crop) and
 * normalised float batches. Run: `node scripts/run.js bench/data.ts [rounds]`. All take turns, pinned to the same cores; ratios are of
 * the same round. CPU time is given too: it is what is left to compare on a busy machine.
 */
import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {cpus} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';
import {type Dataset, openDataset} from '../src/data/dataset.js';
import {openDecoder} from '../src/data/decoders.js';
import {loadBatches} from '../src/data/loader.js';
import {recipes} from '../src/data/recipe.js';

const archive = join(process.env['GPD_SHARED'] ?? join(process.cwd(), '../shared'), 'data/imagenet-sample.tar');
const REPEATS = 10; // passes over the archive a round: what starting the threads costs is then small
const python = '/usr/bin/python3';

const torchvision = `
import io, json, multiprocessing, sys, tarfile, time, resource
import numpy, torch, torchvision.transforms as T
from PIL import Image
archive, repeats, what, processes = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
torch.set_num_threads(1)
with tarfile.open(archive) as tar:
    files = [tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()] * repeats
transform = T.Compose([T.Resize(256), T.CenterCrop(224)])
mean, std = (torch.tensor(v).mul(255).view(1, 3, 1, 1) for v in ((.485, .456, .406), (.229, .224, .225)))
def one(data):
    return numpy.asarray(transform(Image.open(io.BytesIO(data)).convert('RGB')))
def length(data):
    return one(data).size
def batch(part):
    crops = torch.stack([torch.from_numpy(one(data).transpose(2, 0, 1).copy()) for data in part])
    return len(crops.float().sub_(mean).div_(std))
def work():
    if what == 'batches':
        return sum(batch(files[i:i + 64]) for i in range(0, len(files), 64))
    if processes == 1:
        return sum(1 for f in files if length(f))
    with multiprocessing.Pool(processes) as pool:
        return len(pool.map(length, files, chunksize=16))
def cpu():
    return sum(r.ru_utime + r.ru_stime for r in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
for line in sys.stdin:
    t, c = time.perf_counter(), cpu()
    n = work()
    print(json.dumps({'images': n, 'seconds': time.perf_counter() - t, 'cpu': cpu() - c}), flush=True)
`;

type Work = 'crops' | 'batches' | 'fast batches';

interface Round {
  images: number;
  seconds: number;
  cpu: number;
}

/** The child's side: one pass for each line of stdin. */
async function serve(work: Work): Promise<void> {
  const dataset = await openDataset(archive);
  const indices = Array.from({length: dataset.samples.length * REPEATS}, (_, i) => i % dataset.samples.length);
  const pass = work === 'crops' ? crops : batches;
  for await (const _ of createInterface({input: process.stdin})) {
    const start = performance.now();
    const before = process.cpuUsage();
    const images = await pass(dataset, indices, work === 'fast batches');
    const {user, system} = process.cpuUsage(before);
    console.log(JSON.stringify({images, seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6}));
  }
}

async function batches(dataset: Dataset, indices: number[], fast: boolean): Promise<number> {
  let images = 0;
  for await (const batch of loadBatches(dataset, {
    recipe: recipes.cnn(224),
    batchSize: 64,
    fast,
    indices,
    reuse: true,
  })) {
    images += batch.labels.length;
  }
  return images;
}

/** As many under way as a batch has, like the loader. */
async function crops(dataset: Dataset, indices: number[], fast: boolean): Promise<number> {
  const decoder = openDecoder();
  const rest = indices.values();
  let images = 0;
  const lane = async () => {
    for (const i of rest) {
      await decoder.prepare(await dataset.samples[i]!.read(), {recipe: recipes.cnn(224), fast});
      images++;
    }
  };
  await Promise.all(Array.from({length: 64}, lane));
  await decoder.close();
  return images;
}

interface Contender {
  readonly name: string;
  readonly round: () => Promise<Round>;
  readonly child: ChildProcess;
}

function contender(name: string, cores: number, command: string, args: string[]): Contender {
  const pinned = process.platform === 'linux' ? ['taskset', '-c', cores === 1 ? '0' : `0-${cores - 1}`] : [];
  const [program, ...rest] = [...pinned, command, ...args] as [string, ...string[]];
  const child = spawn(program, rest, {stdio: ['pipe', 'pipe', 'inherit']});
  const lines = createInterface({input: child.stdout!})[Symbol.asyncIterator]();
  const round = async (): Promise<Round> => {
    child.stdin!.write('go\n');
    const {value, done} = await lines.next();
    if (done) throw new Error(`${name} ended`);
    return JSON.parse(value) as Round;
  };
  return {name, round, child};
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const spread = (values: number[]): string => `${Math.min(...values).toFixed(2)} … ${Math.max(...values).toFixed(2)}`;
const rate = ({images, seconds}: Round) => images / seconds;
const cpuMs = ({images, cpu}: Round) => (cpu / images) * 1000;

const onCores = (cores: number) => `${cores} core${cores > 1 ? 's' : ''}`;

async function compare(rounds: number): Promise<void> {
  const self = fileURLToPath(import.meta.url);
  const ours = (work: Work, cores: number) =>
    contender(`gpd, ${work}, ${onCores(cores)}`, cores, process.execPath, [self, 'serve', work]);
  const theirs = (work: Work, cores: number) => {
    const args = ['-c', torchvision, archive, String(REPEATS), work, String(cores)];
    return contender(`torchvision, ${work}, ${onCores(cores)}`, cores, python, args);
  };
  const hasTorchvision = spawnSync(python, ['-c', 'import torchvision']).status === 0;
  if (!hasTorchvision) console.log('torchvision is missing, so there is nothing to compare with (Debian: python3-torchvision)');
  const several = cpus().length > 1;
  for (const work of ['crops', 'batches'] as const) {
    const all = [
      ...(hasTorchvision ? [theirs(work, 1), ...(several && work === 'crops' ? [theirs(work, 2)] : [])] : []),
      ...[ours(work, 1), ...(several ? [ours(work, 2)] : [])],
      ...(work === 'batches' ? [ours('fast batches', 1)] : []),
    ];
    report(await takeTurns(all, rounds), hasTorchvision ? `torchvision, ${work}, 1 core` : undefined);
  }
}

async function takeTurns(all: readonly Contender[], rounds: number): Promise<Map<string, Round[]>> {
  const results = new Map<string, Round[]>(all.map(({name}) => [name, []]));
  for (let r = 0; r <= rounds; r++) {
    for (const {name, round} of all) {
      const result = await round();
      if (r > 0) results.get(name)!.push(result); // the first warms up
    }
  }
  for (const {child} of all) child.kill();
  return results;
}

function report(results: ReadonlyMap<string, Round[]>, reference: string | undefined): void {
  const base = reference === undefined ? undefined : results.get(reference);
  for (const [name, rounds] of results) {
    const speed = `${median(rounds.map(rate)).toFixed(0)} images/s, ${median(rounds.map(cpuMs)).toFixed(2)} ms CPU an image`;
    const wall = base?.map((b, i) => rate(rounds[i]!) / rate(b));
    const cpu = base?.map((b, i) => cpuMs(b) / cpuMs(rounds[i]!));
    const ratio =
      wall && cpu
        ? `; ${median(wall).toFixed(2)}x torchvision on one core (${spread(wall)}), by CPU time ${median(cpu).toFixed(2)}x (${spread(cpu)})`
        : '';
    console.log(`${name}: ${speed}${ratio}`);
  }
}

const [mode, ...args] = process.argv.slice(2);
if (mode === 'serve') {
  await serve(args[0] as Work);
} else if (existsSync(archive)) {
  await build({
    entryPoints: ['src/data/decode-worker.ts'], // beside this bundle, where the loader looks for it
    outfile: 'build/decode-worker.js',
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
  });
  console.log(`${cpus()[0]!.model}, ${cpus().length} cores; Node ${process.version}`);
  await compare(Number(mode ?? 5));
} else console.log(`not run: ${archive} is absent`);
