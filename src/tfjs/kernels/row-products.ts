/**
 * The gradient of a dense convolution's filter as convolutions along the width, one for each row r of the filter, in which nothing is
 * copied tap by tap. The rows (n, y) of all images are the channels, x's channels the second dimension, dy the filters:
 *
 *   dw[r] = x[·, y·stride + r·dilation − pad] ∗ dy,   [1, N·H′, W, I] ∗ [O, N·H′, W′, 1] → [1, O, kW, I]
 *
 * Stride and dilation change places. What a matrix product would need nine shifted copies for, the convolution's kernel reads where it is.
 */
import type {Value} from '../../onnx/graph.js';
import type {Laid, Lowering} from '../lowering.js';
import type {Strategies, Strategy} from '../strategies.js';
import type {LazyValue} from '../value.js';
import {blockSizes, internalConvolution} from './blocked-conv.js';
import type {Span, Windows} from './window.js';

/** Zeros after x's rows that the last of `size` outputs needs; negative where it never gets there. */
const behind = ({kernel, dilation, out, stride, size, before}: Span): number =>
  (kernel - 1) * dilation + (out - 1) * stride + 1 - size - before;

/** Of the convolution along the width. */
const across = (w: Span) => ({
  kernel_shape: [w.out, 1],
  strides: [w.dilation, 1],
  dilations: [w.stride, 1],
  pads: [w.before, 0, Math.max(0, behind(w)), 0],
});

function convolveRows(g: Lowering, x: Value, dy: Value, w: Span): Value {
  const product = g.op('Conv', [x, dy], across(w));
  if (behind(w) >= 0) return product;
  return g.op('Slice', [product, g.ints([0]), g.ints([w.kernel]), g.ints([2])]); // the last windows ended before the image
}

function cutRows(g: Lowering, x: Value, axis: number, from: number, count: number, step: number): Value {
  if (from === 0 && step === 1 && count === x.dims[axis]) return x;
  const bounds = [[from], [from + (count - 1) * step + 1], [axis], [step]].map((list) => g.ints(list));
  return g.op('Slice', [x, ...bounds]);
}

/** Rows of dy, from `first` on, whose window's row r lies inside the image, there from row `from` on. */
function meetingRows({size, stride, dilation, before, out}: Span, r: number) {
  const offset = r * dilation - before;
  const first = Math.max(0, Math.ceil(-offset / stride));
  const last = Math.min(out - 1, Math.floor((size - 1 - offset) / stride));
  return {first, count: last - first + 1, from: first * stride + offset};
}

const stacked = (g: Lowering, products: readonly Value[]): Laid => ({
  value: products.length === 1 ? products[0]! : g.op('Concat', products, {axis: 0}),
  perm: [0, 3, 1, 2], // [kH, O, kW, I]
});

/** Rows that meet zeros are left out. */
export function rows(g: Lowering, x: LazyValue, dy: LazyValue, {spans, perm}: Windows, filter: readonly number[]): Laid {
  const [h, w] = spans;
  const [, kW, channels, out] = filter as [number, number, number, number];
  const [n, c, y, z] = perm as [number, number, number, number];
  const [images, filters] = [g.in(x, [n, y, z, c]), g.in(dy, [c, n, y, z])];
  const products = Array.from({length: h.kernel}, (_, r) => {
    const {first, count, from} = meetingRows(h, r);
    if (count <= 0) return g.op('Expand', [g.scalar(0), g.ints([1, out, kW, channels])]);
    const all = x.shape[n]! * count;
    const left = g.reshape(cutRows(g, images, 1, from, count, h.stride), [1, all, w.size, channels]);
    return convolveRows(g, left, g.reshape(cutRows(g, filters, 2, first, count, 1), [out, all, w.out, 1]), w);
  });
  return stacked(g, products);
}

/** x [N, H, W, C] under each row of the filter: [N, H′, W, C] with zeros outside the image. */
function underRows(g: Lowering, x: Value, h: Span): Value[] {
  const zeros = [h.before, Math.max(0, behind(h))] as const;
  const padded = zeros[0] + zeros[1] > 0 ? g.op('Pad', [x, g.ints([0, zeros[0], 0, 0, 0, zeros[1], 0, 0])]) : x;
  return Array.from({length: h.kernel}, (_, r) => {
    const isWhole = r * h.dilation === h.before && h.stride === 1 && h.out === h.size;
    return isWhole ? x : cutRows(g, padded, 1, r * h.dilation, h.out, h.stride);
  });
}

/** One convolution: the rows of the filter lie side by side in x's second dimension. */
export function wideRows(g: Lowering, x: LazyValue, dy: LazyValue, {spans, perm}: Windows, filter: readonly number[]): Laid {
  const [h, w] = spans;
  const [kH, kW, channels, out] = filter as [number, number, number, number];
  const [n, c, y, z] = perm as [number, number, number, number];
  const all = dy.shape[n]! * h.out;
  const parts = underRows(g, g.in(x, [n, y, z, c]), h);
  const wide = parts.length === 1 ? parts[0]! : g.op('Concat', parts, {axis: 3});
  const filters = g.reshape(g.in(dy, [c, n, y, z]), [out, all, w.out, 1]);
  const product = convolveRows(g, g.reshape(wide, [1, all, w.size, kH * channels]), filters, w);
  return {value: g.reshape(product, [out, kW, kH, channels]), perm: [3, 1, 0, 2]};
}

/** One for each row of the filter, through onnxruntime's blocks of channels: dy is blocked once. */
export function blockedRows({spans, perm}: Windows, filter: readonly number[]): Strategies {
  const [h, w] = spans;
  const [, kW, channels, out] = filter as [number, number, number, number];
  const [n, c, y, z] = perm as [number, number, number, number];
  const through =
    (block: number): Strategy =>
    (g, [x, dy]) => {
      const all = dy!.shape[n]! * h.out;
      const tall = g.reshape(g.in(dy!, [n, y, z, c]), [all / block, block, w.out, out / block, block]);
      const filters = g.reshape(g.op('Transpose', [tall], {perm: [3, 0, 2, 1, 4]}), [out, all, w.out, 1]);
      const products = underRows(g, g.in(x!, [n, y, z, c]), h).map((part) => {
        const image = g.reshape(part, [1, all, w.size, channels]);
        return internalConvolution(g, image, filters, across(w), [1, out, kW, channels]);
      });
      return stacked(g, products);
    };
  const usable = behind(w) >= 0 ? blockSizes.filter((block) => out % block === 0) : [];
  return Object.fromEntries(usable.map((block) => [`blockedRows${block}`, through(block)]));
}
