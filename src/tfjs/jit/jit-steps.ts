/**
 * Several steps in one run: `jitSteps(step)` takes batches that are stacked along a new first dimension, and computes what as many calls
 * of `step` would, with the variables inside the runtime from the first to the last. It serves devices over a bus (CUDA, where state
 * cannot stay from JavaScript), and small networks, where a call costs as much as its work.
 */
import {engine, slice, squeeze, stack, type Tensor, tensor, tidy, type Variable} from '@tensorflow/tfjs-core';
import {GpdError} from '../../core/error.js';
import type {OnnxruntimeBackend} from '../backend/backend.js';
import {record} from '../backend/record.js';
import {typeText} from '../lowering/describe.js';
import {type Carried, lowerLoop, type ValueRole} from '../lowering/loop-plan.js';
import {identity, LazyValue, permOf, type TypedShape, toPlain} from '../lowering/value.js';
import type {Compiled} from '../runtime/runtime.js';
import {
  currentBackend,
  currentValue,
  type JitResult,
  layoutOf,
  type Source,
  setVariable,
  signatureOf,
  traceCall,
  variables,
} from './jit.js';
import {disposedArgument} from './jit-errors.js';

/** A step that was recorded as the body of a loop. */
interface Loop {
  backend: OnnxruntimeBackend;
  compiled: Compiled;
  /** Inputs before the states. */
  sources: readonly Source[];
  layouts: readonly string[];
  carried: readonly Carried[];
  returned: readonly TypedShape[];
  single: boolean;
}

type AnyStep = (...batch: Tensor[]) => JitResult;

export type SteppedResult<R> = R extends Tensor ? Tensor : R extends Tensor[] ? Tensor[] : R;

export function jitSteps<A extends Tensor[], R extends JitResult>(
  step: (...batch: A) => R,
): (...stacked: A) => SteppedResult<R> {
  const loops = new Map<string, Loop | 'seen'>();
  const body = step as unknown as AnyStep;
  return (...stacked) => {
    const backend = currentBackend();
    const steps = stepsOf(stacked);
    const signature = signatureOf(stacked);
    const known = loops.get(signature);
    if (!known || backend.runtime.precision === 'float64') {
      loops.set(signature, 'seen');
      return oneByOne(backend, body, stacked, steps) as SteppedResult<R>;
    }
    let loop = known;
    let inputs = loop === 'seen' || loop.backend !== backend ? undefined : inputsOf(loop, backend, stacked);
    if (loop === 'seen' || !inputs) {
      if (loop !== 'seen' && loop.backend === backend) loop.compiled.session.close();
      loop = recordLoop(backend, body, stacked, steps);
      loops.set(signature, loop);
      inputs = inputsOf(loop, backend, stacked)!;
    }
    return runLoop(loop, backend, inputs) as SteppedResult<R>;
  };
}

function stepsOf(stacked: readonly Tensor[]): number {
  const disposed = stacked.findIndex((t) => t.isDisposed);
  if (disposed >= 0) throw disposedArgument(disposed, stacked[disposed]!);
  const counts = new Set(stacked.map((t) => t.shape[0] ?? 0));
  const [steps = 0] = counts;
  if (counts.size === 1 && steps > 0) return steps;
  throw new GpdError(
    'SHAPE_MISMATCH',
    `jitSteps: the batches (${stacked.map(typeText).join(', ')}) are not of one number of steps`,
    {
      hint: 'stack them along a new first dimension, for example with tf.stack(batches)',
    },
  );
}

const sliceAt = (x: Tensor, i: number): Tensor =>
  squeeze(slice(x, [i, ...new Array<number>(x.rank - 1).fill(0)], [1, ...x.shape.slice(1)]), [0]);

/** The first time: as without jit, so that optimisers make their slots and weights find their order. */
function oneByOne(backend: OnnxruntimeBackend, step: AnyStep, stacked: readonly Tensor[], steps: number): JitResult {
  const results: (Tensor[] | undefined)[] = [];
  let single = true;
  for (let i = 0; i < steps; i++) {
    const result = tidy(() => step(...stacked.map((x) => sliceAt(x, i))) as never) as JitResult;
    single = !Array.isArray(result);
    results.push(result ? [result].flat() : undefined);
    backend.barrier();
  }
  if (!results[0]) return undefined;
  const columns = results[0].map((_, j) => results.map((row) => row![j]!));
  const joined = columns.map((column) => stack(column));
  for (const t of columns.flat()) t.dispose();
  return single ? joined[0]! : joined;
}

