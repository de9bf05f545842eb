/**
 * bzip2, as a stream of small pieces. A block holds up to 900,000 symbols, and a run of 255 equal bytes takes five of them: what a block unpacks
 * to is therefore given out piece by piece and never held as a whole.
 * Format: there is no standard; J. Seward, bzip2 1.0.8, and its description by J. Tsai, "BZIP2: Format Specification", 2016.
 */

type Pieces = AsyncIterable<Uint8Array>;

const BLOCK_MAGIC = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const END_MAGIC = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
/** Symbols that one choice of Huffman table is for. */
const GROUP = 50;
const MAX_CODE_LENGTH = 20;
const OUT_BYTES = 1 << 16;

/** Bits from pieces of bytes, the highest first. Asking is synchronous while there is enough; `need` waits for more. */
class BitInput {
  private piece: Uint8Array = new Uint8Array(0);
  private at = 0;
  private held = 0;
  private count = 0;
  private readonly pieces: AsyncIterator<Uint8Array>;

  constructor(pieces: Pieces) {
    this.pieces = pieces[Symbol.asyncIterator]();
  }

  /** Makes sure that so many bytes are here, or all that there are. */
  async need(bytes: number): Promise<void> {
    const rest = this.piece.subarray(this.at);
    if (rest.length >= bytes) return;
    const parts: Uint8Array[] = [rest];
    for (let have = rest.length; have < bytes; ) {
      const {value, done} = await this.pieces.next();
      if (done) break;
      parts.push(value);
      have += value.length;
    }
    this.piece = Buffer.concat(parts);
    this.at = 0;
  }

  get isAtEnd(): boolean {
    return this.at >= this.piece.length;
  }

  /** At most 24. */
  bits(n: number): number {
    while (this.count < n) {
      if (this.isAtEnd) throw new Error('it ends too early');
      this.held = ((this.held << 8) | this.piece[this.at++]!) & 0xffffffff;
      this.count += 8;
    }
    this.count -= n;
    return (this.held >>> this.count) & ((1 << n) - 1);
  }

  u32(): number {
    return this.bits(16) * 65536 + this.bits(16);
  }

  /** To the next whole byte. */
  align(): void {
    this.count -= this.count % 8;
  }
}

/** The largest block, compressed: 900,000 symbols of at most 20 bits, and its tables. */
const MOST_OF_A_BLOCK = 2_400_000;

/** Of one stream, or of several behind each other, as parallel compressors write them. */
export async function* unbzip2(pieces: Pieces): Pieces {
  const input = new BitInput(pieces);
  await input.need(MOST_OF_A_BLOCK);
  do {
    const limit = streamHeader(input);
    let sum = 0;
    for (;;) {
      await input.need(MOST_OF_A_BLOCK);
      const magic = [0, 0, 0, 0, 0, 0].map(() => input.bits(8));
      const crc = input.u32();
      if (matches(magic, END_MAGIC)) {
        if (crc !== sum) throw new Error('its checksum does not fit');
        break;
      }
      if (!matches(magic, BLOCK_MAGIC)) throw new Error('a block does not begin as one');
      yield* expanded(readBlock(input, limit), crc);
      sum = (((sum << 1) | (sum >>> 31)) ^ crc) >>> 0;
    }
    input.align();
    await input.need(MOST_OF_A_BLOCK);
  } while (!input.isAtEnd);
}

const matches = (a: readonly number[], b: readonly number[]) => a.every((byte, i) => byte === b[i]);

/** 'BZh' and a digit: hundreds of thousands of symbols in a block. */
function streamHeader(input: BitInput): number {
  const [b, z, h, level] = [input.bits(8), input.bits(8), input.bits(8), input.bits(8) - 0x30] as const;
  if (b !== 0x42 || z !== 0x5a || h !== 0x68 || level < 1 || level > 9) throw new Error('what follows is no bzip2 stream');
  return level * 100_000;
}

interface Block {
  /** For each place of the sorted block: the byte there, and above it where the next one is. */
  readonly links: Uint32Array;
  readonly start: number;
}

/** Huffman codes, then moves to the front, then the inverse of the Burrows-Wheeler transform. */
function readBlock(input: BitInput, limit: number): Block {
  if (input.bits(1)) throw new Error('randomised blocks of old versions are not read');
  const origin = input.bits(24);
  const alphabet = readAlphabet(input);
  const {symbols, length} = readSymbols(input, alphabet, limit);
  if (origin >= length) throw new Error('a block begins outside itself');
  const starts = new Uint32Array(256);
  for (let i = 0; i < length; i++) starts[symbols[i]!]!++;
  for (let byte = 0, sum = 0; byte < 256; byte++) {
    const count = starts[byte]!;
    starts[byte] = sum;
    sum += count;
  }
  for (let i = 0; i < length; i++) symbols[starts[symbols[i]! & 0xff]!++]! |= i << 8;
  return {links: symbols.subarray(0, length), start: symbols[origin]! >>> 8};
}

/** Which bytes occur, in two steps of 16. */
function readAlphabet(input: BitInput): Uint8Array {
  const rows = input.bits(16);
  const used: number[] = [];
  for (let row = 0; row < 16; row++) {
    if (!(rows & (0x8000 >> row))) continue;
    const columns = input.bits(16);
    for (let column = 0; column < 16; column++) if (columns & (0x8000 >> column)) used.push(row * 16 + column);
  }
  if (used.length === 0) throw new Error('a block uses no bytes');
  return Uint8Array.from(used);
}

