/**
 * Huffman tables in the form that the decoder's loop reads: one entry tells all about a code and the bits of the value behind it.
 * Facts: ITU T.81, annex C (codes from counts) and F.1.2 (symbols).
 */
import type {HuffmanSpec} from './header.js';

/** A code of up to this many bits is found at once. */
export const LOOKAHEAD = 10;
const MAX_BITS = 16;
/** Longer codes have entries by all of their 16 bits, above the first that is longer. Real tables need some dozen prefixes. */
const MAX_LONG_PREFIXES = 128;
const UNIT = 1 << (MAX_BITS - LOOKAHEAD);
export const LONG_ENTRIES = MAX_LONG_PREFIXES * UNIT;

/** Added to the position in a block. Behind 63 lies the end; the position before tells of what kind. */
export const END_OF_BLOCK = 128;
export const NO_CODE = 64;

export interface HuffmanTable {
  /** By the next 10 bits; 0: the code is longer. */
  readonly short: Uint32Array; // [1024]
  /** By the next 16 bits, minus `longFrom`. */
  readonly long: Uint32Array;
  readonly longFrom: number;
}

/**
 * An entry, from its lowest bit, 8 bits each: bits of code and value together; bits of the code; 63 - bits of the value; what is added
 * to the position. The loop shifts by these without masking: shifts look at six bits.
 */
const entry = (codeBits: number, valueBits: number, advance: number): number =>
  ((advance << 24) | ((63 - valueBits) << 16) | (codeBits << 8) | (codeBits + valueBits)) >>> 0;

const noCode = entry(1, 0, NO_CODE);

type Meaning = (symbol: number) => readonly [valueBits: number, advance: number] | undefined;
/** 8-bit samples: differences have at most 11 bits, coefficients 10. */
export const dcMeaning: Meaning = (symbol) => (symbol <= 11 ? [symbol, 0] : undefined);
export const acMeaning: Meaning = (symbol) => {
  const run = symbol >> 4;
  const size = symbol & 15;
  if (size > 0) return size <= 10 ? [size, run + 1] : undefined;
  if (run === 0) return [0, END_OF_BLOCK];
  return run === 15 ? [0, 16] : undefined;
};

/** undefined: the counts fit no code, or a symbol means nothing. */
export function huffmanTable({counts, symbols}: HuffmanSpec, meaning: Meaning): HuffmanTable | undefined {
  // canonical codes grow with their length: as the high bits of 16, the longer ones lie from `longFrom` to `end`, and nothing above
  const room = (n: number, i: number) => n << (MAX_BITS - 1 - i);
  const longFrom = counts.subarray(0, LOOKAHEAD).reduce((sum, n, i) => sum + room(n, i), 0);
  const end = counts.reduce((sum, n, i) => sum + room(n, i), 0);
  const longLength = Math.ceil((end - longFrom) / UNIT) * UNIT;
  if (end > 1 << MAX_BITS || longLength > LONG_ENTRIES) return undefined;
  const short = new Uint32Array(1 << LOOKAHEAD).fill(noCode);
  const long = new Uint32Array(longLength).fill(noCode);
  short.fill(0, longFrom / UNIT, (longFrom + longLength) / UNIT);
  let code = 0;
  let next = 0;
  for (let bits = 1; bits <= MAX_BITS; bits++) {
    const span = 1 << (MAX_BITS - bits);
    for (let n = counts[bits - 1]!; n > 0; n--, code += span) {
      const found = meaning(symbols[next++]!);
      if (!found) return undefined;
      const value = entry(bits, ...found);
      if (bits <= LOOKAHEAD) short.fill(value, code / UNIT, (code + span) / UNIT);
      else long.fill(value, code - longFrom, code - longFrom + span);
    }
  }
  return {short, long, longFrom};
}
