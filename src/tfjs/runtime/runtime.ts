/** Plans become sessions, once for each structure, and sessions are run. */
import {dump, trace} from '../../core/debug.js';
import {elementCount, type Tensor, tensor} from '../../core/tensor.js';
import {modelBytes} from '../../onnx/encode.js';
import type {Graph} from '../../onnx/graph.js';
import {readProfiles} from '../../onnx/profile.js';
import {type SyncRuntime, type SyncSession, withoutCopies} from '../../onnx/sync-session.js';
import {printModel} from '../../onnx/text.js';
import {mayOverwrite} from '../lowering/in-place.js';
import {type LoweredPlan, lowerPlan, makePlan, type Plan, planText} from '../lowering/plan.js';
import {scanBlocks} from '../lowering/scan-blocks.js';
import {type ResultPart, splitResults} from '../lowering/split-results.js';
import {Chooser} from '../lowering/strategies.js';
import {
  type FloatPrecision,
  isIdentity,
  type LazyData,
  type LazyValue,
  type Permutation,
  permOf,
  physical,
  physicalType,
} from '../lowering/value.js';
import {inKernelTerms} from './engine-error.js';
import {allFinite, findNonFinite, nonFiniteError} from './find-non-finite.js';
import {type KernelTime, type ProfiledGraph, sumByKernel} from './kernel-times.js';

export interface Compiled extends Omit<LoweredPlan, 'model'> {
  session: SyncSession;
  /** Shapes of inputs and results that the graph takes in blocks, by name. */
  inBlocks: ReadonlyMap<string, readonly number[]>;
  /** Results that are written part by part, by name. */
  parts: ReadonlyMap<string, readonly ResultPart[]>;
  /** Its state stays in the memory of the device. */
  keepsState: boolean;
  /** Recordings that will run it again. */
  users: number;
  /** Which one it is, in messages. */
  id: number;
  /** Kernel calls that it computes. */
  calls: number;
  runs: number;
  /** Whether a wanted value may be written over the numbers of a leaf. */
  mayOverwrite(leaf: number, wanted: number): boolean;
  /** What it was made from, where numbers are checked. */
  plan?: Plan;
}

/** What costs too much to be always on. */
export interface RuntimeSwitches {
  /** Stop at the first number that is not finite, and say which kernel made it. */
  checkNumbers?: boolean;
  /** The provider can keep results in its memory for later runs. */
  keepsState?: boolean;
  /** Long chains of elementwise operators go over large arrays in blocks. */
  scansBlocks?: boolean;
  /** Profile every graph, into files that begin so. */
  profilePrefix?: string;
  /** What float32 tensors are computed in, and kept in. */
  precision?: FloatPrecision;
}

export interface CompileOptions {
  /** Places of wanted values that a later run takes as they are: on a device that can, they stay there. */
  state?: readonly number[];
  /** Every run will have memory for all results, unless they stay on a device. */
  intoMemory?: boolean;
  /** Small results have their dimensions in TensorFlow.js's order. */
  plainly?: boolean;
}

export interface RuntimeStatistics {
  /** Graphs that were compiled, and runs of them. */
  compiled: number;
  runs: number;
  calls: number;
}

/** Kernel calls of the sessions that are kept, about 5 kB each: a program that makes new structures forever must not keep them all. */
const MAX_KEPT_CALLS = 30_000;
/** Numbers in a tensor that one thread computes about as fast as two. */
const SMALL = 16_384;

export class Runtime {
  private readonly cache = new Map<string, Compiled>();
  private opened = 0;
  readonly statistics: RuntimeStatistics = {compiled: 0, runs: 0, calls: 0};

  readonly chooser: Chooser;
  readonly precision: FloatPrecision;

  /** Graphs under profile: where the files of each are, and what its nodes were made for. */
  private readonly profiled: {prefix: string; origins: ReadonlyMap<string, string>; session: SyncSession}[] = [];

  constructor(
    private readonly native: SyncRuntime,
    private readonly options: object,
    private readonly switches: RuntimeSwitches = {},
  ) {
    this.chooser = new Chooser(native, options);
    this.precision = switches.precision ?? 'float32';
  }

  /** Whether results can stay in the memory of a device. */
  get keepsState(): boolean {
    return this.switches.keepsState === true;
  }

  /**
   * Computes the values. Afterwards each has its numbers and has forgotten the call that made it. A failed run changes nothing. `plainly`: small
   * ones have their dimensions in TensorFlow.js's order.
   */
  realize(wanted: readonly LazyValue[], plainly = false): void {
    const pending = wanted.filter((v) => v.producer);
    if (pending.length === 0) return;
    const plan = makePlan(pending);
    const results = this.run(this.compile(plan, {plainly}), plan.leaves);
    this.statistics.calls += plan.calls.length;
    for (const [i, v] of pending.entries()) v.take(results[i]!);
  }

