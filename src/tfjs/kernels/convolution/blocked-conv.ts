/**
 * onnxruntime's own fastest convolution on the cpu works on blocks of channels, [N, C/B, H, W, B]. Its optimiser uses it for filters
 * that are constants; while training they are not, so we ask for it by name.
 */
import type {AttributeValues, Value} from '../../../onnx/graph.js';
import {type Laid, type Lowering, NCHWC} from '../../lowering/lowering.js';
import {isIdentity, type LazyValue} from '../../lowering/value.js';
import {each, pads, type Windows} from './window.js';

/** Fewer channels than the processor's block in what is reordered make onnxruntime divide by zero, which ends the process. */
export const canBlock = (channels: readonly number[], block: number | undefined): block is number =>
  block !== undefined && channels.every((n) => n % block === 0 && n >= block);

/** Images of fewer channels than a block are taken as they are; gradients of so few are not. */
export const canBlockForward = (inputs: number, outputs: number, block: number): boolean =>
  canBlock(inputs >= block ? [inputs, outputs] : [outputs], block);

/** Of an image in blocks, which stays in blocks. `shape` of the result [N, O, H′, W′]. */
export const blockedConv = (
  g: Lowering,
  x: Value,
  filters: Value,
  attributes: AttributeValues,
  shape: readonly number[],
): Value => g.internal(NCHWC, 'Conv', [x, filters], {group: 1, ...attributes}, shape);

/** Dimensions of a filter as TensorFlow.js names them, [H, W, I, O]. */
const [HEIGHT, WIDTH, INPUT, OUTPUT] = [0, 1, 2, 3];
/** The dimension that a convolution sums over. */
export const FORWARD = INPUT;
export const BACKWARD = OUTPUT;

/**
 * Filters as [to/B, from/B, H, W, B of from, B of to], said to be [to, from, H, W]: the operators know better. The convolution sums over `from`:
 * the inputs forwards, the outputs for the gradient of x, where the filter is also turned by half a circle. onnxruntime's Transpose runs on
 * one thread, and is slow where single numbers or short rows move; its reordering of images is not, and a Gather moves whole blocks.
 */
export function blockFilters(g: Lowering, {value, perm}: Laid, from: number, block: number): Value {
  const to = from === INPUT ? OUTPUT : INPUT;
  const [height, width, sources, results] = [HEIGHT, WIDTH, from, to].map((d) => value.dims[perm.indexOf(d)]) as Size;
  const taps = height * width;
  if (sources < block) {
    const rows = g.reshape(g.ordered({value, perm}, [to, from, HEIGHT, WIDTH]), [1, results, sources * taps, 1]);
    return g.reshape(g.intoBlocks(rows), [results, sources, height, width]);
  }
  const order = Array.from({length: taps}, (_, i) => (from === BACKWARD ? taps - 1 - i : i));
  return someTaps(g, rowsOfBlocks(g, {value, perm}, from, block), order, [height, width]);
}

/** A filter in blocks, of which taps can be taken. */
export interface FilterBlocks {
  /** Of B·B numbers. */
  rows: Value;
  taps: number;
  tapsFirst: boolean;
  /** How many blocks of channels. */
  to: number;
  from: number;
  block: number;
}

export function rowsOfBlocks(g: Lowering, {value, perm}: Laid, from: number, block: number): FilterBlocks {
  const to = from === INPUT ? OUTPUT : INPUT;
  const [height, width, sources, results] = [HEIGHT, WIDTH, from, to].map((d) => value.dims[perm.indexOf(d)]) as Size;
  const taps = height * width;
  const {value: blocks, tapsFirst} = interleaved(g, {value, perm}, to, taps);
  const sizes = {to: results / block, from: sources / block};
  return {rows: g.reshape(blocks, [sizes.to * taps * sizes.from, block * block]), taps, tapsFirst, ...sizes, block};
}

/** Some taps of a filter, or all in another order: as `blockFilters`, of the height and width given. */
export function someTaps(
  g: Lowering,
  {rows, taps, tapsFirst, to, from, block}: FilterBlocks,
  wanted: readonly number[],
  size: readonly [number, number],
): Value {
  const order: number[] = [];
  for (let t = 0; t < to; t++) {
    for (let f = 0; f < from; f++) {
      for (const tap of wanted) order.push((tapsFirst ? tap * to + t : t * taps + tap) * from + f);
    }
  }
  return g.reshape(inOrder(g, rows, order), [to * block, from * block, ...size]);
}
type Size = [number, number, number, number];

/** Rows of x, some of them or all in another order, by both threads. */
const inOrder = (g: Lowering, x: Value, order: readonly number[]): Value =>
  isIdentity(order) && order.length === x.dims[0] ? x : g.op('Gather', [x, g.indices(order)], {axis: 0});

/** A filter with a block of the channels `to` innermost: [taps, to/B, from, B] or, where `to` came first, [to/B, taps, from, B]. */
function interleaved(g: Lowering, {value, perm}: Laid, to: number, taps: number): {value: Value; tapsFirst: boolean} {
  const rowsOfTaps = perm[1] === HEIGHT && perm[2] === WIDTH;
  const size = (d: number) => value.dims[perm.indexOf(d)] as number;
  if (rowsOfTaps && perm[0] === to) {
    const image = g.reshape(value, [1, size(to), taps, value.dims[3] as number]);
    return {value: g.intoBlocks(image), tapsFirst: false};
  }
  const inner = perm[3] === INPUT ? INPUT : OUTPUT;
  const outer = inner === OUTPUT ? INPUT : OUTPUT;
  const [rows, columns] = [size(outer), size(inner)];
  const byTaps = Array.from({length: taps * rows}, (_, i) => (i % rows) * taps + Math.floor(i / rows));
  const ordered = rowsOfTaps
    ? inOrder(g, g.reshape(value, [rows * taps, columns]), byTaps)
    : g.ordered({value, perm}, [HEIGHT, WIDTH, outer, inner]);
  const image = g.reshape(ordered, [taps, rows, 1, columns]);
  if (to !== inner) return {value: g.intoBlocks(image), tapsFirst: true};
  return {value: g.internal(NCHWC, 'ReorderInput', [image], {channels_last: 1}, [taps, columns, rows, 1]), tapsFirst: true};
}

export interface BlockedOptions {
  block: number;
  windows: Windows;
  /** As in `blockFilters`. */
  from: number;
  padding?: number[];
}

/** Height and width of x [N, C, H, W] convolved. */
export const resultSize = (x: Value, {windows, padding = pads(windows.spans)}: BlockedOptions): [number, number] =>
  windows.spans.map((s, i) => {
    const image = x.dims[2 + i] as number;
    return Math.floor((image + padding[i]! + padding[i + 2]! - (s.kernel - 1) * s.dilation - 1) / s.stride) + 1;
  }) as [number, number];

/** Images, whose order is `windows.perm`, convolved with a filter in any order; the result stays in blocks. */
export function convolveBlocked(g: Lowering, x: LazyValue, filter: Laid, options: BlockedOptions): Value {
  const {block, windows, from, padding = pads(windows.spans)} = options;
  const {spans, perm} = windows;
  const image = x.shape[perm[1]!]! < block ? g.in(x, perm) : g.blocks(x, perm);
  const filters = blockFilters(g, filter, from, block);
  const attributes = {kernel_shape: each(spans, 'kernel'), strides: each(spans, 'stride'), dilations: each(spans, 'dilation')};
  const shape = [image.dims[0] as number, filters.dims[0] as number, ...resultSize(image, options)];
  return blockedConv(g, image, filters, {...attributes, pads: padding}, shape);
}
