/**
 * Every reference run of the original against ours, on both backends: `npm run test:goldens-train [FOLDER] [--backend NAME] [--precision float64]
 * [--case TEXT]`.
 * FOLDER holds folders in the layout that `gpd train --replay` reads, with the float64 numbers beside them. Fails where one exceeds its bound.
 *
 * A ReLU or a maximum whose operands are equal to the last bits may decide otherwise in float32, and then the gradient jumps: no
 * rounding is wrong, and none is safe. So a run that misses a bound is repeated as neighbours, with every initial weight moved by
 * less than float32 can tell; where one of them is within all bounds, the miss is reported as such a kink.
 */
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {openCheckpoint} from '../src/checkpoint/open.js';
import {tableLines} from '../src/cli/terminal/table.js';
import {fileSource} from '../src/core/bytes.js';
import {random} from '../src/core/random.js';
import {float32, type StateDict, sourceOf, type Tensor} from '../src/core/tensor.js';
import {type BackendName, selectBackend} from '../src/tfjs/backend/select-backend.js';
import {type Replay, replay} from '../src/train/replay/replay.js';
import type {NamedTensors} from '../src/train/step/parameters/named-tensors.js';
import {finalTensors, readReplayFolder} from '../src/workflows/replay.js';

/** Relative to a scalar, and to the largest number of a tensor: what the goldens call ample for float32. */
const SCALAR = 1e-3;
const TENSOR = 1e-4;
/** Tensors that PyTorch's own float32 misses by more than the bound cannot be compared; a few times its own distance is asked of them. */
const INCOMPARABLE = 4;
/** A gradient of exactly zero is rounding noise in float32: it is asked to be small beside the norm of all. */
const ZERO = 1e-9;

const NEIGHBOURS = [...'abcdefgh'];
const ULP = 2 ** -23;

interface Digest {
  n: number;
  l2: number;
  samples: number[];
}
type Digests = Record<string, Digest>;
type Distances = Record<string, readonly [difference: number, largest: number]>;

/** How far the worst is from its bound (1: at the bound), and how many were compared by another bound. */
interface Verdict {
  worst: number;
  where: string;
  lenient: number;
}
const start = (): Verdict => ({worst: 0, where: '', lenient: 0});
function note(verdict: Verdict, share: number, where: string): void {
  if (share <= verdict.worst) return;
  verdict.worst = share; // NaN too: it is not ≤ anything
  verdict.where = where;
}

function scalars(ours: Replay, expected: readonly Record<string, number>[]): Verdict {
  const verdict = start();
  for (const [step, row] of expected.entries()) {
    for (const [name, value] of Object.entries(row)) {
      const got = (ours.steps[step] as unknown as Record<string, number>)[name] ?? Number.NaN;
      const share = value === got ? 0 : Math.abs(got - value) / (SCALAR * Math.abs(value));
      note(verdict, share, `${name} of step ${step}: ${got}, not ${value}`);
    }
  }
  return verdict;
}

const largest = (data: ArrayLike<number>) => Array.from(data).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const norm = (data: ArrayLike<number>) => Math.sqrt(Array.from(data).reduce((sum, v) => sum + v * v, 0));

/** Largest absolute distance to what is known of the right tensor: all numbers in float32, some and the norm in float64. */
function distance(ours: ArrayLike<number>, digest: Digest | undefined, whole: ArrayLike<number> | undefined): number {
  const apart = (a: number, b: number) => (Object.is(a, b) ? 0 : Math.abs(a - b));
  const ofWhole = whole ? largest(Array.from(whole, (v, i) => apart(Number(v), Number(ours[i])))) : 0;
  if (!digest) return ofWhole;
  const last = digest.samples.length - 1;
  const at = (i: number) => Math.floor((i * (digest.n - 1)) / Math.max(1, last));
  const ofSamples = largest(digest.samples.map((v, i) => apart(v, Number(ours[at(i)]))));
  return Math.max(ofWhole, ofSamples, apart(norm(ours), digest.l2) / Math.sqrt(digest.n));
}

