/**
 * Reads the leading block of a strided view straight from a file. The student of a GPD checkpoint is the leading block of every
 * tensor, an eighth of the file: 169 MB out of 1.38 GB for ResNet-18. So what is not asked for is not read where skipping pays.
 *
 * The block is cut into tiles: each tile is one read. Dimensions are walked in the order of their strides in the file, whatever
 * their order in the tensor, so that channels_last and transposed weights are read forwards too.
 */
import type {ByteSource} from '../core/bytes.js';
import {type DType, dtypes, elementCount, type Shape, stridesOf, type Tensor, tensorOver} from '../core/tensor.js';

export interface Layout {
  readonly dtype: DType;
  readonly shape: Shape;
  /** In elements, as in PyTorch. */
  readonly stride: Shape;
  /** Where element [0, 0, …] lies, in bytes of the source. */
  readonly byteOffset: number;
}

/** One dimension of the walk: how often, how far in the file, how far in the result. In elements. */
interface Step {
  readonly count: number;
  readonly from: number;
  readonly to: number;
}

/** Tiles larger than this are split. It fits into common last-level caches, so that compacting reads no memory twice. */
const MAX_TILE_BYTES = 2 << 20;
/** Unwanted bytes between two runs that are cheaper to read than to skip: a read call costs about as much as copying this many. */
const MAX_GAP_BYTES = 8 << 10;
/** Runs from here on are read straight into the result, even with small gaps between them. */
const DIRECT_RUN_BYTES = 64 << 10;

let scratch = new Uint8Array(0);
function scratchOf(length: number): Uint8Array {
  if (scratch.length < length) scratch = new Uint8Array(length);
  return scratch.subarray(0, length);
}

export function readStrided(source: ByteSource, layout: Layout, leading: Shape = layout.shape): Tensor {
  checkLeading(layout.shape, leading);
  const width = dtypes[layout.dtype].bytes;
  const out = new Uint8Array(elementCount(leading) * width);
  if (out.length > 0) {
    const plan = planTiles(stepsOf(layout.stride, leading), width);
    walk(plan.outer, 0, 0, (from, to) => readTile(source, plan.tile, {base: layout.byteOffset, from, to, width, out}));
  }
  return tensorOver(layout.dtype, leading, out);
}

/** How many bytes of the source `readStrided` reads for a block. Overlapping views may read the same ones many times. */
export function bytesRead({dtype, stride}: Layout, leading: Shape): number {
  const {bytes: width} = dtypes[dtype];
  if (elementCount(leading) === 0) return 0;
  const {outer, tile} = planTiles(stepsOf(stride, leading), width);
  const {first, perPart, innerSpan} = partsOf(tile, width);
  const parts = Math.ceil(first.count / perPart);
  const perTile = (first.count - parts) * first.from + parts * innerSpan;
  return outer.reduce((n, {count}) => n * count, perTile * width);
}

/** Asking for more than there is would be a mistake of the caller, not of the file. */
function checkLeading(shape: Shape, leading: Shape): void {
  const fits = leading.length === shape.length && leading.every((n, d) => Number.isInteger(n) && n >= 0 && n <= shape[d]!);
  if (!fits) throw new Error(`leading block [${leading}] of a tensor of shape [${shape}]`);
}

/** The dimensions of the block, the largest stride in the file first; neighbours that are one run in both become one. */
export function stepsOf(stride: Shape, leading: Shape): Step[] {
  const outStride = stridesOf(leading);
  const steps = leading
    .map((count, d) => ({count, from: stride[d]!, to: outStride[d]!}))
    .filter(({count}) => count > 1)
    .sort((a, b) => b.from - a.from || b.to - a.to);
  const merged: Step[] = [];
  for (const step of steps) {
    const last = merged.at(-1);
    if (last && last.from === step.from * step.count && last.to === step.to * step.count) {
      merged[merged.length - 1] = {count: last.count * step.count, from: step.from, to: step.to};
    } else merged.push(step);
  }
  return merged;
}

