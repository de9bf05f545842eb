/**
 * What a TensorFlow.js tensor is while nothing has been computed: a value that knows its type and shape, and either its numbers
 * or the kernel call that will make them. A call holds its input *values*, not TensorFlow.js's handles: `tidy` disposes handles
 * of intermediates long before anything is computed.
 */

import type {Tensor} from '../../core/tensor.js';
import {elementCount} from '../../core/tensor.js';
import {isResident, type ResidentTensor} from '../../onnx/resident.js';
import type {KernelEntry} from './kernel-entry.js';

export type LazyDType = 'float32' | 'int32' | 'bool';
/** float32 tensors have Float64Array where the backend computes in float64. */
export type LazyData = Float32Array | Float64Array | Int32Array | Uint8Array;
/** What float32 tensors are computed in. */
export type FloatPrecision = 'float32' | 'float64';

/** Dimension i of the physical array is dimension perm[i] of the tensor. */
export type Permutation = readonly number[];
export const identity = (rank: number): Permutation => Array.from({length: rank}, (_, i) => i);
export const isIdentity = (perm: Permutation): boolean => perm.every((p, i) => p === i);

export interface TypedShape {
  readonly dtype: LazyDType;
  readonly shape: readonly number[];
}

export class LazyValue implements TypedShape {
  /** Where the numbers are, once they exist. */
  private numbers: Tensor | {readonly data: LazyData} | undefined;
  layout: Permutation | undefined;
  /** The array is this value's alone, not one of the program's or of TensorFlow.js's cpu code: it may be written to where nobody reads the value. */
  ownsNumbers = false;
  /** How many handles of the backend refer to it: a live value is computed at the next barrier. */
  handles = 0;
  /** The value whose numbers these are, or a part of them: for one that is the same in another shape, or a slice that lies in one piece. */
  origin: LazyValue | undefined;
  /** How many numbers of the origin come before. */
  offset = 0;

  constructor(
    readonly dtype: LazyDType,
    readonly shape: readonly number[],
    public producer?: LazyCall,
  ) {}

  /** The numbers, once they exist, in the order that `layout` says. Those in a device's memory are copied to the host by reading them. */
  get data(): LazyData | undefined {
    return this.numbers?.data as LazyData | undefined;
  }
  set data(data: LazyData | undefined) {
    this.numbers = data && {data};
  }
  /** The result of a run. */
  take({tensor, layout}: {tensor: Tensor; layout: Permutation | undefined}): void {
    this.numbers = tensor;
    this.layout = layout;
    this.producer = undefined;
    this.ownsNumbers = !isResident(tensor);
  }
  /** The tensor that a device keeps, if one does. */
  get resident(): ResidentTensor | undefined {
    return this.numbers && isResident(this.numbers) ? this.numbers : undefined;
  }
}

/** One kernel call that waits. */
export class LazyCall {
  readonly outputs: readonly LazyValue[];
  /** Attributes as text, for the structural key. */
  readonly signature: string;

  constructor(
    readonly kernel: string,
    readonly entry: KernelEntry,
    readonly inputs: readonly LazyValue[],
    readonly attrs: Readonly<Record<string, unknown>>,
    types: readonly TypedShape[],
  ) {
    this.outputs = types.map(({dtype, shape}) => new LazyValue(dtype, shape, this));
    this.signature = JSON.stringify(attrs, (_, value) => (typeof value === 'number' ? String(value) : value)); // JSON has no NaN
  }
}

/** The type of its numbers as they lie in memory. Those of a device are not read for it. */
export const physicalType = (v: LazyValue): LazyDType | 'float64' =>
  !v.resident && v.data instanceof Float64Array ? 'float64' : v.dtype;

/** In which order its numbers are. */
export const permOf = (v: LazyValue): Permutation => v.layout ?? identity(v.shape.length);
/** The shape of the array. */
export const physical = (shape: readonly number[], perm: Permutation): number[] => perm.map((d) => shape[d]!);

/** Numbers in physical order to TensorFlow.js's, for a tensor of that shape. */
export function toPlain(data: LazyData, shape: readonly number[], perm: readonly number[]): LazyData {
  const out = new (data.constructor as Float32ArrayConstructor)(elementCount(shape)) as LazyData;
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = perm.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[perm[i + 1]!]!;
  const stepOf = shape.map((_, d) => strides[perm.indexOf(d)]!);
  const index = new Array<number>(shape.length).fill(0);
  for (let flat = 0, source = 0; flat < out.length; flat++) {
    out[flat] = data[source]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      source += stepOf[d]!;
      if (++index[d]! < shape[d]!) break;
      source -= stepOf[d]! * shape[d]!;
      index[d] = 0;
    }
  }
  return out;
}
