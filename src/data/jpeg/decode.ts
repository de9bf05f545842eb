/**
 * Baseline JPEGs decoded straight to M eighths of their size, M from 1 to 8: the transform gives M samples where a block has 8. Chroma of
 * half the resolution is transformed to twice as many, so that nothing is upsampled afterwards. Only what is asked for is transformed
 * and nothing below it is read. Not exact: see docs/evaluation.md.
 *
 * The answer `undefined` leaves the file to another decoder: it is of another kind, or damaged, and that one has to say how.
 */
import {MAX_PIXELS} from '../image-kind.js';
import {roundUp} from '../kernels.js';
import type {Box, Image, Size} from '../resample.js';
import {type BaselineJpeg, type JpegComponent, readBaseline} from './header.js';
import {acMeaning, dcMeaning, type HuffmanTable, huffmanTable} from './huffman.js';
import {GUARD_BYTES, type JpegKernels, RGB_PIXELS, withJpegKernels} from './kernels.js';
import {at, blockFields, COEFFICIENT_BLOCK_BYTES, job, MAX_BLOCKS, MAX_SIDE, TABLE_BYTES} from './layout.js';
import {scaledIdct} from './scaled-idct.js';

/** Everything is copied twice; above this memory would not do. */
const MAX_FILE_BYTES = 512 * 1024 * 1024;
const BLOCK_SIDE = 8;

/**
 * The scale, in eighths: one more than the least at which the short side has `wanted` pixels. With the least, frequencies go missing
 * that resampling looks at: crops of ImageNet's photographs are 1.28 levels from exact ones then, and 0.63 so, for 5 % of the time.
 */
export const eighthsFor = ({width, height}: Size, wanted: number): number =>
  Math.min(8, Math.ceil((8 * wanted) / Math.min(width, height)) + 1);

export interface ScaledDecoding {
  readonly eighths: number;
  /** The pixels to decode, of the scaled image. Default: all. */
  readonly box?: Box;
}

/** `choose` says what is wanted of a photograph of a given size. */
export function decodeScaled(bytes: Uint8Array, choose: (size: Size) => ScaledDecoding): Image | undefined {
  if (bytes.at(-2) !== 0xff || bytes.at(-1) !== 0xd9 || bytes.length > MAX_FILE_BYTES) return undefined;
  const jpeg = readBaseline(bytes);
  if (!jpeg || jpeg.width * jpeg.height > MAX_PIXELS) return undefined;
  const {eighths, box} = choose(jpeg);
  const plan = layOut(jpeg, eighths, box);
  const tables = huffmanTables(jpeg);
  if (!plan || !tables || 8 * (bytes.length - jpeg.scan) < plan.blocks * LEAST_BITS) return undefined;
  const memory = places(bytes, jpeg, plan);
  return withJpegKernels(memory.end, (kernels) => new Decoding(kernels, bytes, jpeg, plan, memory).run(tables));
}

/** A block is two codes at least: what a header says of the size costs no memory unless the blocks are there. */
const LEAST_BITS = 2;

interface Plan {
  readonly blocks: number;
  readonly eighths: number;
  readonly box: Box;
  /** Of an MCU, in samples. */
  readonly mcu: Size;
  readonly mcusAcross: number;
  readonly mcus: number;
  /** Samples of a component's block. */
  readonly sides: readonly Size[];
}

function layOut(jpeg: BaselineJpeg, eighths: number, asked: Box | undefined): Plan | undefined {
  const {width, height, components} = jpeg;
  const most = {across: Math.max(...components.map((c) => c.across)), down: Math.max(...components.map((c) => c.down))};
  const blocksOfMcu = components.reduce((sum, {across, down}) => sum + across * down, 0);
  if (blocksOfMcu > MAX_BLOCKS) return undefined;
  const scaled = (side: number) => Math.ceil((side * eighths) / BLOCK_SIDE);
  const mcusAcross = Math.ceil(width / (BLOCK_SIDE * most.across));
  const mcus = mcusAcross * Math.ceil(height / (BLOCK_SIDE * most.down));
  return {
    mcus,
    blocks: mcus * blocksOfMcu,
    eighths,
    box: asked ?? {left: 0, top: 0, width: scaled(width), height: scaled(height)},
    mcu: {width: eighths * most.across, height: eighths * most.down},
    mcusAcross,
    sides: components.map(({across, down}) => ({
      width: (eighths * most.across) / across,
      height: (eighths * most.down) / down,
    })),
  };
}

type Tables = readonly {readonly dc: HuffmanTable; readonly ac: HuffmanTable}[];

