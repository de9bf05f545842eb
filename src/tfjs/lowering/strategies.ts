/**
 * Several ways to compute the same: which is fastest depends on shapes, provider and machine, and no rule knows it. Each candidate
 * is run once on random numbers of the shapes at hand, and the choice is remembered for the life of the backend.
 */
import {compare} from '../../core/compare.js';
import {trace} from '../../core/debug.js';
import {fillUniform} from '../../core/random.js';
import {elementCount, type Tensor, tensor} from '../../core/tensor.js';
import {modelBytes} from '../../onnx/encode.js';
import type {SyncRuntime} from '../../onnx/sync-session.js';
import {type Form, type Laid, Lowering} from './lowering.js';
import {loweredModel} from './plan.js';
import {type LazyData, LazyValue, physical, toPlain} from './value.js';

/** One way to compute a value from float32 inputs. */
export type Strategy = (g: Lowering, inputs: readonly LazyValue[]) => Laid;
export type Strategies = Readonly<Record<string, Strategy>>;

/**
 * Candidates take turns, so that a slow moment of the machine meets them all; the fastest turn of each counts, because everything else on the
 * machine only ever slows one down. Who is far behind drops out, the sooner the farther: `IN_REACH` has
 * how many times the fastest's time is near enough for each turn. A turn begins with a pause and a run that does not count: the threads of
 * the candidate before still spin for a while, waiting for more.
 */
const IN_REACH = [Number.POSITIVE_INFINITY, 2, 1.5, 1.3, 1.3, 1.2, 1.2];
const RUNS = 2;
const PAUSE = 3; // milliseconds
/** Below so many numbers every way takes microseconds, and measuring takes longer than all the runs that follow. */
const WORTH_MEASURING = 65_536;

const nothing = new Int32Array(new SharedArrayBuffer(4)); // to wait for

export class Chooser {
  /** What was chosen so far. Whoever wants the same bits again keeps it, and gives it to the next process before it computes. */
  readonly chosen = new Map<string, string>();

  constructor(
    private readonly native: SyncRuntime,
    private readonly options: object,
  ) {}

  /** Channels of the processor's block, 16 with AVX-512, 8 with AVX2; undefined where the runtime refuses its operators. */
  get block(): number | undefined {
    if (this.found === undefined) this.found = {block: blockOf(this.native, this.options)};
    return this.found.block;
  }
  private found: {block: number | undefined} | undefined;

  /** The name of the fastest. `what` names the operation with everything but the inputs that its speed may depend on. */
  choose(what: string, inputs: readonly LazyValue[], forms: readonly Form[], strategies: Strategies): string {
    const [first] = Object.keys(strategies) as [string];
    if (inputs.every((v) => elementCount(v.shape) < WORTH_MEASURING)) return first;
    const key = `${what} ${inputs.map((v, i) => `[${v.shape}]${forms[i]!.perm}${forms[i]!.inBlocks ? ' in blocks' : ''}`)}`;
    const known = this.chosen.get(key);
    if (known && Object.hasOwn(strategies, known)) return known; // it may be a file's
    const best = fastestOf(this.candidates(inputs, forms, strategies));
    trace('lazy', () => `${key}: ${best.times.map(({name, ms}) => `${name} ${ms.toFixed(2)} ms`).join(', ')} → ${best.name}`);
    this.chosen.set(key, best.name);
    return best.name;
  }

  /**
   * Those that compute what the first does, each run once. What the runtime refuses, or computes otherwise, is no candidate.
   */
  private candidates(inputs: readonly LazyValue[], forms: readonly Form[], strategies: Strategies): Candidate[] {
    const found: Candidate[] = [];
    let expected: LazyData | undefined;
    for (const [name, strategy] of Object.entries(strategies)) {
      try {
        const candidate = this.open(name, strategy, inputs, forms);
        found.push(candidate);
        const data = candidate.run();
        expected ??= data;
        if (compare(data, expected, {rtol: 1e-4, because: 'float32 sums in another order'}).ok) continue;
        found.pop()!.close();
      } catch (error) {
        if (!expected) throw error; // the first is always right
        if (found.at(-1)?.name === name) found.pop()!.close();
      }
    }
    return found;
  }

