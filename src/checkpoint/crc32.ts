/** CRC-32 as zip files use it (ISO 3309, reflected polynomial 0xedb88320). */
import * as zlib from 'node:zlib';
import type {ByteSource} from '../core/bytes.js';

// zlib.crc32 came with Node 20.15 and 22.2 and runs at several GB/s; `engines` allows older ones.
const native = (zlib as {crc32?: (bytes: Uint8Array, seed?: number) => number}).crc32;

let table: Uint32Array | undefined;

function makeTable(): Uint32Array {
  return Uint32Array.from({length: 256}, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
    return n >>> 0;
  });
}

/** The same in plain JavaScript: the fallback, and the definition that the native one is tested against. */
export function crc32ByTable(bytes: Uint8Array, seed = 0): number {
  table ??= makeTable();
  let crc = ~seed;
  for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

export const crc32: (bytes: Uint8Array, seed?: number) => number = native ?? crc32ByTable;

const CHUNK = 1 << 20; // fits the second-level cache of common processors, so that each byte comes from memory once

/** The CRC-32 of a range of a file, in bounded memory. */
export function crc32OfRange(source: ByteSource, offset: number, length: number): number {
  const chunk = new Uint8Array(Math.min(CHUNK, length));
  let crc = 0;
  for (let done = 0; done < length; done += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, length - done));
    source.readInto(offset + done, part);
    crc = crc32(part, crc);
  }
  return crc;
}
