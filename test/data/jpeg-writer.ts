/** Writes JPEGs from given coefficients: every file that the format allows, and no forward transform between test and decoder. */
import type {Random} from '../../src/core/random.js';

export interface WrittenComponent {
  readonly across: number;
  readonly down: number;
  readonly quantisation: readonly number[]; // [64], row · 8 + column
  /** Row by row of blocks, whole MCUs; each int [64], row · 8 + column, quantised. */
  readonly blocks: readonly (readonly number[])[];
}
export interface WrittenJpeg {
  readonly width: number;
  readonly height: number;
  readonly components: readonly WrittenComponent[];
  readonly restartInterval: number;
  /** Length of the code of every symbol: flat codes are short, others reach 16 bits. */
  readonly codes: 'flat' | 'long';
}

const range = (n: number) => Array.from({length: n}, (_, i) => i);
/** Along the diagonals, up and down in turns: ITU T.81, figure A.6. */
export const zigzagOrder: readonly number[] = range(15).flatMap((d) => {
  const cells = range(d + 1)
    .map((i) => [i, d - i] as const)
    .filter(([row, column]) => row < 8 && column < 8)
    .map(([row, column]) => row * 8 + column);
  return d % 2 === 0 ? cells.toReversed() : cells;
});

const u16 = (n: number) => [n >> 8, n & 255];
const segment = (marker: number, body: readonly number[]) => [0xff, marker, ...u16(body.length + 2), ...body];
const bitsOf = (n: number) => (n === 0 ? 0 : 32 - Math.clz32(Math.abs(n)));

/** Counts of code lengths for so many symbols: all equally long, or one each of 1, 2, 3, … bits and the rest of 16. */
function codeCounts(symbols: number, kind: 'flat' | 'long'): number[] {
  const counts: number[] = new Array(16).fill(0);
  if (kind === 'flat')
    counts[bitsOf(symbols) - 1] = symbols; // the code of ones alone stays free
  else {
    const short = Math.min(symbols, 8);
    for (let i = 0; i < short; i++) counts[i] = 1;
    counts[15] = symbols - short; // 2^8 codes are left under the last prefix
  }
  return counts;
}

type Symbol = readonly [symbol: number, value: number, size: number];

class Bits {
  readonly bytes: number[] = [];
  private buffer: string = '';

  put(value: number, length: number): void {
    if (length > 0) this.buffer += value.toString(2).padStart(length, '0');
  }
  /** Padded with ones; zeros are stuffed behind 0xff. */
  flush(): void {
    for (let i = 0; i < this.buffer.length; i += 8) {
      const byte = Number.parseInt(this.buffer.slice(i, i + 8).padEnd(8, '1'), 2);
      this.bytes.push(byte, ...(byte === 0xff ? [0] : []));
    }
    this.buffer = '';
  }
}

const valueBits = (value: number, size: number) => (value < 0 ? value + 2 ** size - 1 : value);

function blockSymbols(block: readonly number[], previous: number): {dc: Symbol; ac: Symbol[]} {
  const difference = block[0]! - previous;
  const ac: Symbol[] = [];
  let run = 0;
  for (const n of zigzagOrder.slice(1)) {
    const value = block[n]!;
    if (value === 0) {
      run++;
      continue;
    }
    for (; run > 15; run -= 16) ac.push([0xf0, 0, 0]);
    ac.push([run * 16 + bitsOf(value), value, bitsOf(value)]);
    run = 0;
  }
  if (run > 0) ac.push([0, 0, 0]);
  return {dc: [bitsOf(difference), difference, bitsOf(difference)], ac};
}

/** For each MCU the blocks in it: component and number. */
function interleaved({width, height, components}: WrittenJpeg): [component: number, block: number][][] {
  const most = {across: Math.max(...components.map((c) => c.across)), down: Math.max(...components.map((c) => c.down))};
  const columns = Math.ceil(width / 8 / most.across);
  return range(columns * Math.ceil(height / 8 / most.down)).map((mcu) =>
    components.flatMap(({across, down}, c) =>
      range(across * down).map((i): [number, number] => {
        const y = Math.floor(mcu / columns) * down + Math.floor(i / across);
        const x = (mcu % columns) * across + (i % across);
        return [c, y * columns * across + x];
      }),
    ),
  );
}

