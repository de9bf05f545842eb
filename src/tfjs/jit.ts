/**
 * jit: a function of tensors is recorded once and afterwards replayed as one session, without TensorFlow.js in between.
 *
 * The first call runs normally, so that optimisers can make their slots. The second is recorded: what is returned and what was
 * assigned to variables becomes the outputs of one graph, arguments and variables become its inputs. That graph computes this call
 * and later ones. A call with other shapes or dtypes is recorded on its own. Numbers that are neither argument nor variable are
 * constants of the recording; where such a tensor has been disposed since (an optimiser's new learning rate), the function is recorded again.
 */
import {engine, type Tensor, tidy, type Variable} from '@tensorflow/tfjs-core';
import {debugging} from '../core/debug.js';
import {BACKEND_NAME, type OnnxruntimeBackend} from './backend.js';
import {typeText} from './describe.js';
import {
  changedVariable,
  disposedArgument,
  MAX_SIGNATURES,
  madeVariable,
  sharedData,
  tooManyShapes,
  wrongBackend,
} from './jit-errors.js';
import {traceStepLeaks} from './leak-check.js';
import {makePlan, type Plan} from './plan.js';
import {record} from './record.js';
import type {Compiled} from './runtime.js';
import {VariableMemory} from './step-memory.js';
import {type LazyDType, LazyValue, permOf, type TypedShape} from './value.js';

// biome-ignore lint/suspicious/noConfusingVoidType: a step that returns nothing is a function of type void
export type JitResult = Tensor | Tensor[] | null | undefined | void;
export interface Jitted<A extends Tensor[], R extends JitResult> {
  (...args: A): R;
  /** How often the function was recorded. */
  readonly recordings: number;
}

/** Where the numbers of one input of the graph come from, and the shape in which it takes them. */
export type Source = {shape: readonly number[]} & (
  | {kind: 'argument'; index: number}
  | {kind: 'variable'; name: string; declared: TypedShape}
  | {kind: 'constant'; value: LazyValue; mustLive: boolean}
);
type Place = {kind: 'argument'; index: number} | {kind: 'variable'; name: string; declared: TypedShape};

interface Recording {
  backend: OnnxruntimeBackend;
  compiled: Compiled;
  sources: readonly Source[];
  /** Layouts of the inputs when it was compiled. */
  layouts: readonly string[];
  /** Variables that get the last outputs, after those that are returned; and the input that has the old numbers, if they may be written over. */
  updated: readonly {name: string; memory: VariableMemory; over: number | undefined}[];
  returned: readonly TypedShape[];
  single: boolean;
  nothing: boolean;
}

export const layoutOf = (v: LazyValue) => String(v.layout ?? '');
export const signatureOf = (args: readonly Tensor[]) => args.map(typeText).join(', ');

export function currentBackend(): OnnxruntimeBackend {
  if (engine().backendName !== BACKEND_NAME) throw wrongBackend(engine().backendName);
  return engine().backend as OnnxruntimeBackend;
}

export const variables = (): Readonly<Record<string, Variable>> => engine().registeredVariables as Record<string, Variable>;

export interface JitOptions {
  /** Not even the first call makes variables, as optimisers make their slots: it is recorded already. */
  readonly makesNoVariables?: boolean;
}

export function jit<A extends Tensor[], R extends JitResult>(
  fn: (...args: A) => R,
  {makesNoVariables = false}: JitOptions = {},
): Jitted<A, R> {
  const seen = new Set<string>();
  const recordings = new Map<string, Recording>();
  let count = 0;
  const call = (...args: A): R => {
    const backend = currentBackend();
    if (debugging('leak')) traceStepLeaks(backend);
    const disposed = args.findIndex((t) => t.isDisposed);
    if (disposed >= 0) throw disposedArgument(disposed, args[disposed]!);
    const signature = signatureOf(args);
    const known = recordings.get(signature);
    const inputs = known?.backend === backend ? inputsOf(known, backend, args) : undefined;
    if (known && inputs) return replay(known, backend, inputs) as R;
    if (!seen.has(signature)) {
      if (seen.size >= MAX_SIGNATURES) throw tooManyShapes(args, [...seen]);
      seen.add(signature);
      if (!makesNoVariables) return tidy(() => fn(...args) as never) as R;
    }
    count++;
    if (known) known.compiled.users--;
    recordings.delete(signature);
    const recording = recordCall(backend, fn, args);
    recordings.set(signature, recording);
    return replay(recording, backend, inputsOf(recording, backend, args)!) as R;
  };
  return Object.defineProperty(call, 'recordings', {get: () => count}) as Jitted<A, R>;
}