  /**
   * Runs a compiled plan on numbers, in the order of its leaves; gives what was wanted, in order. `into` has memory for some of the
   * results, in their physical order: what onnxruntime allocates itself is only free again after a garbage collection. Where it has
   * memory for all of them, nothing is copied.
   */
  run(
    compiled: Compiled,
    leaves: readonly LazyValue[],
    into: ReadonlyMap<number, Tensor> = new Map(),
  ): {tensor: Tensor; layout: Permutation | undefined}[] {
    const {session, outputNames, inputNames, inBlocks, parts} = compiled;
    const inputs = new Map(leaves.map((leaf, i) => [inputNames[i]!, asTensor(leaf, inBlocks.get(inputNames[i]!))]));
    const given = new Map([...into].map(([i, memory]) => [outputNames[i]!, reshaped(memory, inBlocks.get(outputNames[i]!))]));
    const start = performance.now();
    const results = inKernelTerms(compiled.origins, () => {
      if (compiled.keepsState || given.size < outputNames.length) return session.run(inputs, outputNames, given);
      session.runInto(inputs, new Map([...given].flatMap(([name, t]) => partsOf(name, t, parts, inBlocks))));
      return given;
    });
    this.statistics.runs++;
    compiled.runs++;
    trace('lazy', () => `graph ${compiled.id}: run ${compiled.runs}${since(start)}`);
    const outputs = outputNames.map((name, i) => {
      const layout = compiled.layouts[i]!;
      return {tensor: results.get(name)!, layout: isIdentity(layout) ? undefined : layout};
    });
    if (compiled.plan && !outputs.every(({tensor}) => allFinite(tensor.data as LazyData)))
      this.refuseNonFinite(compiled.plan, leaves);
    return outputs;
  }

  /** The session for a plan: one that is there already, or a new one. */
  compile(plan: Plan, how: CompileOptions = {}): Compiled {
    const {state = [], intoMemory = false, plainly = false} = how;
    const kept = this.keepsState && state.length > 0 ? `\nkept ${state}` : '';
    const splits = intoMemory && !this.keepsState;
    const key = `${plan.key}${kept}${splits ? '\nsplit' : ''}${plainly ? '\nplain' : ''}`;
    const known = this.cache.get(key);
    if (known) {
      this.cache.delete(key); // most recently used last
      this.cache.set(key, known);
      return known;
    }
    const compiled = this.openLowered(plan, this.lower(plan, plainly), state, splits);
    if (this.switches.checkNumbers) compiled.plan = plan;
    this.statistics.compiled++;
    this.cache.set(key, compiled);
    this.keep(Math.max(MAX_KEPT_CALLS, compiled.calls));
    return compiled;
  }

  private lower(plan: Plan, plainly = false): LoweredPlan {
    return lowerPlan(plan, this.precision === 'float32' ? this.chooser : undefined, this.precision, plainly ? SMALL : 0);
  }

  /** A session of its own for a graph that computes a plan, once or several times. It is the caller's to close. */
  openLowered(plan: Plan, {model, ...rest}: LoweredPlan, state: readonly number[], splits = false): Compiled {
    dump('graph', 'step-calls.txt', () => planText(plan));
    dump('graph', 'step.txt', () => printModel(model));
    dump('graph', 'step.onnx', () => modelBytes(model));
    const {profilePrefix} = this.switches;
    const prefix = profilePrefix && `${profilePrefix}-${this.profiled.length}`;
    const profile = prefix && {enableProfiling: true, profileFilePrefix: prefix};
    const keepsState = this.keepsState && state.length > 0;
    const kept = Object.fromEntries(state.map((i) => [rest.outputNames[i]!, 'gpu-buffer']));
    const parts = splits ? splitResults(model.graph) : new Map();
    const inBlocks = this.switches.scansBlocks ? shapesInBlocks(model.graph) : new Map();
    if (!keepsState) withoutCopies(model.graph);
    const options = {...this.optionsFor(plan), ...profile, ...(keepsState && {preferredOutputLocation: kept})};
    const [id, calls, start] = [++this.opened, plan.calls.length, performance.now()];
    const session = inKernelTerms(rest.origins, () => this.native.open(modelBytes(model), options));
    trace('lazy', () => `graph ${id}: ${calls} calls compiled to ${model.graph.nodes.length} nodes${since(start)}`);
    if (prefix) this.profiled.push({prefix, origins: rest.origins, session});
    return {
      ...rest,
      session,
      keepsState,
      inBlocks,
      parts,
      users: 0,
      id,
      calls,
      runs: 0,
      mayOverwrite: this.switches.checkNumbers ? () => false : overwriting(model.graph, rest),
    };
  }

