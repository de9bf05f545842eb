/**
 * Memory of captured steps' results. A step reads the arrays of its variables and writes others; those that it has read are free
 * afterwards, for the next step or the next variable of that size. Without this every step makes arrays that only a garbage collection
 * gives back; with a second array for each variable, a large network's parameters, slots and averages would all be there twice.
 */
import {type Tensor, tensor} from '../core/tensor.js';
import {type LazyData, type LazyDType, type LazyValue, type Permutation, sizeOf, type TypedShape} from './value.js';

const arrays = {float32: Float32Array, int32: Int32Array, bool: Uint8Array};

/** Arrays that nobody reads any more. All captured steps of a backend share one. */
export class MemoryPool {
  private readonly free = new Map<string, LazyData[]>();

  /** For a result in physical order. What it holds is left over. */
  take({dtype, shape}: TypedShape, layout: Permutation): Tensor {
    const size = sizeOf(shape);
    const data = this.freeOf(dtype, size).pop() ?? new arrays[dtype](size);
    const physical = layout.map((d) => shape[d]!);
    return tensor(dtype, physical, data as Float32Array<ArrayBuffer>);
  }

  /** The caller knows that nothing computes with these numbers any more. */
  give(dtype: LazyDType, data: LazyData): void {
    this.freeOf(dtype, data.length).push(data);
  }

  private freeOf(dtype: LazyDType, size: number): LazyData[] {
    const key = `${dtype} ${size}`;
    const known = this.free.get(key) ?? [];
    this.free.set(key, known);
    return known;
  }
}

/** Where the new numbers of one variable of a captured step are written. */
export class VariableMemory {
  constructor(
    private readonly pool: MemoryPool,
    private readonly type: TypedShape,
    private readonly layout: Permutation,
  ) {}

  next(): Tensor {
    return this.pool.take(this.type, this.layout);
  }

  /** The array of the old value. The caller knows that nobody else reads it. */
  over(old: LazyValue): Tensor | undefined {
    if (!old.ownsNumbers) return undefined;
    const physical = this.layout.map((d) => this.type.shape[d]!);
    return tensor(this.type.dtype, physical, old.data as Float32Array<ArrayBuffer>);
  }

  /** A value that a step has read and the variable no longer has: free if nobody else holds it. */
  leave(read: LazyValue): void {
    if (read.ownsNumbers && read.handles === 0) this.pool.give(read.dtype, read.data!);
  }
}
