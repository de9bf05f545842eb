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
import {MemoryBudget} from '../core/memory-budget.js';

/** Google's own readers allow 100. ONNX needs 5, and 4 more for each If or Loop inside another. */
const MAX_DEPTH = 100;
/** What a message costs in memory, beyond its fields: copied, decoded by protobufjs, and as part of the graph. In bytes, measured. */
const messageCosts = {Node: 2000, Attribute: 1200, Tensor: 1300, Graph: 2300, ValueInfo: 1200} as const;
const OTHER_MESSAGE = 800;
/** A field or an element of a list. */
const FIELD = 24;
/** An integer may take one byte in the file and eight in a tensor. */
const NUMBER = 8;
/** Names are copied into the skeleton, and become strings, whose characters may take two bytes. */
const TEXT = 3;

const wires = {varint: 0, fixed64: 1, length: 2, fixed32: 5} as const;

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
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}
/** Where the numbers of a tensor are. */
export interface TensorPayload {
  /** Of the tensor message, for messages to people. */
  readonly offset: number;
  raw?: ByteRange;
  /** Pieces of float_data (4), int32_data (5), int64_data (7) or double_data (10). */
  readonly typed: {field: number; range: ByteRange}[];
}

export interface ScannedModel {
  /** A ModelProto without the numbers of its tensors. */
  readonly skeleton: Uint8Array;
  readonly payloads: readonly TensorPayload[];
}

export function scanModel(source: ByteSource): ScannedModel {
  const scanner = new Scanner(source);
  return {skeleton: scanner.message('Model', source.size, 0), payloads: scanner.payloads};
}

const WINDOW = 65536;

/** Bytes of the source at a position that moves on, through a window. */
class Cursor {
  position = 0;
  private window: Uint8Array = new Uint8Array(0);
  private start = 0;

  constructor(readonly source: ByteSource) {}

