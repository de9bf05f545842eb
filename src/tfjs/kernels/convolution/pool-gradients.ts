/**
 * Gradients of pools, one dimension after the other. Along a dimension of windows of stride s, x is cut into s phases: rows 0, s, 2s, … and
 * so on. The numbers at one offset of every window are a run of one phase, moved by whole rows. Runs are cheap to cut and to put
 * back, and nothing is indexed: onnxruntime's MaxPool with Indices takes 15 to 30 times as long as without.
 */
import type {AttributeValues, Value} from '../../../onnx/graph.js';
import {type Lowering, NCHWC} from '../../lowering/lowering.js';
import {after, type Span, type Windows} from './window.js';

const dims = (v: Value) => v.dims as number[];
const replaced = (shape: readonly number[], axis: number, ...by: number[]) => shape.toSpliced(axis, 1, ...by);

/** Rows of each phase. */
const rowsOf = ({size, stride}: Span) => Math.ceil(size / stride);

/** Of the numbers at an offset of the windows: their phase, and the row of it that belongs to the first window. */
function placeOf(offset: number, {before, stride}: Span): {phase: number; first: number} {
  const row = offset - before; // of x, in the first window; the padding is not there
  const first = Math.floor(row / stride);
  return {phase: row - first * stride, first};
}

/** Adds `before` and `behind` numbers along one dimension; negative takes away. */
function pad(g: Lowering, x: Value, axis: number, before: number, behind: number, by: number): Value {
  if (before === 0 && behind === 0) return x;
  const rank = dims(x).length;
  const at = (i: number) => (i === axis ? before : i === axis + rank ? behind : 0);
  return g.op('Pad', [x, g.ints(Array.from({length: 2 * rank}, (_, i) => at(i))), g.scalar(by)]);
}

/** x cut into phases, each [.., rows, ..]. */
function phases(g: Lowering, x: Value, axis: number, span: Span, by: number): Value[] {
  const {stride, size} = span;
  if (stride === 1) return [x];
  const rows = rowsOf(span);
  const padded = pad(g, x, axis, 0, rows * stride - size, by);
  const cut = g.reshape(padded, replaced(dims(padded), axis, rows, stride));
  const ones = g.ints(new Array(stride).fill(1));
  const parts = g.several('Split', [cut, ones], {axis: axis + 1}, stride);
  return parts.map((part) => g.reshape(part, replaced(dims(padded), axis, rows)));
}

/** The number at each offset of every window: `kernel` values of [.., out, ..]. */
function windowed(g: Lowering, x: Value, axis: number, span: Span, by: number): Value[] {
  const parts = phases(g, x, axis, span, by);
  return Array.from({length: span.kernel}, (_, offset) => {
    const {phase, first} = placeOf(offset, span);
    return pad(g, parts[phase]!, axis, -first, first + span.out - rowsOf(span), by);
  });
}

/** The transpose of `windowed`: what belongs to each offset of every window, added up where windows overlap. */
function scattered(g: Lowering, offsets: readonly Value[], axis: number, span: Span): Value {
  const {stride, out, size} = span;
  const rows = rowsOf(span);
  const ofPhase = (p: number): Value | undefined => {
    const terms = offsets.flatMap((v, offset) => {
      const {phase, first} = placeOf(offset, span);
      return phase === p ? [pad(g, v, axis, first, rows - out - first, 0)] : [];
    });
    return terms.length > 1 ? terms.reduce((a, b) => g.op('Add', [a, b])) : terms[0];
  };
  const parts = Array.from({length: stride}, (_, p) => ofPhase(p));
  const shape = replaced(dims(offsets[0]!), axis, rows);
  const nothing = parts.includes(undefined) ? g.op('Expand', [g.scalar(0), g.ints(shape)]) : undefined; // kernel < stride
  if (stride === 1) return parts[0]!;
  const columns = parts.map((part) => g.reshape(part ?? nothing!, replaced(shape, axis, rows, 1)));
  const joined = g.reshape(g.op('Concat', columns, {axis: axis + 1}), replaced(shape, axis, rows * stride));
  return pad(g, joined, axis, 0, size - rows * stride, 0);
}

/**
 * dy for the first offset that has the maximum, 0 for the others. Whether a number is the maximum is max(0, min(1, 1 − 10³⁸·(maximum − v))), 1 or
 * 0: comparisons and Where take five times as long.
 */