function huffmanTables({components}: BaselineJpeg): Tables | undefined {
  const tables = components.flatMap((component) => {
    const dc = huffmanTable(component.dc, dcMeaning);
    const ac = dc && huffmanTable(component.ac, acMeaning);
    return ac ? [{dc, ac}] : [];
  });
  return tables.length === components.length ? tables : undefined;
}

interface Places {
  readonly file: number;
  /** Where the entropy code, reversed, begins; it goes down from there. */
  readonly code: number;
  readonly planes: readonly [y: number, cb: number, cr: number];
  readonly stride: number;
  readonly rgb: number;
  readonly end: number;
}

function places(bytes: Uint8Array, {scan}: BaselineJpeg, {mcu, mcusAcross, box}: Plan): Places {
  const length = roundUp(bytes.length - scan, 16);
  const stride = roundUp(mcusAcross * mcu.width + BLOCK_SIDE + RGB_PIXELS, 16);
  const plane = stride * MAX_SIDE;
  const file = at.end;
  const code = file + length + 16 + GUARD_BYTES + length;
  const first = code + 16;
  const rgb = first + 3 * plane;
  const end = rgb + MAX_SIDE * box.width * 3 + 3 * RGB_PIXELS;
  return {file, code, planes: [first, first + plane, first + 2 * plane], stride, rgb, end};
}

/** zigzag order → row · 8 + column: ITU T.81, figure A.6. */
const zigzag: readonly number[] = Array.from({length: 64}, (_, i) => i)
  .map((i) => ({i, diagonal: (i >> 3) + (i & 7), along: ((i >> 3) + (i & 7)) % 2 === 0 ? i & 7 : i >> 3}))
  .toSorted((a, b) => a.diagonal - b.diagonal || a.along - b.along)
  .map(({i}) => i);

/** Bits of the entropy code from one restart marker to the next: addresses of the reversed bytes. */
interface Segment {
  readonly from: number;
  readonly to: number;
}

class Decoding {
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;

  constructor(
    private readonly kernels: JpegKernels,
    private readonly file: Uint8Array,
    private readonly jpeg: BaselineJpeg,
    private readonly plan: Plan,
    private readonly memory: Places,
  ) {
    this.bytes = new Uint8Array(kernels.memory.buffer);
    this.words = new Int32Array(kernels.memory.buffer);
  }

  run(tables: Tables): Image | undefined {
    const {box, eighths, mcu} = this.plan;
    const segments = this.unstuff();
    if (!segments) return undefined;
    this.fillTables(tables);
    const data = new Uint8Array(box.width * box.height * 3);
    const lastRow = Math.ceil((box.top + box.height) / mcu.height);
    let segment = -1;
    let restartIn = 0; // MCUs
    for (let row = 0; row < lastRow; row++) {
      for (let from = 0; from < this.plan.mcusAcross; ) {
        if (restartIn === 0) {
          if (segment >= 0 && !this.isAtEnd(segments[segment]!, true)) return undefined;
          const next = segments[++segment];
          if (!next) return undefined;
          this.begin(next);
          restartIn = this.jpeg.restartInterval || Number.POSITIVE_INFINITY;
        }
        const to = Math.min(this.plan.mcusAcross, from + restartIn);
        if (!this.decode(row, from, to)) return undefined;
        restartIn -= to - from;
        from = to;
      }
      if (!this.isAtEnd(segments[segment]!, false)) return undefined;
      this.writeRows(row, data);
    }
    const {width, height} = this.jpeg;
    return {width: box.width, height: box.height, data, part: {left: box.left, top: box.top, of: {width, height}, eighths}};
  }

  /** The entropy code, reversed and without stuffing, in the segments that restart markers make of it. */
  private unstuff(): Segment[] | undefined {
    const {file, code} = this.memory;
    const {restartInterval, scan} = this.jpeg;
    const scanBytes = this.file.subarray(scan);
    this.bytes.set(scanBytes, file);
    const end = file + scanBytes.length - 2; // there is the last marker
    const expected = restartInterval === 0 ? 1 : Math.ceil(this.plan.mcus / restartInterval);
    const segments: Segment[] = [];
    for (let source = file, from = code; ; ) {
      this.kernels.unstuff(source, end, from);
      const [stopped, to] = this.words.subarray(at.stopped / 4) as unknown as [number, number];
      segments.push({from, to});
      const isRestart = this.bytes[stopped + 1] === 0xd0 + ((segments.length - 1) & 7);
      if (stopped >= end || !isRestart) return segments;
      if (segments.length >= expected) return undefined;
      source = stopped + 2;
      from = to;
    }
  }