  private open(name: string, strategy: Strategy, inputs: readonly LazyValue[], forms: readonly Form[]): Candidate {
    const g = new Lowering({block: this.block, choose: (_what, _inputs, _forms, ways) => Object.keys(ways)[0]!});
    const leaves = inputs.map(({dtype, shape}, i) => {
      const leaf = new LazyValue(dtype, shape);
      const {perm, inBlocks} = forms[i]!;
      leaf.layout = perm;
      g.define(leaf, g.graph.input(`in${i}`, dtype, physical(shape, perm)), perm, inBlocks);
      return leaf;
    });
    const {value, perm, inBlocks} = strategy(g, leaves);
    g.graph.outputs = [g.op('Identity', [value])];
    g.graph.prune();
    const session = this.native.open(modelBytes(loweredModel(g.graph)), this.options);
    const feeds = new Map(leaves.map((leaf, i) => [`in${i}`, randomNumbers(physical(leaf.shape, leaf.layout!), i)]));
    const output = g.graph.outputs[0]!.name;
    const run = () => {
      const result = session.run(feeds, [output]).get(output)!;
      const data = result.data as LazyData;
      const logical = perm.map((_, d) => result.shape[perm.indexOf(d)]!);
      return toPlain(inBlocks ? fromBlocks(data, result.shape, this.block!) : data, logical, perm);
    };
    const time = () => {
      Atomics.wait(nothing, 0, 0, PAUSE);
      session.run(feeds, [output]);
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < RUNS; i++) {
        const start = performance.now();
        session.run(feeds, [output]);
        best = Math.min(best, performance.now() - start);
      }
      return best;
    };
    return {name, run, time, close: session.close};
  }
}

/** One way, compiled for the shapes at hand. */
interface Candidate {
  readonly name: string;
  /** The result on random numbers, in TensorFlow.js's order. */
  run(): LazyData;
  /** Milliseconds. */
  time(): number;
  close(): void;
}

function fastestOf(candidates: readonly Candidate[]): {name: string; times: {name: string; ms: number}[]} {
  const times = candidates.map(({name}) => ({name, ms: Number.POSITIVE_INFINITY}));
  const best = () => times.reduce((a, b) => (b.ms < a.ms ? b : a));
  try {
    for (const factor of IN_REACH) {
      const limit = best().ms * factor;
      const inReach = times.flatMap(({ms}, i) => (ms <= limit ? [i] : []));
      if (inReach.length < 2) break;
      for (const i of inReach) times[i]!.ms = Math.min(times[i]!.ms, candidates[i]!.time());
    }
  } finally {
    for (const candidate of candidates) candidate.close();
  }
  return {name: best().name, times};
}

/** Of an image of two pixels with 32 channels: the second pixel of a channel comes one block after the first. */
function blockOf(native: SyncRuntime, options: object): number | undefined {
  const g = new Lowering();
  const shape = [1, 32, 1, 2];
  g.graph.outputs = [g.intoBlocks(g.graph.input('x', 'float32', shape))];
  try {
    const session = native.open(modelBytes(loweredModel(g.graph)), options);
    const x = tensor(
      'float32',
      shape,
      Float32Array.from({length: elementCount(shape)}, (_, i) => i),
    );
    const [result] = session.run(new Map([['x', x]]), [g.graph.outputs[0]!.name]).values();
    session.close();
    return (result!.data as Float32Array).indexOf(1);
  } catch {
    return undefined;
  }
}

/** Numbers [N, C/B, H, W, B] as [N, C, H, W]. */
function fromBlocks(data: LazyData, [n, c, h, w]: readonly number[], block: number): LazyData {
  return toPlain(data, [n!, c! / block, block, h!, w!], [0, 1, 3, 4, 2]);
}

function randomNumbers(shape: readonly number[], seed: number): Tensor {
  const data = new Float32Array(elementCount(shape));
  fillUniform(data, seed, -1, 1);
  return tensor('float32', shape, data);
}
