/**
 * Inverse reparameterisation: the tensors of the widened network from the student's, so that both compute the same function.
 * It follows from the table alone: tile along the wide dimensions, divide by r where the student multiplies by r.
 * The original adds N(0, 1e-6) noise to every copy afterwards to break the symmetry; callers that train do the same.
 */
import {type Shape, stridesOf, type Tensor, tensor, zeros} from '../core/tensor.js';
import type {Module} from './modules.js';
import {keyOf, storedShape, storedTensors} from './stored-tensors.js';

/** Repeats a tensor along every dimension until it has the target shape, and scales it. */
export function tile<D extends 'float32' | 'float64'>(t: Tensor<D>, target: Shape, factor: number): Tensor<D> {
  const out = zeros(t.dtype, target);
  const strides = stridesOf(t.shape);
  const index = new Array<number>(target.length).fill(0);
  for (let flat = 0; flat < out.data.length; flat++) {
    let source = 0;
    for (let d = 0; d < index.length; d++) source += (index[d]! % t.shape[d]!) * strides[d]!;
    out.data[flat] = t.data[source]! * factor;
    for (let d = index.length - 1; d >= 0 && ++index[d]! === target[d]; d--) index[d] = 0;
  }
  return tensor(t.dtype, target, out.data);
}

/**
 * The tensors of one layer, widened. `student(key)` gives the student's own tensor. Student statistics start as
 * copies of the running ones; counters of training batches are left to the caller.
 */
export function expandModule<D extends 'float32' | 'float64'>(
  m: Module,
  form: {ratio: number; orepa: boolean},
  student: (key: string) => Tensor<D> | undefined,
): Map<string, Tensor<D>> {
  const expanded = new Map<string, Tensor<D>>();
  for (const row of storedTensors(m, form)) {
    const source = student(`${m.name}.${row.leaf.replace(/^tiny_/, '')}`);
    if (source) expanded.set(keyOf(m, row), tile(source, storedShape(row, form.ratio), form.ratio ** -(row.student ?? 0)));
  }
  return expanded;
}