  byte(): number {
    if (!this.isLoaded(this.position, 1)) this.load();
    return this.window[this.position++ - this.start]!;
  }
  private isLoaded(offset: number, length: number): boolean {
    return offset >= this.start && offset + length <= this.start + this.window.length;
  }
  private load(): void {
    this.start = this.position;
    this.window = this.source.read(this.start, Math.min(WINDOW, this.source.size - this.start));
    if (this.window.length === 0) throw this.error('CHECKPOINT_TRUNCATED', 'the file ends inside a field');
  }
  /** The bytes of a stretch that has been walked over. */
  bytes(offset: number, length: number): Uint8Array {
    if (!this.isLoaded(offset, length)) return this.source.read(offset, length);
    return this.window.subarray(offset - this.start, offset - this.start + length);
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

  skip(length: number, end: number): ByteRange {
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

/** The copy of a message: fields that follow each other in the file are copied as one piece. */
class Copy {
  private readonly parts: Uint8Array[] = [];
  private from = 0;
  private to = 0;

  constructor(private readonly cursor: Cursor) {}

  addRange(from: number, to: number): void {
    if (from !== this.to) {
      this.flush();
      this.from = from;
    }
    this.to = to;
  }
  add(...parts: readonly Uint8Array[]): void {
    this.flush();
    this.parts.push(...parts);
  }
  finish(): Uint8Array {
    this.flush();
    return concatBytes(this.parts);
  }
  private flush(): void {
    if (this.to > this.from) this.parts.push(this.cursor.bytes(this.from, this.to - this.from));
    this.from = this.to;
  }
}

/** A field as it stands in the file. */
interface Occurrence {
  readonly message: MessageName;
  readonly number: number;
  readonly tag: number;
  /** Offset of the tag. */
  readonly start: number;
  /** What follows the tag (and length). */
  readonly range: ByteRange;
}

class Scanner {
  readonly payloads: TensorPayload[] = [];
  private readonly cursor: Cursor;
  private readonly budget: MemoryBudget;

  constructor(source: ByteSource) {
    this.cursor = new Cursor(source);
    this.budget = new MemoryBudget(source.name, source.size);
  }

  message(name: MessageName, end: number, depth: number, payload?: TensorPayload): Uint8Array {
    this.budget.spend((messageCosts as Partial<Record<MessageName, number>>)[name] ?? OTHER_MESSAGE);
    if (depth > MAX_DEPTH) throw this.cursor.error('LIMIT_EXCEEDED', `messages are nested more than ${MAX_DEPTH} deep`);
    const fields: Readonly<Record<number, Field>> = messages[name];
    const copy = new Copy(this.cursor);
    const seen = new Set<number>();
    while (this.cursor.position < end) {
      const at = this.next(name, end);
      const field = fields[at.number];
      if (field === undefined) continue;
      this.check(field, at);
      if (typeof field === 'string') this.take(field, at, copy, payload);
      else if ('message' in field) {
        if (!field.many && seen.has(at.number)) this.fail('is there twice', at);
        seen.add(at.number);
        copy.add(...this.embedded(field.message, at, depth));
      }
    }
    return copy.finish();
  }

  private next(message: MessageName, end: number): Occurrence {
    const start = this.cursor.position;
    const tag = this.cursor.varint(end);
    const number = Math.floor(tag / 8);
    if (number === 0 || number >= 2 ** 29) throw this.cursor.error('CHECKPOINT_CORRUPT', `there is no field ${number}`, start);
    this.budget.spend(FIELD);
    return {message, number, tag, start, range: this.extent(tag % 8, end, start)};
  }

  /** Copies a field, or notes where it is. */
  private take(field: Scalar | List | Payload, {number, start, range}: Occurrence, copy: Copy, payload?: TensorPayload): void {
    if (field === 'raw') payload!.raw = range;
    else if (field.startsWith('payload')) payload!.typed.push({field: number, range});
    else copy.addRange(start, range.offset + range.length);
  }

  private fail(problem: string, {message, number, start}: Occurrence): never {
    throw this.cursor.error('CHECKPOINT_CORRUPT', `field ${number} of ${message} ${problem}`, start);
  }

  /** The bytes of a field after its tag (and length). */
  private extent(wire: number, end: number, start: number): ByteRange {
    const {cursor} = this;
    switch (wire) {
      case wires.varint: {
        const offset = cursor.position;
        cursor.varint(end);
        return {offset, length: cursor.position - offset};
      }
      case wires.fixed64:
        return cursor.skip(8, end);
      case wires.fixed32:
        return cursor.skip(4, end);
      case wires.length:
        return cursor.skip(cursor.varint(end), end);
      default:
        throw cursor.error(
          'CHECKPOINT_CORRUPT',
          `wire type ${wire} ${wire < 5 ? '(a group) ' : ''}does not occur in ONNX`,
          start,
        );
    }
  }

  private check(field: Field, at: Occurrence): void {
    if (typeof field === 'object' && 'refuse' in field) {
      throw this.cursor.error('GRAPH_INVALID', `the model uses ${field.refuse}; they are not supported`, at.start);
    }
    const kind = typeof field === 'object' ? 'bytes' : field;
    const {allowed, width} = wireOf[kind];
    const wire = at.tag % 8;
    if (!allowed.includes(wire)) this.fail(`has wire type ${wire}`, at);
    if (wire !== wires.length) return;
    if (at.range.length % width !== 0) this.fail(`is a list of ${at.range.length} bytes, ${width} each`, at);
    if (kind === 'varints' || kind === 'fixed32s') this.budget.spend((FIELD * at.range.length) / width);
    if (kind === 'payload varints') this.budget.spend(NUMBER * at.range.length);
    if (field === 'bytes') this.budget.spend(TEXT * at.range.length);
    if (kind === 'varints') this.checkVarints(at.range);
  }

  private checkVarints({offset, length}: ByteRange): void {
    const {cursor} = this;
    for (cursor.position = offset; cursor.position < offset + length; ) cursor.varint(offset + length);
  }

  private embedded(name: MessageName, {tag, range}: Occurrence, depth: number): Uint8Array[] {
    const {offset, length} = range;
    this.cursor.position = offset;
    const payload: TensorPayload | undefined = name === 'Tensor' ? {offset, typed: []} : undefined;
    const body = this.message(name, offset + length, depth + 1, payload);
    const segment = payload ? segmentField(this.payloads.push(payload) - 1) : [];
    return [
      Uint8Array.from([...varintBytes(tag), ...varintBytes(body.length + segment.length)]),
      body,
      Uint8Array.from(segment),
    ];
  }
}

/** How each kind of field may be written; lists also as one stretch, in which an element has `width` bytes. */
const wireOf: Record<Scalar | List | Payload, {allowed: readonly number[]; width: number}> = {
  varint: {allowed: [wires.varint], width: 1},
  fixed32: {allowed: [wires.fixed32], width: 4},
  bytes: {allowed: [wires.length], width: 1},
  varints: {allowed: [wires.varint, wires.length], width: 1},
  fixed32s: {allowed: [wires.fixed32, wires.length], width: 4},
  raw: {allowed: [wires.length], width: 1},
  'payload varints': {allowed: [wires.varint, wires.length], width: 1},
  'payload fixed32s': {allowed: [wires.fixed32, wires.length], width: 4},
  'payload fixed64s': {allowed: [wires.fixed64, wires.length], width: 8},
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
