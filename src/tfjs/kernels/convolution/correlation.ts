/**
 * The gradient of a dense convolution's filter as one convolution, in which nothing is copied tap by tap: images are channels, dy are
 * the filters, stride and dilation change places. x's channels lie beside its columns, as they do in memory when channels come last,
 *
 *   [1, N, H, W·I] ∗ [O, N, H′, W′] → [1, O, kH, kW·I]
 *
 * where a step along the width is I numbers. So each multiplication finds a row of I·kW numbers, and onnxruntime runs it at the speed of its
 * matrix product.
 */
import type {Value} from '../../../onnx/graph.js';
import type {Laid, Lowering} from '../../lowering/lowering.js';
import {identity, type LazyValue} from '../../lowering/value.js';
import {blockedConv} from './blocked-conv.js';
import {moved} from './places.js';
import {tabulate} from './table.js';
import type {Span, Windows} from './window.js';

/** Zeros after x that the last of `size` outputs needs; negative where it never gets there. */
const behind = ({kernel, dilation, out, stride, size, before}: Span): number =>
  (kernel - 1) * dilation + (out - 1) * stride + 1 - size - before;
const zerosBehind = (span: Span) => Math.max(0, behind(span));

/** A filter that is dilated along the width would be found with gaps of I numbers. */
export const canCorrelate = ({spans: [, w]}: Windows): boolean => w.dilation === 1;

/** How channels that come second come last. */
export interface ChannelsLast {
  /** Images as [N, H, W, C]. */
  last(v: LazyValue): Value;
  /** [N, C, H, W] as that. */
  toLast(x: Value): Value;
}

export function correlate(
  g: Lowering,
  x: LazyValue,
  dy: LazyValue,
  {spans, perm}: Windows,
  filter: readonly number[],
  {last}: ChannelsLast,
): Laid {
  const [h, w] = spans;
  const [kH, kW, channels, out] = filter as [number, number, number, number];
  const [n, c, y, z] = perm as [number, number, number, number];
  const images = g.reshape(last(x), [1, x.shape[n]!, h.size, w.size * channels]);
  const product = g.op('Conv', [images, g.in(dy, [c, n, y, z])], {
    kernel_shape: [h.out, w.out],
    strides: [h.dilation, 1],
    dilations: [h.stride, w.stride * channels],
    pads: [h.before, w.before * channels, zerosBehind(h), zerosBehind(w) * channels],
  });
  const value = g.reshape(leading(g, product, [kH, kW * channels], [2, 3]), [out, kH, kW, channels]);
  return {value, perm: [3, 0, 1, 2]};
}

/** Where the last windows end before the image does, the convolution goes on: the filter is what comes first along these axes. */
function leading(g: Lowering, product: Value, size: readonly [number, number], axes: readonly [number, number]): Value {
  if (axes.every((axis, i) => product.dims[axis] === size[i])) return product;
  return g.op('Slice', [product, g.ints([0, 0]), g.ints(size), g.ints([...axes])]);
}

/**
 * The same in blocks, of images where they are channels: [1, N/B, H, W·I, B] ∗ [O/B, N/B, H′, W′, B, B] → [1, O/B, kH, kW·I, B]. onnxruntime's
 * operator takes columns that reach beyond the image one by one, and others by the half dozen: zeros beside the image are written out. Two
 * groups of images give both threads as much to do. Images and outputs fill whole blocks.
 */
export function correlateBlocked(
  g: Lowering,
  x: LazyValue,
  dy: LazyValue,
  {spans, perm}: Windows,
  [kH, kW, channels, out]: readonly [number, number, number, number],
  block: number,
): Laid {
  const [h, w] = spans;
  const [n, c, y, z] = perm as [number, number, number, number];
  const batch = x.shape[n]!;
  const groups = batch % (2 * block) === 0 ? 2 : 1;
  const image = g.intoBlocks(g.reshape(g.in(x, [n, y, z, c]), [1, batch, h.size, w.size * channels]));
  const padded = withColumns(g, image, [w.before, zerosBehind(w)].map((zeros) => zeros * channels) as [number, number], block);
  const [rows, columns] = [
    (h.size + h.before + zerosBehind(h) - (h.out - 1) * h.stride - 1) / h.dilation + 1,
    (padded.dims[3] as number) - (w.out - 1) * w.stride * channels,
  ].map(Math.floor) as [number, number];
  const filters = imagesAsFilters(g, g.blocks(dy, perm), groups, block);
  const attributes = {
    group: groups,
    kernel_shape: [h.out, w.out],
    strides: [h.dilation, 1],
    dilations: [h.stride, w.stride * channels],
    pads: [h.before, 0, zerosBehind(h), 0],
  };
  const products = blockedConv(g, padded, filters, attributes, [1, groups * out, rows, columns]);
  const parts = g.reshape(products, [groups, out * rows * columns]);
  const sum = groups === 1 ? parts : g.op('ReduceSum', [parts, g.ints([0])], {keepdims: 0});
  const value = g.outOfBlocks(g.reshape(sum, [1, out, rows, columns]), true);
  return {value: g.reshape(leading(g, value, [kH, kW * channels], [1, 2]), [kH, kW, channels, out]), perm: identity(4)};
}

/** An image in blocks, said to be [1, C, H, W], with zeros on both sides. */
function withColumns(g: Lowering, x: Value, [before, behind]: readonly [number, number], block: number): Value {
  if (before + behind === 0) return x;
  const [, c, h, w] = x.dims as [number, number, number, number];
  const rows = g.reshape(x, [(c / block) * h, w * block]);
  const padded = g.op('Pad', [rows, g.ints([0, before * block, 0, behind * block])]);
  return g.reshape(padded, [1, c, h, before + w + behind]);
}

/** Images in blocks, [N, O/B, H, W, B], as filters of channels that are images, [groups·O/B, N/(B·groups), H, W, B of N, B of O]. */
function imagesAsFilters(g: Lowering, images: Value, groups: number, block: number): Value {
  const [n, c, h, w] = images.dims as [number, number, number, number];
  const [columns, places, each] = [c / block, h * w, n / groups];
  const rows = moved(g, images, block, `filters of ${images.dims} ${groups}`, () =>
    tabulate([groups * columns, (each / block) * places, block], (filter, at, k) => {
      const image = Math.floor(filter / columns) * each + Math.floor(at / places) * block + k;
      return (image * columns + (filter % columns)) * places + (at % places);
    }),
  );
  return g.reshape(rows, [groups * c, each, h, w]);
}
