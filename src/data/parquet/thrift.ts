/**
 * Thrift's compact protocol, as far as parquet uses it: structs of numbered fields. What a file declares is compared with the bytes that are left
 * before anything is made; libraries make lists of as many places as a file says.
 * Format: github.com/apache/thrift, doc/specs/thrift-compact-protocol.md.
 */
import {costs, type MemoryBudget} from '../../core/memory-budget.js';

export type ThriftStruct = ReadonlyMap<number, ThriftValue>;
export type ThriftValue = number | boolean | Uint8Array | readonly ThriftValue[] | ThriftStruct;

/** Parquet's own structs lie five deep. */
const MAX_DEPTH = 24;
/** Of 7 bits each, for 64. */
const MAX_VARINT = 10;

/** The bytes end before what they describe. */
export class ThriftEnd extends Error {}

class Cursor {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
    readonly budget: MemoryBudget,
  ) {}

  get left(): number {
    return this.bytes.length - this.at;
  }
  u8(): number {
    if (this.left < 1) throw new ThriftEnd('its description ends too early');
    return this.bytes[this.at++]!;
  }
  take(length: number): Uint8Array {
    if (length > this.left) throw new ThriftEnd('its description ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
  varint(): bigint {
    let value = 0n;
    for (let i = 0; i < MAX_VARINT; i++) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) return value;
    }
    throw new Error('a number in its description has no end');
  }
  count(): number {
    return asNumber(this.varint());
  }
  zigzag(): number {
    const value = this.varint();
    return asNumber((value >> 1n) ^ -(value & 1n));
  }
}

function asNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new Error(`a number in its description is ${value}`);
  return number;
}

/** A struct that begins at `at`, and where it ends. Throws plain errors. */
export function readThrift(bytes: Uint8Array, at: number, budget: MemoryBudget): {value: ThriftStruct; end: number} {
  const cursor = new Cursor(bytes, at, budget);
  const value = struct(cursor, 0);
  return {value, end: cursor.at};
}

function struct(cursor: Cursor, depth: number): ThriftStruct {
  if (depth > MAX_DEPTH) throw new Error('its description is nested too deeply');
  cursor.budget.spend(costs.map);
  const fields = new Map<number, ThriftValue>();
  for (let id = 0; ; ) {
    const byte = cursor.u8();
    if (byte === 0) return fields;
    id = byte >> 4 ? id + (byte >> 4) : cursor.zigzag();
    cursor.budget.spend(costs.entry);
    fields.set(id, field(cursor, byte & 15, depth));
  }
}

/** THE table of types that a field or an element may have. */
function field(cursor: Cursor, type: number, depth: number): ThriftValue {
  if (type === 1 || type === 2) return type === 1;
  if (type === 3) return (cursor.u8() << 24) >> 24;
  if (type >= 4 && type <= 6) return cursor.zigzag();
  if (type === 7) {
    const eight = cursor.take(8);
    return new DataView(eight.buffer, eight.byteOffset, 8).getFloat64(0, true);
  }
  if (type === 8) return cursor.take(cursor.count());
  if (type === 9 || type === 10) return list(cursor, depth);
  if (type === 12) return struct(cursor, depth + 1);
  throw new Error(`its description has a part of the type ${type}`);
}

/** Every element takes a byte at least. */
function list(cursor: Cursor, depth: number): ThriftValue[] {
  if (depth > MAX_DEPTH) throw new Error('its description is nested too deeply');
  const byte = cursor.u8();
  const size = byte >> 4 === 15 ? cursor.count() : byte >> 4;
  if (size > cursor.left) throw new ThriftEnd('its description ends too early');
  const type = byte & 15;
  cursor.budget.spend(costs.item * size);
  return Array.from({length: size}, () => (type <= 2 ? cursor.u8() === 1 : field(cursor, type, depth + 1)));
}

/** The number, text, bytes, list or struct of a field; what is absent or of another kind is `or`. */
export const numberAt = (from: ThriftStruct, id: number, or: number): number => {
  const value = from.get(id);
  return typeof value === 'number' ? value : or;
};
export const textAt = (from: ThriftStruct, id: number): string => {
  const value = from.get(id);
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : '';
};
export const listAt = (from: ThriftStruct, id: number): readonly ThriftValue[] => {
  const value = from.get(id);
  return Array.isArray(value) ? value : [];
};
export const structAt = (from: ThriftStruct, id: number): ThriftStruct | undefined => {
  const value = from.get(id);
  return value instanceof Map ? value : undefined;
};
export const structsAt = (from: ThriftStruct, id: number): ThriftStruct[] =>
  listAt(from, id).filter((item): item is ThriftStruct => item instanceof Map);
