/**
 * TensorProto → a tensor whose numbers stay in the file until they are asked for. Numbers may be in three places, and must be in
 * exactly one: `raw_data`, the list of their type (float_data, int64_data, …), or a file beside the model.
 * Source: TensorProto in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import type {ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import type {ViewBudget} from '../core/memory-budget.js';
import {
  byteLength,
  type DType,
  dtypes,
  elementCount,
  formatShape,
  leadingBlock,
  type Shape,
  type TensorSource,
  tensorOver,
} from '../core/tensor.js';
import {externalRange, type OpenExternal} from './external-data.js';
import {dtypeOfDataType} from './ops.js';
import {fromWireInt, type TensorMessage} from './proto.js';
import type {ByteRange, TensorPayload} from './wire.js';

/** Where a model is read from. */
export interface ModelBytes {
  readonly source: ByteSource;
  /** Bytes of the source; a view where they are in memory. */
  read(offset: number, length: number): Uint8Array;
  readonly payloads: readonly TensorPayload[];
  readonly openExternal: OpenExternal | undefined;
  /** Paid from by tensors in other files: several may lie in the same bytes. */
  readonly views: ViewBudget;
}

/** numpy allows 64 dimensions; no tensor of a network has more than 8. */
export const MAX_ONNX_RANK = 64;
const EXTERNAL = 1; // TensorProto.DataLocation.EXTERNAL

/** dtype → field of the list that holds its numbers. The small integers and both halves travel as int32. */
const typedField: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 10,
  int64: 7,
  int32: 5,
  int16: 5,
  int8: 5,
  uint8: 5,
  bool: 5,
  float16: 5,
  bfloat16: 5,
};

/** `owner`: what holds it, for messages, where it has no name of its own. */
export function decodeTensor(message: TensorMessage, model: ModelBytes, owner?: string): TensorSource {
  const payload = model.payloads[fromWireInt(message.segment?.begin)]!;
  const fail = (problem: string, hint = 'export the model again, or run onnx.checker on it'): never => {
    const at = `${model.source.name}@${payload.offset}`;
    throw new GpdError(
      'GRAPH_INVALID',
      `${model.source.name}: tensor '${message.name ?? ''}' ${owner === undefined ? '' : `(${owner}) `}${problem} (at byte ${payload.offset})`,
      {
        at,
        hint,
      },
    );
  };
  const dtype = dtypeOfDataType(message.dataType ?? 0);
  if (dtype === 'string') return fail('holds text, which is not read', TEXT);
  if (!dtype) return fail(`has data type ${message.dataType ?? 0}, which is not supported`);
  const shape = decodeDims(message, fail);
  const isExternal = message.dataLocation === EXTERNAL;
  const places = [payload.raw !== undefined, payload.typed.length > 0, isExternal].filter(Boolean).length;
  if (places > 1) fail('has its numbers in two places');
  if (isExternal) return externalTensor(message, dtype, shape, model, fail);
  if (payload.raw) return rawTensor(dtype, shape, payload.raw, (r) => model.read(r.offset, r.length), fail);
  return typedTensor(dtype, shape, payload, model, fail);
}

/** The model may well be valid. */
const TEXT = 'only numbers are read: remove the text from the model, or export the network without what uses it';

type Fail = (problem: string) => never;

function decodeDims(message: TensorMessage, fail: Fail): Shape {
  const shape = (message.dims ?? []).map(fromWireInt);
  if (shape.length > MAX_ONNX_RANK) fail(`has ${shape.length} dimensions`);
  const isPossible =
    shape.every((d) => Number.isSafeInteger(d) && d >= 0) && shape.every((_, i) => isCountable(shape.slice(0, i + 1)));
  return isPossible ? shape : fail(`has the impossible shape ${formatShape(shape)}`);
}
const isCountable = (shape: Shape) => Number.isSafeInteger(elementCount(shape) * 8);