/** A call that was recorded and not computed: what it gives, what it assigned, and the plan for both, in this order. */
export interface Trace<R> {
  result: R;
  tensors: readonly Tensor[];
  updated: readonly (readonly [name: string, variable: Variable])[];
  plan: Plan;
  sources: readonly Source[];
}

export function traceCall<A extends Tensor[], R extends JitResult>(
  backend: OnnxruntimeBackend,
  fn: (...args: A) => R,
  args: A,
): Trace<R> {
  backend.barrier(); // so that everything that exists is an input, not a part of the graph
  const before = new Map(Object.entries(variables()).map(([name, v]) => [name, {dataId: v.dataId, value: backend.lazy(v)}]));
  const inputs = [...[...before.values()].map(({value}) => value), ...args.map((t) => backend.lazy(t))];
  const result = backend.capture(inputs, () => tidy(() => fn(...args) as never)) as R;
  const tensors = result === null || result === undefined ? [] : Array.isArray(result) ? result : [result as Tensor];
  const updated = Object.entries(variables()).filter(([name, v]) => before.get(name)?.dataId !== v.dataId);
  const created = updated.find(([name]) => !before.has(name));
  if (created) throw madeVariable(created[0]);
  const plan = makePlan([...tensors.map((t) => backend.lazy(t)), ...updated.map(([, v]) => backend.lazy(v))]);
  return {result, tensors, updated, plan, sources: plan.leaves.map(sourceFinder(backend, args, before))};
}

/** Runs the function once for its plan, and takes back what it assigned: nothing has been computed yet. */
function recordCall<A extends Tensor[], R extends JitResult>(
  backend: OnnxruntimeBackend,
  fn: (...args: A) => R,
  args: A,
): Recording {
  backend.barrier();
  const before = new Map(Object.entries(variables()).map(([name, v]) => [name, backend.lazy(v)]));
  const {result, tensors, updated, plan, sources} = traceCall(backend, fn, args);
  for (const [name, variable] of updated) setVariable(backend, variable, before.get(name)!);
  const returned = tensors.map(({dtype, shape}) => ({dtype: dtype as LazyDType, shape: [...shape]}));
  for (const t of tensors) t.dispose();
  backend.runtime.trim(); // what the first call compiled, and what this recording replaces
  const state = updated.map((_, i) => tensors.length + i);
  const compiled = backend.runtime.compile(plan, state);
  compiled.users++;
  return {
    backend,
    compiled,
    sources,
    layouts: plan.leaves.map(layoutOf),
    updated: updated.map(([name], i) => {
      const at = tensors.length + i;
      const memory = new VariableMemory(backend.pool, plan.wanted[at]!, compiled.layouts[at]!);
      return {name, memory, over: overwritten(compiled, plan, sources, name, at)};
    }),
    returned,
    single: !Array.isArray(result),
    nothing: tensors.length === 0,
  };
}

/** The one leaf that is the variable, in the order in which the step leaves it, if all of the graph has read it by then. */
function overwritten(
  compiled: Compiled,
  {leaves}: Plan,
  sources: readonly Source[],
  name: string,
  at: number,
): number | undefined {
  const own = sources.flatMap((source, i) => (source.kind === 'variable' && source.name === name ? [i] : []));
  const [leaf] = own;
  if (leaf === undefined || own.length > 1 || compiled.keepsState) return undefined;
  const isSameOrder = permOf(leaves[leaf]!).join() === compiled.layouts[at]!.join();
  return isSameOrder && compiled.mayOverwrite(leaf, at) ? leaf : undefined;
}

const rootOf = (value: LazyValue): LazyValue => value.origin ?? value;

const nameOf = (p: Place) => (p.kind === 'argument' ? `argument ${p.index}` : `the variable '${p.name}'`);