interface Plan {
  /** Walked one by one; each combination is a tile. */
  readonly outer: readonly Step[];
  /** Inside a tile. Its first step may be cut into several tiles. */
  readonly tile: readonly Step[];
}

/** Grows the tile from the innermost step outwards while the gaps stay small and the bytes fit. */
function planTiles(steps: readonly Step[], width: number): Plan {
  let first = steps.length;
  let span = 1; // elements from the first to the last of the tile
  while (first > 0) {
    const {count, from} = steps[first - 1]!;
    const direct = isRun(steps.slice(first)) && span * width >= DIRECT_RUN_BYTES;
    if (first < steps.length && (direct || (from - span) * width > MAX_GAP_BYTES)) break;
    first--;
    span += (count - 1) * from;
    if (span * width > MAX_TILE_BYTES) break; // this step is split by `readTile`
  }
  return {outer: steps.slice(0, first), tile: steps.slice(first)};
}

function walk(steps: readonly Step[], from: number, to: number, visit: (from: number, to: number) => void, d = 0): void {
  const step = steps[d];
  if (!step) visit(from, to);
  else for (let i = 0; i < step.count; i++) walk(steps, from + i * step.from, to + i * step.to, visit, d + 1);
}

interface Place {
  /** Where the view begins, in bytes of the file. */
  base: number;
  /** First element of the tile, in the view and in the result. */
  from: number;
  to: number;
  width: number;
  out: Uint8Array;
}

function isRun(tile: readonly Step[]): boolean {
  return tile.length === 0 || (tile.length === 1 && tile[0]!.from === 1 && tile[0]!.to === 1);
}

function readTile(source: ByteSource, tile: readonly Step[], place: Place): void {
  const {from, to, width, out, base} = place;
  if (isRun(tile)) {
    const count = tile[0]?.count ?? 1;
    source.readInto(base + from * width, out.subarray(to * width, (to + count) * width));
    return;
  }
  const {first, inner, innerSpan, perPart} = partsOf(tile, width);
  for (let i = 0; i < first.count; i += perPart) {
    const count = Math.min(perPart, first.count - i);
    const bytes = scratchOf(((count - 1) * first.from + innerSpan) * width);
    source.readInto(base + (from + i * first.from) * width, bytes);
    const elements = elementsOf(width);
    copy([{...first, count}, ...inner], elements(bytes), elements(out), 0, to + i * first.to);
  }
}

/** How the first step of a tile is cut: `perPart` of its indices are read at once, each spans `innerSpan` elements of the file. */
function partsOf(tile: readonly Step[], width: number) {
  const [first = {count: 1, from: 1, to: 1}, ...inner] = tile;
  const innerSpan = inner.reduce((n, step) => n + (step.count - 1) * step.from, 1);
  const perPart = isRun(tile)
    ? first.count
    : Math.max(1, Math.floor((MAX_TILE_BYTES / width - innerSpan) / Math.max(1, first.from)) + 1);
  return {first, inner, innerSpan, perPart};
}

/** Elements as integers: a copy through floating point may change the bits of a NaN. */
type Elements = Uint8Array | Uint16Array | Uint32Array | BigUint64Array;
const elementsOf =
  (width: number) =>
  (bytes: Uint8Array): Elements => {
    const array = {1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array}[width]!;
    return new array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / width);
  };

const SHORT_RUN = 32; // below this a loop beats the overhead of `set`

function copy(steps: readonly Step[], source: Elements, target: Elements, from: number, to: number, d = 0): void {
  const step = steps[d]!;
  if (d < steps.length - 1) {
    for (let i = 0; i < step.count; i++) copy(steps, source, target, from + i * step.from, to + i * step.to, d + 1);
  } else if (step.from === 1 && step.to === 1 && step.count > SHORT_RUN) {
    (target as Uint32Array).set((source as Uint32Array).subarray(from, from + step.count), to);
  } else {
    for (let i = 0; i < step.count; i++) target[to + i * step.to] = source[from + i * step.from]!;
  }
}
