/**
 * In which order of dimensions the numbers of every variable lie. It decides which recording of a step fits, and so in which order
 * sums are taken: the same weights in another layout give the same step but for its last bits. Whoever loads weights and
 * wants the very bits of a run that went on without a break brings them into the layout that the run had.
 */
import {engine, type Variable} from '@tensorflow/tfjs-core';
import {BACKEND_NAME, type OnnxruntimeBackend} from '../backend/backend.js';
import {isIdentity, LazyValue, type Permutation, toPlain} from '../lowering/value.js';

/** By the variable's name; undefined is TensorFlow.js's own order. */
export type VariableLayouts = ReadonlyMap<string, Permutation | undefined>;

const current = (): [string, Variable][] =>
  engine().backendName === BACKEND_NAME ? Object.entries(engine().registeredVariables as Record<string, Variable>) : [];

/** Of all variables as they are now. Other backends have one layout alone. */
export function variableLayouts(): VariableLayouts {
  const backend = engine().backend as OnnxruntimeBackend;
  const variables = current();
  if (variables.length > 0) backend.barrier();
  return new Map(variables.map(([name, variable]) => [name, backend.lazy(variable).layout]));
}

/** The numbers stay, their order becomes that of `layouts`. Variables that are not in it stay as they are. */
export function restoreLayouts(layouts: VariableLayouts): void {
  const backend = engine().backend as OnnxruntimeBackend;
  const variables = current();
  if (variables.length > 0) backend.barrier();
  for (const [name, variable] of variables) {
    if (layouts.has(name)) relay(backend, variable, layouts.get(name));
  }
}

function relay(backend: OnnxruntimeBackend, variable: Variable, wanted: Permutation | undefined): void {
  const value = backend.lazy(variable);
  if (String(value.layout ?? '') !== String(wanted ?? '')) backend.replace(variable.dataId, relaid(value, wanted));
}

function relaid({dtype, shape, data, layout}: LazyValue, wanted: Permutation | undefined): LazyValue {
  const plain = layout && !isIdentity(layout) ? toPlain(data!, shape, layout) : data!;
  const value = new LazyValue(dtype, shape);
  value.layout = wanted;
  value.ownsNumbers = wanted !== undefined || plain !== data;
  // What is physical order seen from the tensor is plain order seen from the array: the same walk with the inverse permutation.
  value.data = wanted
    ? toPlain(
        plain,
        wanted.map((p) => shape[p]!),
        wanted.map((_, d) => wanted.indexOf(d)),
      )
    : plain;
  return value;
}
