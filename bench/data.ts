/**
 * Images per second, from the files of `imagenet-sample.tar` to normalised batches, beside torchvision with PIL doing decode, resize
 * and crop (it is not asked to normalise). Run: `node scripts/run.js bench/data.ts [rounds]`. The two take turns, each pinned to the
 * same cores; ratios are of neighbouring rounds. CPU time a round is given too: it is what is left to compare on a busy machine.
 */
import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {cpus} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';
import {openDataset} from '../src/data/dataset.js';
import {loadBatches} from '../src/data/loader.js';
import {recipes} from '../src/data/recipe.js';

const archive = join(process.env['GPD_SHARED'] ?? join(process.cwd(), '../shared'), 'data/imagenet-sample.tar');
const REPEATS = 10; // passes over the archive a round: what starting the threads costs is then small
const python = '/usr/bin/python3';

const torchvision = `
import io, json, multiprocessing, sys, tarfile, time, resource
from PIL import Image
import torchvision.transforms as T
archive, repeats, processes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with tarfile.open(archive) as tar:
    files = [tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()] * repeats
transform = T.Compose([T.Resize(256), T.CenterCrop(224)])
def one(data):
    return len(transform(Image.open(io.BytesIO(data)).convert('RGB')).tobytes())
def cpu():
    return sum(r.ru_utime + r.ru_stime for r in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
for line in sys.stdin:
    t, c = time.perf_counter(), cpu()
    if processes == 1:
        n = sum(1 for f in files if one(f))
    else:
        with multiprocessing.Pool(processes) as pool:
            n = len(pool.map(one, files, chunksize=16)); pool.close(); pool.join()
    print(json.dumps({'images': n, 'seconds': time.perf_counter() - t, 'cpu': cpu() - c}), flush=True)
`;

interface Round {
  images: number;
  seconds: number;
  cpu: number;
}

/** The child's side: one pass for each line of stdin. */
async function serve(workers: number, fast: boolean): Promise<void> {
  const dataset = await openDataset(archive);
  const indices = Array.from({length: dataset.samples.length * REPEATS}, (_, i) => i % dataset.samples.length);
  for await (const _ of createInterface({input: process.stdin})) {
    const start = performance.now();
    const before = process.cpuUsage();
    let images = 0;
    for await (const batch of loadBatches(dataset, {recipe: recipes.cnn(224), batchSize: 64, workers, fast, indices})) {
      images += batch.labels.length;
    }
    const {user, system} = process.cpuUsage(before);
    console.log(JSON.stringify({images, seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6}));
  }
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

async function compare(rounds: number): Promise<void> {
  const self = fileURLToPath(import.meta.url);
  const ours = (cores: number, mode: 'exact' | 'fast') =>
    contender(`gpd ${mode}, ${cores} core${cores > 1 ? 's' : ''}`, cores, process.execPath, [
      self,
      'serve',
      String(cores),
      mode,
    ]);
  const theirs = (cores: number) =>
    contender(`torchvision, ${cores} core${cores > 1 ? 's' : ''}`, cores, python, [
      '-c',
      torchvision,
      archive,
      String(REPEATS),
      String(cores),
    ]);
  const hasTorchvision = spawnSync(python, ['-c', 'import torchvision']).status === 0;
  if (!hasTorchvision) console.log('torchvision is missing, so there is nothing to compare with (Debian: python3-torchvision)');
  const counts = cpus().length > 1 ? [1, 2] : [1];
  const all = [...(hasTorchvision ? counts.map(theirs) : []), ...counts.flatMap((n) => [ours(n, 'exact'), ours(n, 'fast')])];
  const results = new Map<string, Round[]>(all.map(({name}) => [name, []]));
  for (let r = 0; r <= rounds; r++) {
    for (const {name, round} of all) {
      const result = await round();
      if (r > 0) results.get(name)!.push(result); // the first warms up
    }
  }
  for (const {child} of all) child.kill();
  report(results);
}

function report(results: ReadonlyMap<string, Round[]>): void {
  const base = results.get('torchvision, 1 core');
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
  await serve(Number(args[0]), args[1] === 'fast');
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
