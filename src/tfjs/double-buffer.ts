/**
 * Memory of a captured step's variables, two arrays each: a step reads one and writes the other. Without it every step makes arrays that
 * only a garbage collection gives back, and the runtime's arena grows until one comes.
 */
import {type Tensor, tensor} from '../core/tensor.js';
import {type LazyData, type LazyValue, type Permutation, sizeOf, type TypedShape} from './value.js';

const arrays = {float32: Float32Array, int32: Int32Array, bool: Uint8Array};

/** For a result in physical order, of the size that it has, or what is given. */
export function newMemory(
  {dtype, shape}: TypedShape,
  layout: Permutation,
  data: LazyData = new arrays[dtype](sizeOf(shape)),
): Tensor {
  const physical = layout.map((d) => shape[d]!);
  return tensor(dtype, physical, data as Float32Array<ArrayBuffer>);
}

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
    const {spare} = this;
    // what is read now may be written next time, if this class made it and nobody else holds it
    this.spare = isOurs ? current.data : undefined;
    return newMemory(this.type, this.layout, spare);
  }

  /** The value that a step wrote. */
  wrote(value: LazyValue): void {
    this.written = value;
  }
}