export function writeJpeg(jpeg: WrittenJpeg): Uint8Array {
  const {components, restartInterval} = jpeg;
  const mcus = interleaved(jpeg);
  const restarts = (mcu: number) => restartInterval > 0 && mcu % restartInterval === 0;
  const previous = components.map(() => 0);
  const coded = mcus.map((mcu, m) => {
    if (restarts(m)) previous.fill(0);
    return mcu.map(([c, b]) => {
      const block = components[c]!.blocks[b]!;
      const symbols = blockSymbols(block, previous[c]!);
      previous[c] = block[0]!;
      return symbols;
    });
  });
  const all = coded.flat();
  const tables = [all.map(({dc}) => dc[0]), all.flatMap(({ac}) => ac.map(([symbol]) => symbol))].map((used) => {
    const symbols = [...new Set(used)];
    const counts = codeCounts(symbols.length, jpeg.codes);
    let code = 0;
    let next = 0;
    const codes = new Map<number, [code: number, length: number]>();
    for (let length = 1; length <= 16; length++, code *= 2) {
      for (let n = counts[length - 1]!; n > 0; n--) codes.set(symbols[next++]!, [code++, length]);
    }
    return {symbols, counts, codes};
  });
  const bits = new Bits();
  for (const [m, mcu] of coded.entries()) {
    if (m > 0 && restarts(m)) {
      bits.flush();
      bits.bytes.push(0xff, 0xd0 + ((m / restartInterval - 1) & 7));
    }
    for (const {dc, ac} of mcu) {
      for (const [i, [symbol, value, size]] of [dc, ...ac].entries()) {
        bits.put(...tables[i === 0 ? 0 : 1]!.codes.get(symbol)!);
        bits.put(valueBits(value, size), size);
      }
    }
  }
  bits.flush();
  return Uint8Array.from([
    ...[0xff, 0xd8],
    ...segment(0xe0, [...Buffer.from('JFIF\0'), 1, 1, 0, 0, 1, 0, 1, 0, 0]),
    ...components.flatMap(({quantisation}, i) => segment(0xdb, [i, ...zigzagOrder.map((n) => quantisation[n]!)])),
    ...segment(0xc0, [
      ...[8, ...u16(jpeg.height), ...u16(jpeg.width), components.length],
      ...components.flatMap(({across, down}, i) => [i + 1, across * 16 + down, i]),
    ]),
    ...tables.flatMap(({symbols, counts}, i) => segment(0xc4, [i * 16, ...counts, ...symbols])),
    ...(restartInterval > 0 ? segment(0xdd, u16(restartInterval)) : []),
    ...segment(0xda, [components.length, ...components.flatMap((_, i) => [i + 1, 0]), 0, 63, 0]),
    ...bits.bytes,
    ...[0xff, 0xd9],
  ]);
}

export interface RandomJpeg {
  readonly width: number;
  readonly height: number;
  /** Of each component: across, down. */
  readonly sampling: readonly (readonly [number, number])[];
  readonly restartInterval: number;
  readonly codes: 'flat' | 'long';
}

/** Noise of every frequency, from blocks of one colour to blocks that are clipped. */
export function randomJpeg(r: Random, {width, height, sampling, ...rest}: RandomJpeg): WrittenJpeg {
  const most = [0, 1].map((i) => Math.max(...sampling.map((s) => s[i]!))) as [number, number];
  const components = sampling.map(([across, down]): WrittenComponent => {
    const quantisation = range(64).map(() => 1 + r.integer(20));
    const count = Math.ceil(width / 8 / most[0]) * across * Math.ceil(height / 8 / most[1]) * down;
    const blocks = range(count).map(() => {
      const block: number[] = new Array(64).fill(0);
      block[0] = Math.trunc((r.integer(1600) - 800) / quantisation[0]!);
      const coefficients = [0, 3, 20, 64][r.integer(4)]!;
      for (let i = 0; i < coefficients; i++) {
        const n = zigzagOrder[1 + r.integer(coefficients === 3 ? 9 : 63)]!;
        block[n] = Math.trunc((r.integer(240) - 120) / quantisation[n]!);
      }
      return block;
    });
    return {across, down, quantisation, blocks};
  });
  return {width, height, components, ...rest};
}
