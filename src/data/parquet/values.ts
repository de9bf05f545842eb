/** The values of a page: levels that say which are null, then the values themselves or their places in a dictionary. */
import type {Column} from './footer.js';

/** Bytes are views of their page. */
export type CellValue = number | Uint8Array | undefined;

/**
 * Runs of equal values, and values of `width` bits behind each other.
 * Format: parquet-format, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid".
 */
export function readHybrid(bytes: Uint8Array, width: number, count: number): Uint32Array {
  if (width > 32) throw new Error(`values of ${width} bits`);
  const out = new Uint32Array(count);
  let at = 0;
  for (let filled = 0; filled < count; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 28) throw new Error('a page ends too early');
      header += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    const isPacked = header % 2 === 1;
    const length = isPacked ? Math.floor(header / 2) * 8 : Math.floor(header / 2);
    if (length === 0) throw new Error('a run of no values');
    const taken = Math.min(length, count - filled);
    const size = isPacked ? Math.ceil((taken * width) / 8) : Math.ceil(width / 8);
    if (at + size > bytes.length) throw new Error('a page ends too early');
    if (isPacked) unpackBits(bytes.subarray(at), width, out.subarray(filled, filled + taken));
    else out.fill(littleEndian(bytes, at, size), filled, filled + taken);
    at += isPacked ? (length / 8) * width : size;
    filled += taken;
  }
  return out;
}

function unpackBits(bytes: Uint8Array, width: number, out: Uint32Array): void {
  for (let i = 0, bit = 0; i < out.length; i++) {
    let value = 0;
    for (let k = 0; k < width; k++, bit++) value += ((bytes[bit >> 3]! >> (bit & 7)) & 1) * 2 ** k;
    out[i] = value;
  }
}

function littleEndian(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value += bytes[at + i]! * 256 ** i;
  return value;
}

/** `count` values as they are. */
export function readPlain(bytes: Uint8Array, {type, name}: Column, count: number): CellValue[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const need = (length: number) => {
    if (!(at + length <= bytes.length)) throw new Error(`a page of '${name}' ends too early`);
    at += length;
    return at - length;
  };
  if (type === 'int32') return values(count, need(4 * count), (i, start) => view.getInt32(start + 4 * i, true));
  if (type === 'int64') return values(count, need(8 * count), (i, start) => Number(view.getBigInt64(start + 8 * i, true)));
  if (type !== 'bytes') throw new Error(`'${name}' is of a type that is not read here`);
  need(4 * count); // each has its length, so that no array is made for values that are not there
  at = 0;
  return values(count, 0, () => {
    const length = view.getUint32(need(4), true);
    const start = need(length);
    return bytes.subarray(start, start + length);
  });
}

const values = (count: number, start: number, value: (i: number, start: number) => CellValue): CellValue[] =>
  Array.from({length: count}, (_, i) => value(i, start));

/** `levels`: which rows have a value, where that is `top`. Undefined: all have. */
export function spreadOut(found: readonly CellValue[], levels: Uint32Array | undefined, top: number): CellValue[] {
  if (!levels) return [...found];
  let next = 0;
  return Array.from(levels, (level) => (level === top ? found[next++] : undefined));
}
