/** Where everything lies in the decoder's memory, and the records that JavaScript fills for the loops. Bytes. */
import {LONG_ENTRIES, LOOKAHEAD} from './huffman.js';

/** A JPEG has at most so many blocks in an MCU (ITU T.81, B.2.3). */
export const MAX_BLOCKS = 10;
const MAX_COMPONENTS = 3;
/** A transform gives at most 16 samples a side: chroma of half the resolution, at full scale. */
export const MAX_SIDE = 16;
export const TABLE_BYTES = 4 * ((1 << LOOKAHEAD) + LONG_ENTRIES);

/** In i32s; the bit buffer takes two. */
export const job = {
  address: 0,
  count: 1,
  bits: 2,
  mcu: 4,
  end: 5,
  first: 6,
  needed: 7,
  limit: 8,
  blocks: 9,
  blocksEnd: 10,
  failed: 11,
};
export const blockFields = {
  dcShort: 0,
  dcLong: 1,
  acShort: 2,
  acLong: 3,
  prediction: 4,
  quantisation: 5,
  vertical: 6,
  rows: 7,
  horizontal: 8,
  isWide: 9,
  target: 10,
  stride: 11,
  step: 12,
};
export const COEFFICIENT_BLOCK_BYTES = 64;

const align = (n: number) => (n + 15) & ~15;
const place = <K extends string>(sizes: Readonly<Record<K, number>>): Record<K | 'end', number> => {
  let next = 0;
  const entries = Object.entries<number>(sizes).map(([name, size]) => {
    const at = next;
    next = align(next + size);
    return [name, at];
  });
  return {...Object.fromEntries(entries), end: next};
};

export const at = place({
  /** Position in zigzag order → byte offset in a block; behind 63 → a place that nobody reads. */
  natural: 63 + 128 + 1,
  /** A block: int16 [8, 8], and that place. */
  coefficients: 128 + 2,
  /** After the vertical transform: int16 [rows, 8]. */
  rows: MAX_SIDE * 16,
  job: 48,
  /** Of `unstuff`: where it stopped reading and writing. */
  stopped: 8,
  predictions: 4 * MAX_COMPONENTS,
  blocks: MAX_BLOCKS * COEFFICIENT_BLOCK_BYTES,
  quantisation: MAX_COMPONENTS * 128,
  vertical: MAX_COMPONENTS * MAX_SIDE * 16,
  horizontal: MAX_COMPONENTS * 2 * 128,
  tables: 2 * MAX_COMPONENTS * TABLE_BYTES,
});
