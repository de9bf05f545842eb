/** A numpy array of a pickle as a tensor, checked as strictly as PyTorch's own: dtype, shape and bytes must agree before anything is made. */
import {bufferSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import type {ViewBudget} from '../core/memory-budget.js';
import {
  byteLength,
  type DType,
  dtypes,
  elementCount,
  formatShape,
  type Shape,
  stridesOf,
  type Tensor,
  type TensorSource,
  tensor,
} from '../core/tensor.js';
import {MAX_TORCH_RANK} from './lazy-tensor.js';
import {isKind, keyText, type NumpyArray, type PlainData} from './plain-data.js';
import {readStrided} from './strided.js';

/** numpy's code → how its bytes are read, and the dtype that holds all of its values. Without `as` they are the same. */
const readable: Readonly<Record<string, {dtype: DType; as?: DType}>> = {
  f8: {dtype: 'float64'},
  f4: {dtype: 'float32'},
  f2: {dtype: 'float16'},
  i8: {dtype: 'int64'},
  i4: {dtype: 'int32'},
  i2: {dtype: 'int16'},
  i1: {dtype: 'int8'},
  u1: {dtype: 'uint8'},
  b1: {dtype: 'bool'},
  u2: {dtype: 'int16', as: 'int32'},
  u4: {dtype: 'int32', as: 'int64'},
};

const rowOf = (array: NumpyArray) => {
  const code = array.dtype?.code ?? '';
  return Object.hasOwn(readable, code) ? readable[code] : undefined;
};

/** An array of numbers, of any dtype that can be read as a tensor. */
export const isNumericArray = (value: PlainData | undefined): value is NumpyArray =>
  isKind(value, 'array') && rowOf(value) !== undefined;

/** Throws CHECKPOINT_CORRUPT. The bytes are in memory already: what is made of them is paid as that of every tensor of the file. */
export function arrayTensor(file: string, key: string, array: NumpyArray, views: ViewBudget): TensorSource {
  const fail = (problem: string) =>
    new GpdError('CHECKPOINT_CORRUPT', `${file}: numpy array '${key}' ${problem}`, {
      at: `${file}#${key}`,
      hint: 'the file is damaged or was written by a faulty tool: get it again or save it again',
    });
  const {dtype, as = dtype} = rowOf(array)!;
  const {bytes, fortran} = array;
  if (array.size.length > MAX_TORCH_RANK) throw fail(`has ${array.size.length} dimensions; up to ${MAX_TORCH_RANK} are read`);
  const shape = array.size.map((n) => {
    if (typeof n === 'number' && Number.isSafeInteger(n) && n >= 0) return n;
    throw fail(`has a size of ${keyText(n)}`);
  });
  const expected = byteLength({dtype, shape});
  if (!bytes || bytes.length !== expected)
    throw fail(`of shape ${formatShape(shape)} has ${bytes?.length ?? 'no'} bytes, not ${expected}`);
  const stride = fortran ? stridesOf([...shape].reverse()).reverse() : stridesOf(shape);
  const source = bufferSource(bytes, file);
  const pay = views.account(file, key);
  return {
    dtype: as,
    shape,
    read(leading: Shape = shape) {
      pay(elementCount(leading) * (dtypes[as].bytes + (as === dtype ? 0 : dtypes[dtype].bytes)));
      const read = readStrided(source, {dtype, shape, stride, byteOffset: 0}, leading);
      if (array.dtype?.order === '>') swapBytes(read);
      return as === dtype ? read : widenUnsigned(read, as);
    },
  };
}

/** Turns big-endian numbers round, in place. */
function swapBytes({dtype, data}: Tensor): void {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const {bytes: width} = dtypes[dtype];
  if (width === 8) bytes.swap64();
  else if (width === 4) bytes.swap32();
  else if (width === 2) bytes.swap16();
}

function widenUnsigned({dtype, shape, data}: Tensor, as: DType): Tensor {
  return dtype === 'int16'
    ? tensor(
        'int32',
        shape,
        Int32Array.from(data as Int16Array, (v) => v & 0xffff),
      )
    : (tensor(
        'int64',
        shape,
        BigInt64Array.from(data as Int32Array, (v) => BigInt(v >>> 0)),
      ) as Tensor<typeof as>);
}
