/**
 * jit: a function of tensors is recorded once and afterwards replayed as one session, without TensorFlow.js in between.
 *
 * The first call runs normally, so that optimisers can make their slots. The second is recorded: what is returned and what was
 * assigned to variables becomes the outputs of one graph, arguments and variables become its inputs. That graph computes this call
 * and later ones. A call with other shapes or dtypes is recorded on its own. Numbers that are neither argument nor variable are
 * constants of the recording; where such a tensor has been disposed since (an optimiser's new learning rate), the function is recorded again.
 */

import {clone, engine, type Tensor, tidy, type Variable} from '@tensorflow/tfjs-core';
import {debugging} from '../../core/debug.js';
import {elementCount} from '../../core/tensor.js';
import {BACKEND_NAME, type OnnxruntimeBackend} from '../backend/backend.js';
import {record} from '../backend/record.js';
import {typeText} from '../lowering/describe.js';
import {makePlan, type Plan} from '../lowering/plan.js';
import {type LazyDType, LazyValue, permOf, physicalType, type TypedShape} from '../lowering/value.js';
import {asTensor, type Compiled} from '../runtime/runtime.js';
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

// biome-ignore lint/suspicious/noConfusingVoidType: a step that returns nothing is a function of type void
export type JitResult = Tensor | Tensor[] | null | undefined | void;
export interface Jitted<A extends Tensor[], R extends JitResult> {
  (...args: A): R;
  /** How often the function was recorded. */
  readonly recordings: number;
}

/** Where the numbers of one input of the graph come from: so many behind the first, in this shape. */
export type Source = {shape: readonly number[]; offset: number} & (
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
  updated: readonly {name: string; over: number | undefined}[];
  returned: readonly TypedShape[];
  single: boolean;
  nothing: boolean;
}

/** How its numbers lie: their order and their type. */
export const layoutOf = (v: LazyValue) => `${v.layout ?? ''} ${physicalType(v)}`;
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
      if (!makesNoVariables) return backend.whole(() => tidy(() => fn(...args) as never)) as R;
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

/** A call that was recorded and not computed. The variables have what they had before. */
export interface Trace {
  returned: readonly TypedShape[];
  single: boolean;
  /** Variables that it assigned, with what they have. */
  updated: readonly (readonly [name: string, before: LazyValue])[];
  /** For what it returns and what it assigned, in this order. */
  plan: Plan;
  sources: readonly Source[];
}

/** Runs the function once for its plan, and takes back what it assigned. */
export function traceCall<A extends Tensor[], R extends JitResult>(
  backend: OnnxruntimeBackend,
  fn: (...args: A) => R,
  args: A,
  wholeInputs = false,
): Trace {
  backend.barrier(); // so that everything that exists is an input, not a part of the graph
  const before = new Map(Object.entries(variables()).map(([name, v]) => [name, {dataId: v.dataId, value: backend.lazy(v)}]));
  const inputs = [...[...before.values()].map(({value}) => value), ...args.map((t) => backend.lazy(t))];
  let single = true;
  const call = (): Tensor[] => {
    const result = fn(...args);
    single = !Array.isArray(result);
    return result ? ([result].flat() as Tensor[]).map((t) => clone(t)) : []; // it may return what is not its own
  };
  const results = backend.capture(inputs, () => tidy(call), wholeInputs);
  const assigned = Object.entries(variables()).filter(([name, v]) => before.get(name)?.dataId !== v.dataId);
  const created = assigned.find(([name]) => !before.has(name));
  if (created) throw madeVariable(created[0]);
  const plan = makePlan([...results, ...assigned.map(([, v]) => v)].map((t) => backend.lazy(t)));
  const sources = plan.leaves.map(sourceFinder(backend, args, before));
  const returned = results.map(({dtype, shape}) => ({dtype: dtype as LazyDType, shape: [...shape]}));
  for (const t of results) t.dispose();
  const updated = assigned.map(([name, variable]) => {
    const {value} = before.get(name)!;
    setVariable(backend, variable, value);
    return [name, value] as const;
  });
  return {returned, single, updated, plan, sources};
}

function recordCall<A extends Tensor[], R extends JitResult>(
  backend: OnnxruntimeBackend,
  fn: (...args: A) => R,
  args: A,
): Recording {
  const {returned, single, updated, plan, sources} = traceCall(backend, fn, args);
  backend.runtime.trim(); // what the first call compiled, and what this recording replaces
  const places = updated.map((_, i) => returned.length + i);
  const compiled = backend.runtime.compile(plan, {state: places, intoMemory: true});
  compiled.users++;
  return {
    backend,
    compiled,
    sources,
    layouts: plan.leaves.map(layoutOf),
    updated: updated.map(([name], i) => ({name, over: overwritten(compiled, plan, sources, name, places[i]!)})),
    returned,
    single,
    nothing: returned.length === 0,
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
    const {shape, offset} = value;
    const place = known.get(rootOf(value));
    return place ? {...place, shape, offset} : {kind: 'constant', value, mustLive: rootOf(value).handles > 0, shape, offset: 0};
  };
}

/** The numbers that an input takes; undefined where they do not lie in one piece. */
function inputOf(current: LazyValue, {shape, offset}: Source): LazyValue | undefined {
  return elementCount(shape) === elementCount(current.shape)
    ? record.reshape(current, shape)
    : record.part(current, offset, shape);
}

/** The inputs of a replay, or undefined where the recording no longer fits. */
function inputsOf(recording: Recording, backend: OnnxruntimeBackend, args: readonly Tensor[]): LazyValue[] | undefined {
  backend.barrier();
  const named = variables();
  const inputs: LazyValue[] = [];
  for (const [i, source] of recording.sources.entries()) {
    const current = currentValue(source, backend, args, named);
    const value = current && inputOf(current, source);
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
        ...recording.updated.map(({name, over}, i) => {
          const old = over === undefined ? undefined : inputs[over]!;
          const isAlone = old?.ownsNumbers && old.handles === 1 && backend.refCount(named[name]!.dataId) === 1;
          return isAlone ? asTensor(old) : backend.pool.take(backend.lazy(named[name]!), compiled.layouts[first + i]!);
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
  for (const [i, {name}] of recording.updated.entries()) {
    const variable = named[name]!;
    const read = backend.lazy(variable);
    const updated = value(first + i, variable as unknown as TypedShape);
    setVariable(backend, variable, updated);
    if (!compiled.keepsState && read.data !== updated.data) backend.pool.give(read);
  }
  if (recording.nothing) return undefined;
  return recording.single ? returned[0]! : returned;
}