interface Expected {
  digests: Digests;
  whole: StateDict;
  prefix: string;
  /** Tensors without a true value: their bound. */
  lenient: (key: string) => number | undefined;
}

function tensors(ours: NamedTensors, {digests, whole, prefix, lenient}: Expected): Verdict {
  const verdict = start();
  const wholeKeys = [...whole.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  for (const key of new Set([...Object.keys(digests), ...wholeKeys])) {
    const data = ours.get(key)?.data;
    if (!data) {
      note(verdict, Number.NaN, `${key} is missing`);
      continue;
    }
    const numbers = Float64Array.from(data as ArrayLike<number>, Number);
    const apart = distance(numbers, digests[key], whole.get(prefix + key)?.read().data as Float32Array | undefined);
    const own = lenient(key);
    if (own !== undefined) verdict.lenient++;
    const bound = Math.max(own ?? 0, TENSOR * Math.max(largest(numbers), Number.MIN_VALUE));
    note(verdict, apart / bound, `${key}: ${apart.toExponential(1)} off, largest ${largest(numbers).toExponential(1)}`);
  }
  return verdict;
}

/** The same state dict with each number moved by up to 2^-23 of itself. */
function neighbour(stateDict: StateDict, seed: string): StateDict {
  const stream = random(`neighbour ${seed}`);
  const moved = (v: number) => v * (1 + ULP * (2 * stream.uniform() - 1));
  return new Map(
    [...stateDict].map(([key, source]) => {
      const tensor = source.read();
      return [key, sourceOf(isFloat32(tensor) ? float32(tensor.shape, Float32Array.from(tensor.data, moved)) : tensor)];
    }),
  );
}
const isFloat32 = (t: Tensor): t is Tensor<'float32'> => t.dtype === 'float32';

async function compareCase(folder: string, seed?: string): Promise<Record<string, Verdict>> {
  const json = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const stored = (name: string) => openCheckpoint(fileSource(join(folder, name))).stateDict;
  const [trajectory, digest, own] = [json('trajectory64.json'), json('digest64.json'), json('f32_vs_f64.json')];
  let gradients: NamedTensors = new Map();
  const files = readReplayFolder(folder);
  const initial = seed === undefined ? files.initial : neighbour(files.initial, seed);
  const result = await replay(
    {...files, initial},
    {
      compat: 'reference',
      onGradients: (tensors) => {
        gradients = tensors;
      },
    },
  );
  const isZero = (key: string) => digest.grads_step1[key]?.l2 < ZERO * trajectory.steps[0].grad_norm;
  const distances = own.final_model_maxabsdiff_maxabs as Distances;
  /** What a weight of zero gradient may have moved: noise of that size times the rates, or up to the whole rate under AdamW. */
  const rates = trajectory.steps.reduce((sum: number, {lr}: {lr: number}) => sum + lr, 0);
  const noise = trajectory.config ? TENSOR * trajectory.steps[0].grad_norm * rates : rates;
  /** Under AdamW the part of a bias that has no gradient walks at random, and the means of the batch norm behind it follow. */
  const walks = (key: string) => !trajectory.config && /attn\.qkv\.bias$|\.(tiny_)?running_mean$/.test(key);
  const incomparable = (key: string) => {
    const [difference, size] = distances[key] ?? [0, 1];
    if (isZero(key) || walks(key)) return Math.max(noise, INCOMPARABLE * difference);
    return difference > TENSOR * size ? INCOMPARABLE * difference : undefined;
  };
  const final = stored('final.safetensors');
  const logits = stored('logits.safetensors');
  const numbers = (key: string) => Array.from((logits.get(key)?.read().data ?? []) as Float32Array);
  /** Those of PyTorch's own float32 run, a few times; at least what is asked of a scalar. */
  const ofLogits = (key: string) => {
    const [single, double] = [numbers(`f32.eval.${key}`), numbers(`f64.eval.${key}`)];
    return Math.max(SCALAR * largest(double), INCOMPARABLE * largest(double.map((v, i) => v - single[i]!)));
  };
  const finals = finalTensors(result.final);
  const under = (prefix: string) =>
    new Map([...finals].flatMap(([k, t]) => (k.startsWith(prefix) ? [[k.slice(prefix.length), t] as const] : [])));
  return {
    scalars: scalars(result, trajectory.steps),
    gradients: tensors(gradients, {
      digests: digest.grads_step1,
      whole: stored('grads_step1.safetensors'),
      prefix: '',
      lenient: (key) => (isZero(key) ? TENSOR * trajectory.steps[0].grad_norm : undefined),
    }),
    weights: tensors(under('model.'), {digests: digest.final_model, whole: final, prefix: 'model.', lenient: incomparable}),
    averages: tensors(under('ema.'), {digests: digest.final_ema, whole: final, prefix: 'ema.', lenient: incomparable}),
    teacher: tensors(under('teacher.'), {digests: {}, whole: final, prefix: 'teacher.', lenient: () => undefined}),
    evaluation: tensors(result.evaluation, {digests: {}, whole: logits, prefix: 'f64.eval.', lenient: ofLogits}),
  };
}

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {backend: {type: 'string'}, case: {type: 'string', default: ''}, precision: {type: 'string', default: 'float32'}},
});
const root = positionals[0] ?? join(process.env['GPD_SHARED'] ?? '../shared', 'goldens/train');
const folders = existsSync(root) ? readdirSync(root).filter((name) => existsSync(join(root, name, 'digest64.json'))) : [];
const backends = values.backend ? [values.backend as BackendName] : (['onnxruntime', 'cpu'] as const);
console.log(
  `${folders.length} runs in ${root}; 1.00 is the bound: ${SCALAR} of a scalar, ${TENSOR} of the largest number of a tensor`,
);
const failures: string[] = [];
const kinks: string[] = [];
const holds = (verdicts: Record<string, Verdict>) => Object.values(verdicts).every(({worst}) => worst <= 1);

