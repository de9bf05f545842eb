/**
 * Images per second from the files of `imagenet-sample.tar`, beside torchvision with PIL: crops alone (decode, resize, crop) and
 * normalised float batches, exactly and with `--fast`. All take turns, pinned to the same cores; ratios are of the same
 * round. CPU time is given too: it is what is left to compare on a busy machine.
 */
import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {cpus} from 'node:os';
import {dirname, join} from 'node:path';
import {createInterface} from 'node:readline';
import {build} from 'esbuild';
import {openDataset} from '../src/data/open-dataset.js';
import {prepare} from '../src/data/prepare.js';
import {recipes} from '../src/data/recipe.js';

const archive = join(process.env['GPD_SHARED'] ?? join(process.cwd(), '../shared'), 'data/imagenet-sample.tar');
const REPEATS = 10; // passes over the archive a round: what starting the threads costs is then small
const child = join('build', 'bench', 'data-child.js');
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

interface Round {
  images: number;
  seconds: number;
  cpu: number;
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
  const ours = (work: string, cores: number) =>
    contender(`gpd, ${work}, ${onCores(cores)}`, cores, process.execPath, [child, archive, String(REPEATS), work]);
  const theirs = (work: string, cores: number) => {
    const args = ['-c', torchvision, archive, String(REPEATS), work, String(cores)];
    return contender(`torchvision, ${work}, ${onCores(cores)}`, cores, python, args);
  };
  const hasTorchvision = spawnSync(python, ['-c', 'import torchvision']).status === 0;
  if (!hasTorchvision) console.log('torchvision is missing, so there is nothing to compare with (Debian: python3-torchvision)');
  const several = cpus().length > 1;
  for (const work of ['crops', 'batches'] as const) {
    const all = [
      ...(hasTorchvision ? [theirs(work, 1), ...(several && work === 'crops' ? [theirs(work, 2)] : [])] : []),
      ...[work, `fast ${work}`].flatMap((way) => [ours(way, 1), ...(several ? [ours(way, 2)] : [])]),
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

/** Words: how many rounds. */
export async function benchData([rounds = '5']: readonly string[]): Promise<void> {
  if (!existsSync(archive)) return console.log(`data: not run, ${archive} is absent`);
  await build({
    entryPoints: ['bench/data-child.ts', 'src/data/decode-worker.ts'], // side by side, where the loader looks for it
    outdir: dirname(child),
    entryNames: '[name]',
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
  });
  await compare(Number(rounds));
  await compareCrops();
}

/** How far fast crops are from exact ones. */
async function compareCrops(): Promise<void> {
  const dataset = await openDataset(archive);
  const means: number[] = [];
  for (const sample of dataset.samples) {
    const file = await sample.read();
    const [exact, fast] = await Promise.all([false, true].map((fast) => prepare(file, {recipe: recipes.cnn(224), fast})));
    means.push(exact!.data.reduce((sum, value, i) => sum + Math.abs(value - fast!.data[i]!), 0) / exact!.data.length);
  }
  await dataset.close();
  const mean = means.reduce((sum, x) => sum + x, 0) / means.length;
  console.log(`fast crops differ from exact ones by ${mean.toFixed(2)} of 255 levels on average (${spread(means)} by image)`);
}