  private fillTables(tables: Tables): void {
    this.bytes.fill(128, at.natural, at.natural + 192);
    for (const [i, n] of zigzag.entries()) this.bytes[at.natural + i] = 2 * n;
    let block = at.blocks / 4;
    const {components} = this.jpeg;
    for (const [i, component] of components.entries()) {
      const record = this.fillComponent(i, component, tables[i]!);
      const side = this.plan.sides[i]!;
      for (let y = 0; y < component.down; y++) {
        for (let x = 0; x < component.across; x++, block += COEFFICIENT_BLOCK_BYTES / 4) {
          this.words.set(record, block);
          this.words[block + blockFields.target] =
            this.memory.planes[i]! + y * side.height * this.memory.stride + x * side.width;
        }
      }
    }
    const jobWords = at.job / 4;
    this.words[jobWords + job.blocks] = at.blocks;
    this.words[jobWords + job.blocksEnd] = block * 4;
    this.words[jobWords + job.failed] = 0;
    if (components.length === 1) this.bytes.fill(128, this.memory.planes[1], this.memory.rgb); // gray
  }

  private fillComponent(i: number, {quantisation}: JpegComponent, {dc, ac}: {dc: HuffmanTable; ac: HuffmanTable}): Int32Array {
    const {width, height} = this.plan.sides[i]!;
    const put = (address: number, values: Int16Array | Uint32Array) => {
      this.bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), address);
      return address;
    };
    const putTable = (slot: number, {short, long, longFrom}: HuffmanTable) => {
      const address = put(at.tables + slot * TABLE_BYTES, short);
      return [address, put(address + short.byteLength, long) - 4 * longFrom] as const;
    };
    const natural = new Int16Array(64);
    for (const [k, n] of zigzag.entries()) natural[n] = quantisation[k]!;
    const [dcShort, dcLong] = putTable(2 * i, dc);
    const [acShort, acLong] = putTable(2 * i + 1, ac);
    const values: Record<keyof typeof blockFields, number> = {
      ...{dcShort, dcLong, acShort, acLong},
      prediction: at.predictions + 4 * i,
      quantisation: put(at.quantisation + 128 * i, natural),
      vertical: put(at.vertical + 16 * MAX_SIDE * i, scaledIdct(height).vertical),
      rows: 16 * height,
      horizontal: put(at.horizontal + 256 * i, scaledIdct(width).horizontal),
      isWide: width > BLOCK_SIDE ? 1 : 0,
      target: 0,
      stride: this.memory.stride,
      step: this.plan.mcu.width,
    };
    const record = new Int32Array(COEFFICIENT_BLOCK_BYTES / 4);
    for (const [name, index] of Object.entries(blockFields)) record[index] = values[name as keyof typeof blockFields];
    return record;
  }

  private begin({from, to}: Segment): void {
    const start = at.job / 4;
    this.words[start + job.address] = from - 8; // where a load has the first byte on top
    this.words[start + job.limit] = to - 16;
    this.words.fill(0, start + job.count, start + job.bits + 2);
    this.words.fill(0, at.predictions / 4, at.predictions / 4 + 3);
  }

  /** MCUs [from, to) of a row. */
  private decode(row: number, from: number, to: number): boolean {
    const {box, mcu} = this.plan;
    const start = at.job / 4;
    const first = Math.floor(box.left / mcu.width);
    const isNeeded = (row + 1) * mcu.height > box.top;
    this.words[start + job.mcu] = from;
    this.words[start + job.end] = to;
    this.words[start + job.first] = first;
    this.words[start + job.needed] = isNeeded ? Math.ceil((box.left + box.width) / mcu.width) - first : 0;
    this.kernels.decode();
    return this.words[start + job.failed] === 0;
  }

  /** Whether no bit was read that is not there and, at a restart, none but padding is left. */
  private isAtEnd({from, to}: Segment, isRestart: boolean): boolean {
    const start = at.job / 4;
    const read = 8 * (from - 8 - this.words[start + job.address]!) - this.words[start + job.count]!;
    const left = 8 * (from - to) - read;
    return left >= 0 && !(isRestart && left >= 8);
  }

  /** The pixels of a row of MCUs that are wanted, from planes to RGB. */
  private writeRows(row: number, data: Uint8Array): void {
    const {box, mcu} = this.plan;
    const {planes, stride, rgb} = this.memory;
    const top = row * mcu.height;
    const from = Math.max(0, box.top - top);
    const to = Math.min(mcu.height, box.top + box.height - top);
    if (from >= to) return;
    const bytes = box.width * 3;
    for (let y = from; y < to; y++) {
      const [luma, blue, red] = planes.map((plane) => plane + y * stride + box.left) as [number, number, number];
      this.kernels.toRgb(luma, blue, red, rgb + (y - from) * bytes, luma + box.width);
    }
    data.set(this.bytes.subarray(rgb, rgb + (to - from) * bytes), (top + from - box.top) * bytes);
  }
}
