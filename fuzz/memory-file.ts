/** Bytes in memory where a reader expects a file. */
import {bufferSource} from '../src/core/bytes.js';
import type {FileSpan} from '../src/data/data-file.js';

export const memorySpan = (bytes: Uint8Array, name = 'fuzz'): FileSpan => ({
  name,
  offset: 0,
  size: bytes.length,
  file: {
    name,
    indexed: (index) => index(bufferSource(bytes, name)),
    read: async (offset, size) => bufferSource(bytes, name).read(offset, size),
    async close() {},
  },
});

/** These words in a reason mean that our own code broke. */
const BROKEN = /RangeError|TypeError|undefined|is not a|Invalid array length|Cannot read|out of memory|offset is out of bounds/;

/** What a plain error says, which the loader reports with the path of the image. Throws what is none of those. */
export function plainReason(error: unknown): string {
  if (!(error instanceof Error) || error.constructor !== Error || BROKEN.test(error.message)) throw error;
  return `refused: ${error.message.replace(/[\d.]+/g, '#').slice(0, 60)}`;
}
