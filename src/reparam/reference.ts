/** `TensorOps` over float64 arrays: slow, obviously right, the definition that everything faster is tested against. */
import {elementCount, float64, type Shape, stridesOf, type Tensor} from '../core/tensor.js';
import type {TensorOps} from './tensor-ops.js';

type T = Tensor<'float64'>;

/** Calls `visit` with every index of the shape, in row-major order. */
function forEachIndex(shape: Shape, visit: (index: readonly number[], flat: number) => void): void {
  const index = new Array<number>(shape.length).fill(0);
  const count = elementCount(shape);
  for (let flat = 0; flat < count; flat++) {
    visit(index, flat);
    for (let d = shape.length - 1; d >= 0 && ++index[d]! === shape[d]; d--) index[d] = 0;
  }
}

function broadcastShape(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({length: rank}, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1) throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

/** Where an element of the broadcast shape lies in x. */
function offsetIn(x: T, index: readonly number[]): number {
  const strides = stridesOf(x.shape);
  const skip = index.length - x.shape.length;
  return x.shape.reduce((offset, size, d) => offset + (size === 1 ? 0 : index[d + skip]! * strides[d]!), 0);
}

const binary =
  (f: (a: number, b: number) => number) =>
  (a: T, b: T): T => {
    const shape = broadcastShape(a.shape, b.shape);
    const out = new Float64Array(elementCount(shape));
    forEachIndex(shape, (index, flat) => {
      out[flat] = f(a.data[offsetIn(a, index)]!, b.data[offsetIn(b, index)]!);
    });
    return float64(shape, out);
  };

function matmul(a: T, b: T): T {
  const [m, k, n] = [a.shape.at(-2)!, a.shape.at(-1)!, b.shape.at(-1)!];
  if (b.shape.at(-2) !== k) throw new Error(`matmul of [${a.shape}] and [${b.shape}]`);
  const shape = [...broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n];
  const out = new Float64Array(elementCount(shape));
  forEachIndex(shape, (index, flat) => {
    const batch = index.slice(0, -2);
    let total = 0;
    for (let i = 0; i < k; i++) {
      total += a.data[offsetIn(a, [...batch, index.at(-2)!, i])]! * b.data[offsetIn(b, [...batch, i, index.at(-1)!])]!;
    }
    out[flat] = total;
  });
  return float64(shape, out);
}

function transpose(x: T, perm: readonly number[]): T {
  const shape = perm.map((p) => x.shape[p]!);
  const out = new Float64Array(x.data.length);
  const source = new Array<number>(perm.length).fill(0);
  forEachIndex(shape, (index, flat) => {
    for (const [d, p] of perm.entries()) source[p] = index[d]!;
    out[flat] = x.data[offsetIn(x, source)]!;
  });
  return float64(shape, out);
}

function unstack(x: T, count: number): T[] {
  const part = x.data.length / count;
  return Array.from({length: count}, (_, i) => float64([1, ...x.shape.slice(1)], x.data.slice(i * part, (i + 1) * part)));
}

export const referenceOps: TensorOps<T> = {
  scalar: (value) => float64([], [value]),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: binary((a, b) => a / b),
  sqrt: (x) => float64(x.shape, x.data.map(Math.sqrt)),
  matmul,
  reshape: (x, shape) => float64(shape, x.data),
  transpose,
  unstack,
};