function sourceFinder(backend: OnnxruntimeBackend, args: readonly Tensor[], before: ReadonlyMap<string, {value: LazyValue}>) {
  const known = new Map<LazyValue, Place>();
  const learn = (value: LazyValue, place: Place) => {
    if (known.has(rootOf(value))) throw sharedData(nameOf(known.get(rootOf(value))!), nameOf(place));
    known.set(rootOf(value), place);
  };
  for (const [name, {value}] of before)
    learn(value, {kind: 'variable', name, declared: {dtype: value.dtype, shape: value.shape}});
  for (const [index, arg] of args.entries()) learn(backend.lazy(arg), {kind: 'argument', index});
  return (value: LazyValue): Source => {
    const {shape} = value;
    const place = known.get(rootOf(value));
    return place ? {...place, shape} : {kind: 'constant', value, mustLive: rootOf(value).handles > 0, shape};
  };
}

/** The inputs of a replay, or undefined where the recording no longer fits. */
function inputsOf(recording: Recording, backend: OnnxruntimeBackend, args: readonly Tensor[]): LazyValue[] | undefined {
  backend.barrier();
  const named = variables();
  const inputs: LazyValue[] = [];
  for (const [i, source] of recording.sources.entries()) {
    const current = currentValue(source, backend, args, named);
    const value = current && record.reshape(current, source.shape);
    if (!value || value.producer || layoutOf(value) !== recording.layouts[i]) return undefined;
    inputs.push(value);
  }
  return inputs;
}

export function currentValue(
  source: Source,
  backend: OnnxruntimeBackend,
  args: readonly Tensor[],
  named: Readonly<Record<string, Variable>>,
): LazyValue | undefined {
  switch (source.kind) {
    case 'argument':
      return backend.lazy(args[source.index]!);
    case 'variable': {
      const {name, declared} = source;
      const variable = named[name];
      if (variable && signatureOf([variable]) !== typeText(declared)) throw changedVariable(name, declared, variable);
      return variable && backend.lazy(variable);
    }
    case 'constant':
      return source.mustLive && rootOf(source.value).handles === 0 ? undefined : source.value;
  }
}

/** Gives a variable its new numbers: in place, or on a handle of its own where another tensor shares the old one. */
export function setVariable(backend: OnnxruntimeBackend, variable: Variable, value: LazyValue): void {
  if (backend.refCount(variable.dataId) === 1) {
    backend.replace(variable.dataId, value);
    return;
  }
  const {dataId, shape, dtype} = backend.handle(value);
  const shared = engine().makeTensorFromDataId(dataId, shape, dtype, backend) as Tensor;
  variable.assign(shared);
  shared.dispose();
}

function replay(recording: Recording, backend: OnnxruntimeBackend, inputs: readonly LazyValue[]): JitResult {
  const named = variables();
  const {compiled, returned: types} = recording;
  const first = types.length;
  const memory = compiled.keepsState
    ? []
    : [
        ...types.map((type, i) => backend.pool.take(type, compiled.layouts[i]!)),
        ...recording.updated.map(({name, memory, over}) => {
          const old = over === undefined ? undefined : inputs[over]!;
          const isAlone = old?.handles === 1 && backend.refCount(named[name]!.dataId) === 1;
          return (isAlone && memory.over(old)) || memory.next();
        }),
      ];
  const results = backend.runtime.run(compiled, inputs, new Map(memory.entries()));
  const value = (i: number, like: TypedShape) => {
    const made = new LazyValue(like.dtype, like.shape);
    made.take(results[i]!);
    return made;
  };
  const returned = types.map((like, i) => {
    const info = backend.handle(value(i, like));
    return engine().makeTensorFromDataId(info.dataId, info.shape, info.dtype, backend) as Tensor;
  });
  for (const [i, {name, memory}] of recording.updated.entries()) {
    const variable = named[name]!;
    const read = backend.lazy(variable);
    const updated = value(first + i, variable as unknown as TypedShape);
    setVariable(backend, variable, updated);
    if (!compiled.keepsState && read.data !== updated.data) memory.leave(read);
  }
  if (recording.nothing) return undefined;
  return recording.single ? returned[0]! : returned;
}
