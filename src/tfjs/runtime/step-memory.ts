/**
 * Memory of captured steps' results. A step reads the arrays of its variables and writes others; those that it has read are free
 * afterwards, for the next step or the next variable of that size. Without this every step makes arrays that only a garbage collection
 * gives back; with a second array for each variable, a large network's parameters, slots and averages would all be there twice.
 */
import {dtypes, elementCount, type Tensor, tensor} from '../../core/tensor.js';
import {
  type FloatPrecision,
  type LazyData,
  type LazyDType,
  type LazyValue,
  type Permutation,
  physical,
  physicalType,
  type TypedShape,
} from '../lowering/value.js';

/** Arrays that nobody reads any more. All captured steps of a backend share one. */
export class MemoryPool {
  private readonly free = new Map<string, LazyData[]>();

  /** What float32 tensors are computed in. */
  constructor(private readonly precision: FloatPrecision) {}

  /** For a result in physical order. What it holds is left over. */
  take({dtype: named, shape}: TypedShape, layout: Permutation): Tensor {
    const size = elementCount(shape);
    const dtype = named === 'float32' ? this.precision : named;
    const data = this.freeOf(dtype, size).pop() ?? new dtypes[dtype].array(size);
    return tensor(dtype, physical(shape, layout), data as Float32Array<ArrayBuffer>);
  }

  /** A value that nothing computes with any more: its array is free if it is its own and nobody else holds it. */
  give(value: LazyValue): void {
    if (value.ownsNumbers && value.handles === 0) this.freeOf(physicalType(value), value.data!.length).push(value.data!);
  }

  private freeOf(dtype: LazyDType | FloatPrecision, size: number): LazyData[] {
    const key = `${dtype} ${size}`;
    const known = this.free.get(key) ?? [];
    this.free.set(key, known);
    return known;
  }
}
