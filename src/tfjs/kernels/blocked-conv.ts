/**
 * onnxruntime's own fastest convolution on the cpu works on blocks of channels, [N, C/B, H, W, B]. Its optimiser uses it for filters
 * that are constants; while training they are not, so we ask for it by name. The operators are internal to onnxruntime
 * (contrib_ops/cpu/nchwc_ops.cc), and B is the processor's (16 with AVX-512, 8 with AVX2): both candidates are offered, and the one
 * that fails or computes something else is dropped where strategies are measured.
 */
import type {AttributeValues, Value} from '../../onnx/graph.js';
import type {Laid, Lowering} from '../lowering.js';
import {isIdentity} from '../value.js';
import {each, pads, type Windows} from './window.js';

const DOMAIN = 'com.microsoft.nchwc';
export const blockSizes = [16, 8] as const;

/** Fewer channels than the processor's block in what is reordered make onnxruntime divide by zero, which ends the process. */
export const canBlock = (channels: readonly number[], block: number): boolean =>
  channels.every((n) => n % block === 0 && n >= blockSizes[0]);

/** Images of fewer channels than a block are taken as they are; gradients of so few are not. */
const hasBlocks = (channels: number): boolean => channels >= blockSizes[0];
export const canBlockForward = (inputs: number, outputs: number, block: number): boolean =>
  canBlock(hasBlocks(inputs) ? [inputs, outputs] : [outputs], block);

/** x [N, C, H, W] in blocks of channels. It is said to keep its shape: the operators know better. */
export const inBlocksOf = (g: Lowering, x: Value): Value => g.internal(DOMAIN, 'ReorderInput', [x], {}, x.dims);

/** x [N, C, H, W] as [N, H, W, C], through blocks: onnxruntime's Transpose runs on one thread, and the blocks are there already for the convolution of x. */
export function channelsLast(g: Lowering, x: Value): Value {
  const [n, c, h, w] = x.dims as [number, number, number, number];
  return g.internal(DOMAIN, 'ReorderOutput', [inBlocksOf(g, x)], {channels: c, channels_last: 1}, [n, h, w, c]);
}

/** x [N, I, H, W] convolved with filters that are in blocks already; `shape` of the result [N, O, H′, W′]. */
export function internalConvolution(
  g: Lowering,
  x: Value,
  filters: Value,
  attributes: AttributeValues,
  shape: readonly number[],
): Value {
  const image = hasBlocks(x.dims[1] as number) ? inBlocksOf(g, x) : x;
  return outOfBlocks(g, blockedConv(g, image, filters, attributes, shape));
}

/** Of an image in blocks, which stays in blocks. */
export const blockedConv = (
  g: Lowering,
  x: Value,
  filters: Value,
  attributes: AttributeValues,
  shape: readonly number[],
): Value => g.internal(DOMAIN, 'Conv', [x, filters], {group: 1, ...attributes}, shape);

/** What is said to be [N, C, H, W] and is in blocks, as that. */
export const outOfBlocks = (g: Lowering, y: Value): Value =>
  g.internal(DOMAIN, 'ReorderOutput', [y], {channels: y.dims[1] as number}, y.dims);

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
  if (!hasBlocks(sources)) {
    const rows = g.reshape(g.ordered({value, perm}, [to, from, HEIGHT, WIDTH]), [1, results, sources * taps, 1]);
    return g.reshape(inBlocksOf(g, rows), [results, sources, height, width]);
  }
  const fromBlocks = sources / block;
  const {value: blocks, tapsFirst} = interleaved(g, {value, perm}, to, taps);
  const order: number[] = [];
  for (let t = 0; t < results / block; t++) {
    for (let f = 0; f < fromBlocks; f++) {
      for (let i = 0; i < taps; i++) {
        const tap = from === BACKWARD ? taps - 1 - i : i;
        order.push((tapsFirst ? tap * (results / block) + t : t * taps + tap) * fromBlocks + f);
      }
    }
  }
  const rows = g.reshape(blocks, [order.length, block * block]);
  return g.reshape(inOrder(g, rows, order), [results, sources, height, width]);
}
type Size = [number, number, number, number];

/** Rows of x in another order, by both threads. */
const inOrder = (g: Lowering, x: Value, order: readonly number[]): Value =>
  isIdentity(order) ? x : g.op('Gather', [x, g.indices(order)], {axis: 0});

/** A filter with a block of the channels `to` innermost: [taps, to/B, from, B] or, where `to` came first, [to/B, taps, from, B]. */
function interleaved(g: Lowering, {value, perm}: Laid, to: number, taps: number): {value: Value; tapsFirst: boolean} {
  const rowsOfTaps = perm[1] === HEIGHT && perm[2] === WIDTH;
  const size = (d: number) => value.dims[perm.indexOf(d)] as number;
  if (rowsOfTaps && perm[0] === to) {
    const image = g.reshape(value, [1, size(to), taps, value.dims[3] as number]);
    return {value: inBlocksOf(g, image), tapsFirst: false};
  }
  const inner = perm[3] === INPUT ? INPUT : OUTPUT;
  const outer = inner === OUTPUT ? INPUT : OUTPUT;
  const [rows, columns] = [size(outer), size(inner)];
  const byTaps = Array.from({length: taps * rows}, (_, i) => (i % rows) * taps + Math.floor(i / rows));
  const ordered = rowsOfTaps
    ? inOrder(g, g.reshape(value, [rows * taps, columns]), byTaps)
    : g.ordered({value, perm}, [HEIGHT, WIDTH, outer, inner]);
  const image = g.reshape(ordered, [taps, rows, 1, columns]);
  if (to !== inner) return {value: inBlocksOf(g, image), tapsFirst: true};
  return {value: g.internal(DOMAIN, 'ReorderInput', [image], {channels_last: 1}, [taps, columns, rows, 1]), tapsFirst: true};
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

/** x [N, C, H, W] convolved with a filter in any order, through blocks. */
export function convolveBlocked(g: Lowering, x: Value, filter: Laid, options: BlockedOptions): Value {
  const {block, windows, from, padding = pads(windows.spans)} = options;
  const filters = blockFilters(g, filter, from, block);
  const {spans} = windows;
  const attributes = {kernel_shape: each(spans, 'kernel'), strides: each(spans, 'stride'), dilations: each(spans, 'dilation')};
  const shape = [x.dims[0] as number, filters.dims[0] as number, ...resultSize(x, options)];
  return internalConvolution(g, x, filters, {...attributes, pads: padding}, shape);
}
