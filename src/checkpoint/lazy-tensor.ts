/** From a view as a file describes it to a tensor that can be read: every number in the description is checked here, against the bytes. */
import type {ByteSource} from '../core/bytes.js';
import {type ErrorCode, GpdError} from '../core/error.js';
import type {ViewBudget} from '../core/memory-budget.js';
import {byteLength, dtypes, elementCount, formatShape, type Shape, type TensorSource} from '../core/tensor.js';
import {keyText, type PlainData, type StorageRef, type TensorRef} from './plain-data.js';
import {bytesRead, readStrided} from './strided.js';

/** Where the bytes of a storage lie. */
export interface StoragePlace {
  readonly offset: number;
  readonly length: number;
  /** Called with all bytes of the storage when they have been read in one piece: throws if they are known to be damaged. */
  check?(bytes: Uint8Array): void;
}
/** Finds a storage, or undefined where the file does not have it. */
export type LocateStorage = (storage: StorageRef) => StoragePlace | undefined;

/** What a tensor needs of its file: where storages lie, and the budget that all its tensors pay from. */
export interface Storages {
  readonly locate: LocateStorage;
  readonly views: ViewBudget;
}

/** PyTorch allows 64; weights of networks have up to 5. */
export const MAX_TORCH_RANK = 16;
/** A view may repeat elements (expand, stride 0) and so be larger than its bytes. Weights never are, small buffers may be. */
export const MAX_EXPANDED_ELEMENTS = 1 << 20;

/** Reading is paid from the budget of the file: see `ViewBudget`. Throws CHECKPOINT_CORRUPT and LIMIT_EXCEEDED. */
export function lazyTensor(source: ByteSource, key: string, ref: TensorRef, {locate, views}: Storages): TensorSource {
  const {storage} = ref;
  const fail = (problem: string, code: ErrorCode = 'CHECKPOINT_CORRUPT') =>
    new GpdError(code, `${source.name}: tensor '${key}' ${problem}`, {
      at: `${source.name}#${key}`,
      hint: 'the file is damaged or was written by a faulty tool: get it again or save it again',
    });
  const {offset, shape, stride} = checkView(ref, fail);
  const place = locate(storage);
  if (!place) throw fail(`needs storage '${storage.key}', which the file does not have`);
  const width = dtypes[storage.dtype].bytes;
  if (place.length !== storage.count * width) {
    throw fail(`needs ${storage.count} × ${width} bytes of storage '${storage.key}', which has ${place.length}`);
  }
  const layout = {dtype: storage.dtype, shape, stride, byteOffset: place.offset + offset * width};
  const pay = views.account(source.name, key);
  const whole = elementCount(shape) === storage.count;
  return {
    dtype: storage.dtype,
    shape,
    read(leading = shape) {
      pay(byteLength({dtype: storage.dtype, shape: leading}), bytesRead(layout, leading));
      const tensor = readStrided(source, layout, leading);
      if (whole && place.check && isContiguous(shape, stride) && tensor.data.byteLength === place.length) {
        place.check(new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength));
      }
      return tensor;
    },
  };
}

type Fail = (problem: string, code?: ErrorCode) => GpdError;

/** The last element must lie inside the storage, computed without overflow: a product beyond 2^53 is refused as it appears. */
function checkView(ref: TensorRef, fail: Fail): {offset: number; shape: Shape; stride: Shape} {
  const offset = natural(ref.storageOffset, 'a storage offset', fail);
  const shape = ref.size.map((n) => natural(n, 'a size', fail));
  const stride = ref.stride.map((n) => natural(n, 'a stride', fail));
  const shown = `of shape ${formatShape(shape)}`;
  if (shape.length > MAX_TORCH_RANK)
    throw fail(`has ${shape.length} dimensions; up to ${MAX_TORCH_RANK} are read`, 'LIMIT_EXCEEDED');
  if (shape.length !== stride.length) throw fail(`${shown} has ${stride.length} strides`);
  const count = shape.reduce((n, d) => safe(n * d, 'more elements than any file holds', fail), 1);
  if (count === 0) return {offset, shape, stride};
  const last = shape.reduce(
    (n, d, i) => safe(n + safe((d - 1) * stride[i]!, 'strides out of range', fail), 'strides out of range', fail),
    offset,
  );
  if (last >= ref.storage.count) {
    throw fail(`${shown} reaches to element ${last} of storage '${ref.storage.key}', which has ${ref.storage.count}`);
  }
  if (count > Math.max(ref.storage.count, MAX_EXPANDED_ELEMENTS)) {
    throw fail(`${shown} repeats the ${ref.storage.count} elements of its storage ${count} times over`, 'LIMIT_EXCEEDED');
  }
  return {offset, shape, stride};
}

function natural(value: PlainData, what: string, fail: Fail): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw fail(`has ${what} of ${keyText(value)}`);
  return value;
}

function safe(value: number, what: string, fail: Fail): number {
  if (!Number.isSafeInteger(value)) throw fail(`has ${what}`);
  return value;
}

/** Whether the elements lie in row-major order without gaps. The stride of a dimension of size 1 means nothing. */
export function isContiguous(shape: Shape, stride: Shape): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && stride[d] !== expected) return false;
    expected *= shape[d]!;
  }
  return true;
}
