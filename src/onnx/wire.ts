/**
 * A first reading of untrusted protobuf bytes, before protobufjs sees any. It walks the fields by the table below and gives a
 * copy without what must not or need not reach the decoder:
 *
 *  - the numbers of tensors stay in the file. A tensor gets a `segment` field instead (which ONNX reserves and no file uses)
 *    whose `begin` is the index of a `TensorPayload`;
 *  - fields that are not in the table are left out;
 *  - anything that two readers could understand differently is refused: groups, wrong wire types, a message field twice.
 *
 * protobufjs 8 overflows the stack at 5,000 nested messages, and checks no wire types.
 * Wire format: https://protobuf.dev/programming-guides/encoding/. Fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import type {ByteSource} from '../core/bytes.js';
import {type ErrorCode, GpdError} from '../core/error.js';

/** Google's own readers allow 100. ONNX needs 5, and 4 more for each If or Loop inside another. */
const MAX_DEPTH = 100;
/** Empty messages cost 2 bytes in the file and 200 in memory. The largest published graphs have below 10⁵ nodes. */
const MAX_MESSAGES = 4_000_000;
/** A list of integers or floats in an attribute, or dims: protobufjs makes an object of each. */
const MAX_LIST_BYTES = 16 * 2 ** 20;

enum Wire {
  Varint = 0,
  Fixed64 = 1,
  Length = 2,
  Fixed32 = 5,
}

type Scalar = 'varint' | 'fixed32' | 'bytes';
type List = 'varints' | 'fixed32s';
/** Numbers of a tensor, which stay where they are. */
type Payload = 'raw' | 'payload varints' | 'payload fixed32s' | 'payload fixed64s';
interface Embedded {
  message: MessageName;
  many?: true;
}
type Field = Scalar | List | Payload | Embedded | {refuse: string};
type MessageName = keyof typeof messages;

const entry = {1: 'bytes', 2: 'bytes'} as const;
const messages = {
  Model: {
    1: 'varint', // ir_version
    2: 'bytes', // producer_name
    3: 'bytes', // producer_version
    7: {message: 'Graph'},
    8: {message: 'OperatorSetId', many: true},
    14: {message: 'StringStringEntry', many: true}, // metadata_props
    25: {refuse: 'model-local functions; inline them with onnx.inliner'},
  },
  Graph: {
    1: {message: 'Node', many: true},
    2: 'bytes', // name
    5: {message: 'Tensor', many: true},
    11: {message: 'ValueInfo', many: true}, // input
    12: {message: 'ValueInfo', many: true}, // output
    13: {message: 'ValueInfo', many: true},
    15: {refuse: 'sparse initializers'},
  },
  Node: {
    1: 'bytes', // input
    2: 'bytes', // output
    3: 'bytes', // name
    4: 'bytes', // op_type
    5: {message: 'Attribute', many: true},
    7: 'bytes', // domain
  },
  Attribute: {
    1: 'bytes', // name
    2: 'fixed32', // f
    3: 'varint', // i
    4: 'bytes', // s
    5: {message: 'Tensor'},
    6: {message: 'Graph'},
    7: 'fixed32s', // floats
    8: 'varints', // ints
    9: 'bytes', // strings
    20: 'varint', // type
  },
  Tensor: {
    1: 'varints', // dims
    2: 'varint', // data_type
    3: {refuse: 'tensors in segments'},
    4: 'payload fixed32s', // float_data
    5: 'payload varints', // int32_data
    7: 'payload varints', // int64_data
    8: 'bytes', // name
    9: 'raw', // raw_data
    10: 'payload fixed64s', // double_data
    13: {message: 'StringStringEntry', many: true}, // external_data
    14: 'varint', // data_location
  },
  ValueInfo: {1: 'bytes', 2: {message: 'Type'}},
  Type: {1: {message: 'TensorType'}},
  TensorType: {1: 'varint', 2: {message: 'TensorShape'}},
  TensorShape: {1: {message: 'Dimension', many: true}},
  Dimension: {1: 'varint', 2: 'bytes'},
  OperatorSetId: {1: 'bytes', 2: 'varint'},
  StringStringEntry: entry,
} as const satisfies Record<
  string,
  Record<number, Scalar | List | Payload | {refuse: string} | {message: string; many?: true}>