/** Records the step on the first of the batches, and makes the loop. */
function recordLoop(backend: OnnxruntimeBackend, step: AnyStep, stacked: readonly Tensor[], steps: number): Loop {
  const first = stacked.map((x) => tidy(() => sliceAt(x, 0)));
  const batch = first.map((t) => tensor(t.dataSync() as Float32Array, t.shape, t.dtype)); // in TensorFlow.js's order
  const {returned, single, updated, plan, sources} = traceCall(backend, step, batch, true);
  for (const t of [...first, ...batch]) t.dispose();
  const carried = updated.map(
    ([name, before], i): Carried => ({name, type: before, perm: permOf(before), wantedAt: returned.length + i}),
  );
  const roles = sources.map((source) => roleOf(source, carried));
  const lowered = lowerLoop({plan, roles, carried, steps, returned: returned.length}, backend.runtime.chooser);
  const given = sources.filter((_, i) => roles[i]!.kind !== 'state');
  return {
    backend,
    compiled: backend.runtime.openLowered(
      plan,
      lowered,
      carried.map((_, i) => i),
    ),
    sources: given,
    layouts: plan.leaves.filter((_, i) => roles[i]!.kind !== 'state').map(layoutOf),
    carried,
    returned: returned.map(({dtype, shape}) => ({dtype, shape: [steps, ...shape]})),
    single,
  };
}

function roleOf(source: Source, carried: readonly Carried[]): ValueRole {
  if (source.kind === 'argument') return {kind: 'batch'};
  const isCarried = source.kind === 'variable' && carried.some(({name}) => name === source.name);
  return isCarried ? {kind: 'state', name: source.name} : {kind: 'constant'};
}

/** Numbers for one run, or undefined where the loop no longer fits. */
function inputsOf(loop: Loop, backend: OnnxruntimeBackend, stacked: readonly Tensor[]): LazyValue[] | undefined {
  backend.barrier();
  const named = variables();
  const inputs: LazyValue[] = [];
  for (const [i, source] of loop.sources.entries()) {
    const current = currentValue(source, backend, stacked, named);
    if (!current) return undefined;
    const steps = source.kind === 'argument' ? [current.shape[0]!] : [];
    const value = record.reshape(source.kind === 'argument' ? inPlainOrder(current) : current, [...steps, ...source.shape]);
    if (value.producer || layoutOf(value) !== loop.layouts[i]) return undefined;
    inputs.push(value);
  }
  for (const {name, perm} of loop.carried) {
    const variable = named[name];
    const value = variable && backend.lazy(variable);
    if (!value || String(value.layout ?? identity(value.shape.length)) !== String(perm)) return undefined;
    inputs.push(value);
  }
  return inputs;
}

/** A batch that was computed may lie in another order. */
function inPlainOrder(v: LazyValue): LazyValue {
  if (!v.layout) return v;
  const plain = new LazyValue(v.dtype, v.shape);
  plain.data = toPlain(v.data!, v.shape, v.layout);
  return plain;
}

function runLoop(
  {compiled, carried, returned, single}: Loop,
  backend: OnnxruntimeBackend,
  inputs: readonly LazyValue[],
): JitResult {
  const results = backend.runtime.run(compiled, inputs);
  const value = (i: number, {dtype, shape}: TypedShape) => {
    const made = new LazyValue(dtype, shape);
    made.take(results[i]!);
    return made;
  };
  const named = variables() as Readonly<Record<string, Variable>>;
  for (const [i, {name, type}] of carried.entries()) setVariable(backend, named[name]!, value(i, type));
  const tensors = returned.map((type, i) => {
    const {dataId, shape, dtype} = backend.handle(value(carried.length + i, type));
    return engine().makeTensorFromDataId(dataId, shape, dtype, backend) as Tensor;
  });
  if (tensors.length === 0) return undefined;
  return single ? tensors[0]! : tensors;
}
