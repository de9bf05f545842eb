/**
 * What a TensorFlow.js tensor is while nothing has been computed: a value that knows its type and shape, and either its numbers
 * or the kernel call that will make them. A call holds its input *values*, not TensorFlow.js's handles: `tidy` disposes handles
 * of intermediates long before anything is computed.
 */
import type {KernelEntry} from './kernel-entry.js';

export type LazyDType = 'float32' | 'int32' | 'bool';
export type LazyData = Float32Array | Int32Array | Uint8Array;

/** Dimension i of the physical array is dimension perm[i] of the tensor. */
export type Permutation = readonly number[];
export const identity = (rank: number): Permutation => Array.from({length: rank}, (_, i) => i);
export const isIdentity = (perm: Permutation): boolean => perm.every((p, i) => p === i);

export interface TypedShape {
  readonly dtype: LazyDType;
  readonly shape: readonly number[];
}

export class LazyValue implements TypedShape {
  /** The numbers, once they exist, in the order that `layout` says. */
  data: LazyData | undefined;
  layout: Permutation | undefined;
  /** How many handles of the backend refer to it: a live value is computed at the next barrier. */
  handles = 0;

  constructor(
    readonly dtype: LazyDType,
    readonly shape: readonly number[],
    public producer?: LazyCall,
  ) {}
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

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);
export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);