>;

/** A stretch of the file. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}
/** Where the numbers of a tensor are. */
export interface TensorPayload {
  /** Of the tensor message, for messages to people. */
  readonly offset: number;
  raw?: Range;
  /** Pieces of float_data (4), int32_data (5), int64_data (7) or double_data (10). */
  readonly typed: {field: number; range: Range}[];
}

export interface ScannedModel {
  /** A ModelProto without the numbers of its tensors. */
  readonly skeleton: Uint8Array;
  readonly payloads: readonly TensorPayload[];
}

export function scanModel(source: ByteSource): ScannedModel {
  const scanner = new Scanner(source);
  return {skeleton: scanner.message('Model', source.size, 0, undefined), payloads: scanner.payloads};
}

const WINDOW = 65536;

/** Bytes of the source at a position that moves on, through a window. */
class Cursor {
  position = 0;
  private window: Uint8Array = new Uint8Array(0);
  private start = 0;

  constructor(readonly source: ByteSource) {}

  byte(): number {
    const at = this.position - this.start;
    if (at < 0 || at >= this.window.length) return this.refill();
    this.position++;
    return this.window[at]!;
  }
  private refill(): number {
    this.start = this.position;
    this.window = this.source.read(this.start, Math.min(WINDOW, this.source.size - this.start));
    if (this.window.length === 0) throw this.error('CHECKPOINT_TRUNCATED', 'the file ends inside a field');
    return this.byte();
  }

  /** Exact up to 2⁵³; beyond, large enough to be refused as a length. */
  varint(end: number): number {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      if (this.position >= end) throw this.error('CHECKPOINT_TRUNCATED', 'an integer ends after its message');
      const byte = this.byte();
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw this.error('CHECKPOINT_CORRUPT', 'an integer has more than 10 bytes');
  }

  skip(length: number, end: number): Range {
    const range = {offset: this.position, length};
    if (length > end - this.position) {
      const left = end - this.position;
      throw this.error('CHECKPOINT_TRUNCATED', `a field of ${length} bytes is declared where ${left} are left`);
    }
    this.position += length;
    return range;
  }

  error(code: ErrorCode, problem: string, offset = this.position): GpdError {
    return new GpdError(code, `${this.source.name}: ${problem} (at byte ${offset})`, {
      at: `${this.source.name}@${offset}`,
      hint: 'the file is damaged, or is not an ONNX model',
    });
  }
}

class Scanner {
  readonly payloads: TensorPayload[] = [];
  private readonly cursor: Cursor;
  private count = 0;

  constructor(private readonly source: ByteSource) {
    this.cursor = new Cursor(source);
  }

  message(name: MessageName, end: number, depth: number, payload: TensorPayload | undefined): Uint8Array {
    if (depth > MAX_DEPTH) throw this.cursor.error('LIMIT_EXCEEDED', `messages are nested more than ${MAX_DEPTH} deep`);
    if (++this.count > MAX_MESSAGES) throw this.cursor.error('LIMIT_EXCEEDED', `there are more than ${MAX_MESSAGES} messages`);
    const fields: Readonly<Record<number, Field>> = messages[name];
    const parts: Uint8Array[] = [];
    const seen = new Set<number>();
    while (this.cursor.position < end) {
      const start = this.cursor.position;
      const tag = this.cursor.varint(end);
      const number = Math.floor(tag / 8);
      if (number === 0 || number >= 2 ** 29)
        throw this.cursor.error('CHECKPOINT_CORRUPT', `there is no field ${number}`, start);
      const field = Object.hasOwn(fields, number) ? fields[number] : undefined;
      const range = this.extent(tag % 8, end, start);
      if (field === undefined) continue;
      this.checkField(name, number, field, tag % 8, range, start);
      if (typeof field === 'object') {
        if ('refuse' in field) continue; // checkField has thrown
        if (!field.many && seen.has(number))
          throw this.cursor.error('CHECKPOINT_CORRUPT', `field ${number} of ${name} is there twice`, start);
        seen.add(number);
        parts.push(...this.embedded(field.message, tag, range, depth));
      } else if (field === 'raw') payload!.raw = range;
      else if (field.startsWith('payload')) payload!.typed.push({field: number, range});
      else parts.push(this.source.read(start, range.offset + range.length - start));
    }
    return concatBytes(parts);
  }