async function neighbourThatHolds(folder: string): Promise<string | undefined> {
  for (const seed of NEIGHBOURS) if (holds(await compareCase(folder, seed))) return seed;
  return undefined;
}

for (const backend of backends) {
  await selectBackend(backend, {precision: values.precision as 'float32' | 'float64'});
  const names = ['scalars', 'gradients', 'weights', 'averages', 'teacher', 'evaluation'];
  const rows = [['run', 'backend', 's', ...names]];
  for (const name of folders.filter((folder) => folder.includes(values.case))) {
    const started = performance.now();
    const verdicts = await compareCase(join(root, name));
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const shown = ({worst, lenient}: Verdict) => worst.toFixed(3) + (lenient > 0 ? ` (${lenient})` : '');
    rows.push([name, backend, seconds, ...names.map((column) => shown(verdicts[column]!))]);
    const missed = Object.entries(verdicts).flatMap(([what, {worst, where}]) =>
      worst <= 1 ? [] : [`${name} on ${backend}, ${what}: ${where}`],
    );
    const near = missed.length > 0 ? await neighbourThatHolds(join(root, name)) : undefined;
    if (near === undefined) failures.push(...missed);
    else kinks.push(...missed.map((miss) => `${miss}; neighbour ${near} is within all bounds`));
    console.error(`${name} on ${backend}: ${seconds} s`);
  }
  for (const line of tableLines(rows, [{}, {}, ...names.map(() => ({align: 'right'}) as const), {align: 'right'}]))
    console.log(line);
}
console.log(
  'in brackets: tensors without a true value, where PyTorch in float32 misses the bound itself, or a gradient is exactly zero',
);
for (const kink of kinks) console.log(`KINK ${kink}`);
for (const failure of failures) console.log(`FAILED ${failure}`);
if (failures.length > 0 || folders.length === 0) process.exitCode = 1;