  /** Ends the profiles, and sums what they say. */
  kernelTimes(): KernelTime[] {
    const graphs = this.profiled.map(({prefix, origins, session}): ProfiledGraph => {
      session.endProfile();
      return {origins, runs: readProfiles(`${prefix}_`)};
    });
    return sumByKernel(graphs);
  }

  /** The graph that gave a number that is not finite, once more, with what is in between. */
  private refuseNonFinite(plan: Plan, leaves: readonly LazyValue[]): void {
    const compute = (wanted: readonly LazyValue[]) => {
      const {model, inputNames, outputNames} = this.lower({...plan, wanted});
      const session = this.native.open(modelBytes(model), this.options);
      const used = new Set(model.graph.inputs.map((input) => input.name));
      const feeds = inputNames.flatMap((name, i) => (used.has(name) ? [[name, asTensor(leaves[i]!)] as const] : []));
      try {
        const results = session.run(new Map(feeds), outputNames);
        return outputNames.map((name) => results.get(name)!.data as LazyData);
      } finally {
        session.close();
      }
    };
    const found = findNonFinite(
      plan,
      leaves.map((leaf) => leaf.data!),
      compute,
    );
    if (found) throw nonFiniteError(found);
  }

  /** Every session has a pool of threads of its own, which costs more to start than small tensors take to compute. */
  private optionsFor({calls, leaves}: Plan): object {
    const values = [leaves, ...calls.map((call) => call.outputs)].flat();
    const isSmall = values.every((v) => elementCount(v.shape) < SMALL);
    return isSmall ? {...this.options, intraOpNumThreads: 1} : this.options;
  }

  /** Closes the sessions that no recording uses: each holds as much memory as its largest run took. */
  trim(): void {
    this.keep(0);
  }

  /** Of the sessions that are no recording's, those that were used last, and have so many calls together, stay. */
  private keep(most: number): void {
    let calls = 0;
    for (const [key, compiled] of [...this.cache].reverse()) {
      if (compiled.users > 0) continue;
      calls += compiled.calls;
      if (calls <= most) continue;
      this.cache.delete(key);
      compiled.session.close();
    }
  }

  close(): void {
    for (const {session} of this.cache.values()) session.close();
    this.cache.clear();
  }
}

const since = (start: number): string => `, ${(performance.now() - start).toFixed(1)} ms`;

/** The graph without its numbers is small: it is kept. */
function overwriting(graph: Graph, {inputNames, outputNames}: Omit<LoweredPlan, 'model'>): Compiled['mayOverwrite'] {
  return (leaf, wanted) => {
    const [input, output] = [graph.value(inputNames[leaf]!), graph.value(outputNames[wanted]!)];
    return input !== undefined && output !== undefined && mayOverwrite(graph, input, output);
  };
}

/**
 * A result that is another value in a new shape is that value: what stands behind a graph's last Reshape is copied, everywhere else it is the same
 * memory.
 */
function unwrapResults(graph: Graph): void {
  for (const result of graph.outputs) {
    const value = result.producer?.opType === 'Reshape' ? result.producer.inputs[0]! : undefined;
    if (!value?.producer || graph.outputs.includes(value)) continue;
    graph.outputs = graph.outputs.map((v) => (v === result ? value : v));
    graph.takeName(value, result);
  }
  graph.prune();
}

/** Lets large arrays go through the graph in blocks; gives the inputs and results that are taken so, with their shapes. */
function shapesInBlocks(graph: Graph): Map<string, readonly number[]> {
  const shapes = () => new Map([...graph.inputs, ...graph.outputs].map(({name, dims}) => [name, dims as number[]]));
  const before = shapes();
  unwrapResults(graph);
  scanBlocks(graph);
  return new Map([...shapes()].filter(([name, shape]) => shape.join() !== before.get(name)?.join()));
}

/** The memory of a result, or of each of its parts, with the names of the graph. */
function partsOf(
  name: string,
  whole: Tensor,
  parts: Compiled['parts'],
  inBlocks: Compiled['inBlocks'],
): (readonly [name: string, Tensor])[] {
  const own = parts.get(name);
  if (!own) return [[name, whole]];
  let offset = 0;
  return own.map(({name, shape, size}) => {
    const data = (whole.data as Float32Array<ArrayBuffer>).subarray(offset, offset + size);
    offset += size;
    return [name, tensor(whole.dtype, inBlocks.get(name) ?? shape, data)];
  });
}

const reshaped = (t: Tensor, shape: readonly number[] = t.shape): Tensor =>
  tensor(t.dtype, shape, t.data as Float32Array<ArrayBuffer>);

/** The numbers of a value as they lie, or in another shape. */
export function asTensor(v: LazyValue, shape: readonly number[] = physical(v.shape, permOf(v))): Tensor {
  if (v.resident) return v.resident;
  return tensor(physicalType(v), shape, v.data as Float32Array<ArrayBuffer>);
}
