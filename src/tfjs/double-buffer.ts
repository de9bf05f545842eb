/**
 * Memory of a captured step's variables, two arrays each: a step reads one and writes the other. Without it every step makes arrays that
 * only a garbage collection gives back, and the runtime's arena grows until one comes.
 */
import {type Tensor, tensor} from '../core/tensor.js';
import {type LazyData, type LazyValue, type Permutation, sizeOf, type TypedShape} from './value.js';

const arrays = {float32: Float32Array, int32: Int32Array, bool: Uint8Array};

export class DoubleBuffer {
  private spare: LazyData | undefined;
  private written: LazyValue | undefined;

  constructor(
    private readonly type: TypedShape,
    private readonly layout: Permutation,
  ) {}

  /** Where the next step writes, in physical order. `current` is what it reads. */
  next(current: LazyValue): Tensor {
    const isOurs = this.written !== undefined && current === this.written && current.handles <= 1;
    const data = (this.spare ?? new arrays[this.type.dtype](sizeOf(this.type.shape))) as LazyData;
    // what is read now may be written next time, if this class made it and nobody else holds it
    this.spare = isOurs ? current.data : undefined;
    const shape = this.layout.map((d) => this.type.shape[d]!);
    return tensor(this.type.dtype, shape, data as Float32Array<ArrayBuffer>);
  }

  /** The value that a step wrote. */
  wrote(value: LazyValue): void {
    this.written = value;
  }
}
