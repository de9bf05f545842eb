/**
 * Tensors as plain data: dtype, shape, and a typed array in row-major order. No views, no arithmetic.
 * A `TensorSource` is a tensor whose numbers are still in a file; it can be asked for its leading block alone.
 */
import {bfloat16ToFloat32, halfToFloat32} from './half.js';

/** name → bytes per element, array type. float16 and bfloat16 travel as their 16-bit patterns, bool as bytes. */
export const dtypes = {
  float64: {bytes: 8, array: Float64Array},
  float32: {bytes: 4, array: Float32Array},
  float16: {bytes: 2, array: Uint16Array},
  bfloat16: {bytes: 2, array: Uint16Array},
  int64: {bytes: 8, array: BigInt64Array},
  int32: {bytes: 4, array: Int32Array},
  int16: {bytes: 2, array: Int16Array},
  int8: {bytes: 1, array: Int8Array},
  uint8: {bytes: 1, array: Uint8Array},
  bool: {bytes: 1, array: Uint8Array},
} as const;
/** The type of the numbers of a tensor. */
export type DType = keyof typeof dtypes;
export type DataOf<D extends DType> = InstanceType<(typeof dtypes)[D]['array']>;
/** Sizes of the dimensions, outermost first. */
export type Shape = readonly number[];

/** Numbers in memory, row by row, in the typed array of their dtype. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
  readonly data: DataOf<D>;
}

/** A tensor that is read when asked. `leading` limits every dimension to its first n indices: [0, n₀) × [0, n₁) × … */
export interface TensorSource<D extends DType = DType> {
  /** What its file calls it, for messages. */
  readonly name?: string;
  readonly dtype: D;
  readonly shape: Shape;
  read(leading?: Shape): Tensor<D>;
}
/** Ordered as in the file. */
export type StateDict = ReadonlyMap<string, TensorSource>;

export const elementCount = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);
export const byteLength = (t: {dtype: DType; shape: Shape}): number => elementCount(t.shape) * dtypes[t.dtype].bytes;
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);
export const formatShape = (shape: readonly (number | string)[]): string => `[${shape.join(', ')}]`;

export function tensor<D extends DType>(dtype: D, shape: Shape, data: DataOf<D>): Tensor<D> {
  if (data.length !== elementCount(shape)) throw new Error(`${data.length} elements do not fill shape ${formatShape(shape)}`);
  return {dtype, shape, data};
}
export const zeros = <D extends DType>(dtype: D, shape: Shape): Tensor<D> =>
  tensor(dtype, shape, new dtypes[dtype].array(elementCount(shape)) as DataOf<D>);
export const float32 = (shape: Shape, values: ArrayLike<number>): Tensor<'float32'> =>
  tensor('float32', shape, (values instanceof Float32Array ? values : Float32Array.from(values)) as Float32Array<ArrayBuffer>);
export const float64 = (shape: Shape, values: ArrayLike<number>): Tensor<'float64'> =>
  tensor('float64', shape, (values instanceof Float64Array ? values : Float64Array.from(values)) as Float64Array<ArrayBuffer>);
export const int64 = (shape: Shape, values: readonly number[]): Tensor<'int64'> =>
  tensor('int64', shape, BigInt64Array.from(values, BigInt));

/** The bytes of a tensor, without a copy. Every host that Node runs on is little-endian, as is every file format here. */
export const bytesOf = (t: Tensor): Uint8Array => new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength);

/** A tensor over bytes: without a copy where the bytes are aligned. */
export function tensorOver<D extends DType>(dtype: D, shape: Shape, bytes: Uint8Array): Tensor<D> {
  const {array, bytes: width} = dtypes[dtype];
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes); // a Buffer's own slice would not copy
  const data = new array(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / width);
  return tensor(dtype, shape, data as DataOf<D>);
}

/** Any numeric dtype to float32. Exact for the half types; int64 and float64 are rounded. */
export function toFloat32(t: Tensor): Tensor<'float32'> {
  switch (t.dtype) {
    case 'float32':
      return t as Tensor<'float32'>;
    case 'float16':
      return float32(t.shape, halfToFloat32(t.data as Uint16Array));
    case 'bfloat16':
      return float32(t.shape, bfloat16ToFloat32(t.data as Uint16Array));
    default:
      return float32(t.shape, Float32Array.from(t.data as ArrayLike<number | bigint>, Number));
  }
}
/** The first number of a float64 tensor that becomes infinite in float32; undefined where there is none. */
export function overflowOf(t: Tensor): {index: number; value: number} | undefined {
  if (t.dtype !== 'float64') return undefined;
  const data = t.data as Float64Array;
  const index = data.findIndex((v) => Number.isFinite(v) && !Number.isFinite(Math.fround(v)));
  return index < 0 ? undefined : {index, value: data[index]!};
}
export const toFloat64 = (t: Tensor): Tensor<'float64'> =>
  t.dtype === 'float64' ? (t as Tensor<'float64'>) : float64(t.shape, Float64Array.from(toFloat32(t).data));

/** Row-major strides, counted in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let d = shape.length - 2; d >= 0; d--) strides[d] = strides[d + 1]! * shape[d + 1]!;
  return strides;
}

/** The leading block of a tensor in memory, copied. */
export function leadingBlock<D extends DType>(t: Tensor<D>, leading: Shape): Tensor<D> {
  if (sameShape(t.shape, leading)) return t;
  const out = zeros(t.dtype, leading);
  const inStrides = stridesOf(t.shape);
  const row = leading.at(-1) ?? 1;
  const index = new Array<number>(leading.length).fill(0);
  const source = t.data as Float32Array; // the copy is the same for every array type
  const target = out.data as Float32Array;
  for (let written = 0; written < target.length; written += row) {
    let offset = 0;
    for (let d = 0; d < index.length - 1; d++) offset += index[d]! * inStrides[d]!;
    target.set(source.subarray(offset, offset + row), written);
    for (let d = index.length - 2; d >= 0 && ++index[d]! === leading[d]; d--) index[d] = 0;
  }
  return out;
}

/** A source over a tensor in memory. */
export const sourceOf = <D extends DType>(t: Tensor<D>): TensorSource<D> => ({
  dtype: t.dtype,
  shape: t.shape,
  read: (leading) => (leading ? leadingBlock(t, leading) : t),
});