/** A canonical Huffman code, by lengths: the largest code of each, and where its symbols begin. */
interface Code {
  readonly limits: Int32Array;
  readonly offsets: Int32Array;
  readonly symbols: Uint16Array;
}

function codeOf(lengths: Uint8Array): Code {
  const limits = new Int32Array(MAX_CODE_LENGTH + 1).fill(-1);
  const offsets = new Int32Array(MAX_CODE_LENGTH + 1);
  const symbols = new Uint16Array(lengths.length);
  for (let length = 1, code = 0, at = 0; length <= MAX_CODE_LENGTH; length++, code <<= 1) {
    offsets[length] = at - code;
    for (const [symbol, own] of lengths.entries()) {
      if (own !== length) continue;
      symbols[at++] = symbol;
      limits[length] = code++;
    }
    if (code > 1 << length) throw new Error('a Huffman table has too many codes');
  }
  return {limits, offsets, symbols};
}

function nextSymbol(input: BitInput, {limits, offsets, symbols}: Code): number {
  for (let length = 1, code = 0; length <= MAX_CODE_LENGTH; length++) {
    code = (code << 1) | input.bits(1);
    if (code <= limits[length]!) return symbols[code + offsets[length]!]!;
  }
  throw new Error('a code is in no table');
}

function readCodes(input: BitInput, count: number, symbols: number): Code[] {
  return Array.from({length: count}, () => {
    let length = input.bits(5);
    const lengths = new Uint8Array(symbols);
    for (let symbol = 0; symbol < symbols; symbol++) {
      while (input.bits(1)) {
        length += input.bits(1) ? -1 : 1;
        if (length < 1 || length > MAX_CODE_LENGTH) break;
      }
      if (length < 1 || length > MAX_CODE_LENGTH) throw new Error('a Huffman code has a length that is none');
      lengths[symbol] = length;
    }
    return codeOf(lengths);
  });
}

/** Which table each group of symbols uses: places in a list where the last one used is in front. */
function readSelectors(input: BitInput, tables: number): Uint8Array {
  const front = Array.from({length: tables}, (_, i) => i);
  return Uint8Array.from({length: input.bits(15)}, () => {
    let place = 0;
    while (input.bits(1)) if (++place >= tables) throw new Error('a group uses a table that is not there');
    front.unshift(...front.splice(place, 1));
    return front[0]!;
  });
}

/** The last column of the sorted block. Symbols 0 and 1 are digits of a run of the byte in front; the last symbol ends the block. */
function readSymbols(input: BitInput, alphabet: Uint8Array, limit: number): {symbols: Uint32Array; length: number} {
  const end = alphabet.length + 1;
  const tables = input.bits(3);
  if (tables < 2 || tables > 6) throw new Error(`a block has ${tables} Huffman tables`);
  const selectors = readSelectors(input, tables);
  const codes = readCodes(input, tables, end + 1);
  const symbols = new Uint32Array(limit);
  const front = alphabet.slice();
  let length = 0;
  let run = 0;
  let digit = 1;
  for (let read = 0; ; read++) {
    const code = codes[selectors[Math.floor(read / GROUP)] ?? -1];
    if (!code) throw new Error('a block has more symbols than it says');
    const symbol = nextSymbol(input, code);
    if (symbol <= 1) {
      run += digit << symbol;
      digit *= 2;
      if (run > limit) throw new Error('a run is longer than its block');
      continue;
    }
    if (length + run + (symbol === end ? 0 : 1) > limit) throw new Error('a block is longer than it may be');
    symbols.fill(front[0]!, length, length + run);
    length += run;
    [run, digit] = [0, 1];
    if (symbol === end) return {symbols, length};
    const byte = front[symbol - 1]!;
    front.copyWithin(1, 0, symbol - 1);
    front[0] = byte;
    symbols[length++] = byte;
  }
}

/** CRC-32 with the highest bit first. */
const CRC_TABLE = Uint32Array.from({length: 256}, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc;
});

/** Follows the links; after four equal bytes the next says how often they are repeated. */
function* expanded({links, start}: Block, expectedCrc: number): Generator<Uint8Array> {
  let crc = 0xffffffff;
  let out = new Uint8Array(OUT_BYTES);
  let filled = 0;
  let [previous, equal] = [-1, 0];
  for (let i = 0, at = start; i < links.length; i++) {
    const link = links[at]!;
    at = link >>> 8;
    const byte = link & 0xff;
    const isCount = equal === 4;
    const times = isCount ? byte : 1;
    const value = isCount ? previous : byte;
    for (let k = 0; k < times; k++) crc = (crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ value]!;
    if (filled + times > OUT_BYTES) {
      yield out.subarray(0, filled);
      out = new Uint8Array(OUT_BYTES);
      filled = 0;
    }
    out.fill(value, filled, filled + times);
    filled += times;
    equal = isCount ? 0 : byte === previous ? equal + 1 : 1;
    previous = isCount ? -1 : byte;
  }
  yield out.subarray(0, filled);
  if (~crc >>> 0 !== expectedCrc) throw new Error('the checksum of a block does not fit');
}