function toFirstMaximum(g: Lowering, dy: Value, numbers: readonly Value[], maximum: Value): Value[] {
  let rest = dy;
  return numbers.map((v, i) => {
    if (i === numbers.length - 1) return rest;
    const has = g.op('HardSigmoid', [g.op('Sub', [maximum, v])], {alpha: -1e38, beta: 1});
    const share = g.op('Mul', [rest, has]);
    rest = g.op('Sub', [rest, share]);
    return share;
  });
}

/** How images lie in memory. */
interface Pixels {
  /** The dimensions of height and width. */
  readonly axes: readonly [number, number];
  /** Maxima of windows, of an image that has `size` of them. */
  maxPool(x: Value, attributes: AttributeValues, size: readonly [number, number]): Value;
}

/** [N, C, H, W] */
const channelsSecond = (g: Lowering): Pixels => ({
  axes: [2, 3],
  maxPool: (x, attributes) => g.op('MaxPool', [x], attributes),
});

/** [N·C/B, H, W, B], which is what images in blocks are: rows and columns are moved in blocks, not number by number. */
const inBlocks = (g: Lowering, [n, c]: readonly number[], block: number): Pixels => ({
  axes: [1, 2],
  maxPool(x, attributes, size) {
    const [, h, w] = dims(x);
    return rowsOfPixels(g, maxPoolInBlocks(g, g.reshape(x, [n!, c!, h!, w!]), attributes, size), block);
  },
});

/** What is said to be [N, C, H, W] and is in blocks, as [N·C/B, H, W, B]. */
function rowsOfPixels(g: Lowering, x: Value, block: number): Value {
  const [n, c, h, w] = dims(x) as [number, number, number, number];
  return g.reshape(x, [(n * c) / block, h, w, block]);
}

/** `size` of the result. */
export function maxPoolInBlocks(g: Lowering, x: Value, attributes: AttributeValues, size: readonly [number, number]): Value {
  const [n, c] = dims(x) as [number, number];
  return g.internal(NCHWC, 'MaxPool', [x], attributes, [n, c, ...size]);
}

/** Along the height, 0, or the width, 1. */
function maximaAlong(g: Lowering, x: Value, along: 0 | 1, span: Span, {axes, maxPool}: Pixels) {
  const numbers = windowed(g, x, axes[along], span, Number.NEGATIVE_INFINITY);
  const pair = (here: number, elsewhere: number): [number, number] => (along === 0 ? [here, elsewhere] : [elsewhere, here]);
  const attributes = {
    kernel_shape: pair(span.kernel, 1),
    strides: pair(span.stride, 1),
    pads: [...pair(span.before, 0), ...pair(after(span), 0)],
  };
  const maximum = maxPool(x, attributes, pair(span.out, dims(x)[axes[1 - along]!]!));
  return {numbers, maximum};
}

/**
 * The first maximum of a window, row by row, is the first maximum of the first row that has it: so first rows (maxima along W),
 * then which row (along H).
 */
export function maxGradient(g: Lowering, dy: Value, x: Value, {spans: [h, w]}: Windows, pixels = channelsSecond(g)): Value {
  const [down, across] = pixels.axes;
  const inRows = maximaAlong(g, x, 1, w, pixels);
  const overRows = maximaAlong(g, inRows.maximum, 0, h, pixels);
  const toRows = scattered(g, toFirstMaximum(g, dy, overRows.numbers, overRows.maximum), down, h);
  return scattered(g, toFirstMaximum(g, toRows, inRows.numbers, inRows.maximum), across, w);
}

/** The same of images in blocks, which the result is too. */
export function maxGradientInBlocks(g: Lowering, dy: Value, x: Value, windows: Windows, block: number): Value {
  const pixels = inBlocks(g, dims(x), block);
  return g.reshape(maxGradient(g, rowsOfPixels(g, dy, block), rowsOfPixels(g, x, block), windows, pixels), dims(x));
}

/** Every number of a window gets dy / (kH·kW), at the border too: TensorFlow.js divides by the full window there. */
export function averageGradient(g: Lowering, dy: Value, {spans: [h, w]}: Windows): Value {
  const everywhere = (v: Value, axis: number, span: Span) => scattered(g, new Array(span.kernel).fill(v), axis, span);
  const share = g.op('Mul', [dy, g.scalar(1 / (h.kernel * w.kernel))]);
  return everywhere(everywhere(share, 2, h), 3, w);
}