  /** The bytes of a field after its tag (and length). */
  private extent(wire: number, end: number, start: number): Range {
    const {cursor} = this;
    switch (wire) {
      case Wire.Varint: {
        const offset = cursor.position;
        cursor.varint(end);
        return {offset, length: cursor.position - offset};
      }
      case Wire.Fixed64:
        return cursor.skip(8, end);
      case Wire.Fixed32:
        return cursor.skip(4, end);
      case Wire.Length:
        return cursor.skip(cursor.varint(end), end);
      default:
        throw cursor.error(
          'CHECKPOINT_CORRUPT',
          `wire type ${wire} ${wire < 5 ? '(a group) ' : ''}does not occur in ONNX`,
          start,
        );
    }
  }

  private checkField(name: MessageName, number: number, field: Field, wire: number, range: Range, start: number): void {
    const where = `field ${number} of ${name}`;
    if (typeof field === 'object' && 'refuse' in field) {
      throw this.cursor.error('GRAPH_INVALID', `the model uses ${field.refuse}; they are not supported`, start);
    }
    const {wires, width} = typeof field === 'object' ? wireOf.bytes : wireOf[field];
    if (!wires.includes(wire)) throw this.cursor.error('CHECKPOINT_CORRUPT', `${where} has wire type ${wire}`, start);
    if (wire !== Wire.Length) return;
    if (width > 1 && range.length % width !== 0) {
      throw this.cursor.error('CHECKPOINT_CORRUPT', `${where} is a list of ${range.length} bytes, ${width} each`, start);
    }
    if (field !== 'varints' && field !== 'fixed32s') return;
    if (range.length > MAX_LIST_BYTES)
      throw this.cursor.error('LIMIT_EXCEEDED', `${where} is a list of ${range.length} bytes`, start);
    if (field === 'varints') this.checkVarints(range);
  }

  private checkVarints({offset, length}: Range): void {
    const {cursor} = this;
    for (cursor.position = offset; cursor.position < offset + length; ) cursor.varint(offset + length);
  }

  private embedded(name: MessageName, tag: number, {offset, length}: Range, depth: number): Uint8Array[] {
    this.cursor.position = offset;
    const payload = name === 'Tensor' ? {offset, typed: []} : undefined;
    const body = this.message(name, offset + length, depth + 1, payload);
    const segment = payload ? segmentField(this.payloads.push(payload) - 1) : [];
    return [
      Uint8Array.from([...varintBytes(tag), ...varintBytes(body.length + segment.length)]),
      body,
      Uint8Array.from(segment),
    ];
  }
}

const wireOf: Record<Scalar | List | Payload, {wires: readonly number[]; width: number}> = {
  varint: {wires: [Wire.Varint], width: 1},
  fixed32: {wires: [Wire.Fixed32], width: 4},
  bytes: {wires: [Wire.Length], width: 1},
  varints: {wires: [Wire.Varint, Wire.Length], width: 1},
  fixed32s: {wires: [Wire.Fixed32, Wire.Length], width: 4},
  raw: {wires: [Wire.Length], width: 1},
  'payload varints': {wires: [Wire.Varint, Wire.Length], width: 1},
  'payload fixed32s': {wires: [Wire.Fixed32, Wire.Length], width: 4},
  'payload fixed64s': {wires: [Wire.Fixed64, Wire.Length], width: 8},
};

/** TensorProto.segment = 3 {begin = 1}. */
function segmentField(index: number): number[] {
  const begin = [0x08, ...varintBytes(index)];
  return [0x1a, begin.length, ...begin];
}

/** A non-negative integer as protobuf writes it: seven bits per byte, the lowest first. */
export function varintBytes(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
  return [...bytes, left];
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