function rawTensor(
  dtype: DType,
  shape: Shape,
  range: ByteRange,
  read: (range: ByteRange) => Uint8Array,
  fail: Fail,
): TensorSource {
  const needed = byteLength({dtype, shape});
  if (range.length !== needed) fail(`has ${range.length} bytes, ${dtype}${formatShape(shape)} needs ${needed}`);
  return {
    dtype,
    shape,
    read(leading) {
      const whole = tensorOver(dtype, shape, read(range));
      return leading ? leadingBlock(whole, leading) : whole;
    },
  };
}

function externalTensor(message: TensorMessage, dtype: DType, shape: Shape, model: ModelBytes, fail: Fail): TensorSource {
  const {file, range} = externalRange(message, byteLength({dtype, shape}), openerOf(model), fail);
  const pay = model.views.account(model.source.name, message.name ?? '');
  const read = (r: ByteRange) => {
    pay(r.length);
    return file.read(r.offset, r.length);
  };
  return rawTensor(dtype, shape, range, read, fail);
}

/** Nobody typed the name of the file that is missing: the model asked for it. */
function openerOf({source: {name}, openExternal}: ModelBytes): OpenExternal | undefined {
  if (!openExternal) return undefined;
  return (location) => {
    try {
      return openExternal(location);
    } catch (error) {
      if ((error as {cause?: {code?: string}}).cause?.code !== 'ENOENT') throw error;
      throw new GpdError('FILE_UNREADABLE', `${name}: its weights are in '${location}', which does not lie beside it`, {
        at: name,
        hint: 'the two belong together: copy both into one folder, under the names they were written with',
        cause: error,
      });
    }
  };
}

function typedTensor(dtype: DType, shape: Shape, {typed}: TensorPayload, model: ModelBytes, fail: Fail): TensorSource {
  const [field, width] = [typedField[dtype], dtype === 'float32' ? 4 : dtype === 'float64' ? 8 : 0];
  const other = typed.find((piece) => piece.field !== field);
  if (other) fail(`is ${dtype}, its numbers are in field ${other.field}`);
  const read = () => typed.map(({range}) => model.read(range.offset, range.length));
  const pieces = read();
  const count = pieces.reduce((n, piece) => n + (width > 0 ? piece.length / width : countVarints(piece)), 0);
  const needed = elementCount(shape); // checked before anything of that size is allocated
  if (count !== needed) fail(count === 0 ? 'has no numbers' : `has ${count} numbers, ${formatShape(shape)} needs ${needed}`);
  return {
    dtype,
    shape,
    read(leading) {
      const bytes = new Uint8Array(needed * dtypes[dtype].bytes);
      if (width > 0) copyAll(read(), bytes);
      else decodeVarints(read(), dtype, bytes);
      const whole = tensorOver(dtype, shape, bytes);
      return leading ? leadingBlock(whole, leading) : whole;
    },
  };
}

function copyAll(pieces: readonly Uint8Array[], into: Uint8Array): void {
  let offset = 0;
  for (const piece of pieces) {
    into.set(piece, offset);
    offset += piece.length;
  }
}

/** The last byte of each varint is below 128. */
const countVarints = (bytes: Uint8Array): number => bytes.reduce((n, byte) => (byte < 128 ? n + 1 : n), 0);

/** Varints of two's complement integers, 7 bits per byte, lowest first; what exceeds the type is cut off. */
function decodeVarints(pieces: readonly Uint8Array[], dtype: DType, into: Uint8Array): void {
  const out = new dtypes[dtype].array(into.buffer as ArrayBuffer);
  const words = new Int32Array(into.buffer, 0, out instanceof BigInt64Array ? 2 * out.length : 0);
  let index = 0;
  for (const piece of pieces) {
    let [low, high, shift] = [0, 0, 0];
    for (const byte of piece) {
      const bits = byte & 127;
      if (shift < 32) low |= bits << shift;
      if (shift === 28) high |= bits >>> 4;
      if (shift > 28) high |= bits << (shift - 32);
      shift += 7;
      if (byte >= 128) continue;
      if (words.length > 0) words.set([low, high], 2 * index);
      else (out as Int32Array)[index] = dtype === 'bool' ? Number(low !== 0) : low;
      index++;
      [low, high, shift] = [0, 0, 0];
    }
  }
}
