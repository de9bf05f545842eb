/**
 * Several ways to compute the same: which is fastest depends on shapes, provider and machine, and no rule knows it. Each candidate
 * is run once on random numbers of the shapes at hand, and the choice is remembered for the life of the backend.
 */
import {compare} from '../core/compare.js';
import {trace} from '../core/debug.js';
import {fillUniform} from '../core/random.js';
import {type Tensor, tensor} from '../core/tensor.js';
import {modelBytes} from '../onnx/encode.js';
import type {SyncRuntime} from '../onnx/sync-session.js';
import {type Laid, Lowering} from './lowering.js';
import {loweredModel} from './plan.js';
import {identity, type LazyData, LazyValue, type Permutation, sizeOf, toPlain} from './value.js';

/** One way to compute a value from float32 inputs. */
export type Strategy = (g: Lowering, inputs: readonly LazyValue[]) => Laid;
export type Strategies = Readonly<Record<string, Strategy>>;

/** After one run to warm up; the fastest counts, because everything else on the machine only ever slows a run down. */
const RUNS = 3;
/** Below so many numbers every way takes microseconds, and measuring takes longer than all the runs that follow. */
const WORTH_MEASURING = 65_536;

export class Chooser {
  /** What was chosen so far. Whoever wants the same bits again keeps it, and gives it to the next process before it computes. */
  readonly chosen = new Map<string, string>();

  constructor(
    private readonly native: SyncRuntime,
    private readonly options: object,
  ) {}

  /** The name of the fastest. `what` names the operation with everything but the inputs that its speed may depend on. */
  choose(what: string, inputs: readonly LazyValue[], perms: readonly Permutation[], strategies: Strategies): string {
    const [first] = Object.keys(strategies) as [string];
    if (inputs.every((v) => sizeOf(v.shape) < WORTH_MEASURING)) return first;
    const key = `${what} ${inputs.map((v, i) => `[${v.shape}]${perms[i]}`)}`;
    const known = this.chosen.get(key);
    if (known) return known;
    const reference = this.measure(strategies[first]!, inputs, perms);
    const times = [{name: first, ms: reference.ms}];
    for (const [name, strategy] of Object.entries(strategies).slice(1)) {
      const ms = this.timeIfRight(strategy, inputs, perms, reference.data);
      if (ms !== undefined) times.push({name, ms});
    }
    const best = times.reduce((a, b) => (b.ms < a.ms ? b : a));
    trace('lazy', () => `${key}: ${times.map(({name, ms}) => `${name} ${ms.toFixed(2)} ms`).join(', ')} → ${best.name}`);
    this.chosen.set(key, best.name);
    return best.name;
  }

  /** Undefined where the runtime refuses the graph, or computes something else than the first strategy: it is then no candidate. */
  private timeIfRight(
    strategy: Strategy,
    inputs: readonly LazyValue[],
    perms: readonly Permutation[],
    expected: LazyData,
  ): number | undefined {
    try {
      const {ms, data} = this.measure(strategy, inputs, perms);
      return compare(data, expected, {rtol: 1e-4, because: 'float32 sums in another order'}).ok ? ms : undefined;
    } catch {
      return undefined;
    }
  }

  /** The result in TensorFlow.js's order, and the time of the fastest run. */
  private measure(
    strategy: Strategy,
    inputs: readonly LazyValue[],
    perms: readonly Permutation[],
  ): {ms: number; data: LazyData} {
    const g = new Lowering();
    const leaves = inputs.map(({dtype, shape}, i) => {
      const leaf = new LazyValue(dtype, shape);
      leaf.layout = perms[i] ?? identity(shape.length);
      g.feed(leaf, `in${i}`);
      return leaf;
    });
    const {value, perm} = strategy(g, leaves);
    g.graph.outputs = [g.op('Identity', [value])];
    g.graph.prune();
    const session = this.native.open(modelBytes(loweredModel(g.graph)), this.options);
    try {
      const feeds = new Map(
        leaves.map((leaf, i) => [
          `in${i}`,
          randomNumbers(
            leaf.layout!.map((p) => leaf.shape[p]!),
            i,
          ),
        ]),
      );
      const name = g.graph.outputs[0]!.name;
      let best = Number.POSITIVE_INFINITY;
      let result: Tensor | undefined;
      for (let run = 0; run <= RUNS; run++) {
        const start = performance.now();
        result = session.run(feeds, [name]).get(name);
        if (run > 0) best = Math.min(best, performance.now() - start);
      }
      const physical = result!.shape;
      const logical = perm.map((_, d) => physical[perm.indexOf(d)]!);
      return {ms: best, data: toPlain(result!.data as LazyData, logical, perm)};
    } finally {
      session.close();
    }
  }
}

function randomNumbers(shape: readonly number[], seed: number): Tensor {
  const data = new Float32Array(sizeOf(shape));
  fillUniform(data, seed, -1, 1);
  return tensor('float32', shape, data);
}
