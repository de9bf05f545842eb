/**
 * Convolutions as sums over the filter's taps of what each meets of the image times its weights, which are matrix products and plain sums: for numbers
 * that onnxruntime's own convolutions do not take, those of float64. Images in NHWC.
 */
import type {Value} from '../../onnx/graph.js';
import type {Laid, Lowering} from '../lowering.js';
import {identity, type LazyValue, sizeOf} from '../value.js';
import {taps} from './columns.js';
import type {Span, Windows} from './window.js';

type Size4 = [number, number, number, number];

/** The dimensions of a tensor of images in NHWC. */
const channelsLast = ({perm: [n, c, h, w]}: Windows) => [n!, h!, w!, c!];

/** What the taps meet of x, beside each other: [N, H′, W′, taps·C]. */
const beside = (g: Lowering, parts: readonly Value[]): Value =>
  parts.length === 1 ? parts[0]! : g.op('Concat', parts, {axis: 3});

/** The same, tap after tap: [taps, …shape]. */
function stacked(g: Lowering, parts: readonly Value[], shape: readonly number[]): Value {
  const rows = parts.map((part) => g.reshape(part, [1, ...shape]));
  return rows.length === 1 ? rows[0]! : g.op('Concat', rows, {axis: 0});
}

/** Images [N, H, W, from] times weights [from, to]. */
function product(g: Lowering, x: Value, weights: Value): Value {
  const [n, h, w, from] = x.dims as Size4;
  return g.reshape(g.op('Gemm', [g.reshape(x, [n * h * w, from]), weights]), [n, h, w, weights.dims[1] as number]);
}

const sum = (g: Lowering, x: Value, axis: number): Value => g.op('ReduceSum', [x, g.ints([axis])], {keepdims: 0});

export function tapsForward(g: Lowering, x: LazyValue, filter: LazyValue, windows: Windows, depthwise: boolean): Laid {
  const perm = channelsLast(windows);
  const [kH, kW, inputs, outputs] = filter.shape as Size4;
  const parts = taps(g, g.in(x, perm), windows, [1, 2]);
  if (!depthwise) return {value: product(g, beside(g, parts), g.reshape(g.plain(filter), [kH * kW * inputs, outputs])), perm};
  const [n, h, w] = parts[0]!.dims as Size4;
  const weights = g.reshape(g.plain(filter), [kH * kW, 1, 1, 1, inputs, outputs]);
  const products = g.op('Mul', [stacked(g, parts, [n, h, w, inputs, 1]), weights]);
  return {value: g.reshape(sum(g, products, 0), [n, h, w, inputs * outputs]), perm};
}

/** dy with zeros between its numbers, as many as a stride leaves out: a convolution of stride 1 spreads it. */
function stretched(g: Lowering, dy: Value, [h, w]: readonly [Span, Span]): Value {
  const [n, height, width, channels] = dy.dims as Size4;
  if (h.stride === 1 && w.stride === 1) return dy;
  const apart = g.reshape(dy, [n, height, 1, width, 1, channels]);
  const filled = g.op('Pad', [apart, g.ints([0, 0, 0, 0, 0, 0, 0, 0, h.stride - 1, 0, w.stride - 1, 0])]);
  const whole = g.reshape(filled, [n, height * h.stride, width * w.stride, channels]);
  const ends = [(height - 1) * h.stride + 1, (width - 1) * w.stride + 1];
  return g.op('Slice', [whole, g.ints([0, 0]), g.ints(ends), g.ints([1, 2])]);
}

/** The convolution of the stretched dy that is the gradient of x, and what of its result lies before x, where the padding was wider than the filter. */
function backwards({spans}: Windows): {spans: [Span, Span]; cut: [number, number]} {
  const reach = spans.map((s) => (s.kernel - 1) * s.dilation);
  const cut = spans.map((s, i) => Math.max(0, s.before - reach[i]!)) as [number, number];
  const turned = spans.map((s, i) => ({
    ...s,
    size: (s.out - 1) * s.stride + 1,
    stride: 1,
    out: s.size + cut[i]!,
    before: reach[i]! - s.before + cut[i]!,
  }));
  return {spans: turned as [Span, Span], cut};
}

export function tapsInputGradient(g: Lowering, dy: LazyValue, filter: LazyValue, windows: Windows, depthwise: boolean): Laid {
  const perm = channelsLast(windows);
  const [kH, kW, inputs, outputs] = filter.shape as Size4;
  const {spans, cut} = backwards(windows);
  const parts = taps(g, stretched(g, g.in(dy, perm), windows.spans), {...windows, spans}, [1, 2]).reverse();
  const [n, h, w] = parts[0]!.dims as Size4;
  let value: Value;
  if (depthwise) {
    const weights = g.reshape(g.plain(filter), [kH * kW, 1, 1, 1, inputs, outputs]);
    const products = g.op('Mul', [stacked(g, parts, [n, h, w, inputs, outputs]), weights]);
    value = sum(g, sum(g, products, 0), 4);
  } else {
    const weights = g.reshape(g.in(filter, [0, 1, 3, 2]), [kH * kW * outputs, inputs]);
    value = product(g, beside(g, parts), weights);
  }
  if (cut.every((rows) => rows === 0)) return {value, perm};
  return {value: g.op('Slice', [value, g.ints(cut), g.ints([h, w]), g.ints([1, 2])]), perm};
}

export function tapsFilterGradient(
  g: Lowering,
  x: LazyValue,
  dy: LazyValue,
  windows: Windows,
  filter: readonly number[],
  depthwise: boolean,
): Laid {
  const perm = channelsLast(windows);
  const [kH, kW, inputs, outputs] = filter as Size4;
  const parts = taps(g, g.in(x, perm), windows, [1, 2]);
  if (!depthwise) {
    const places = sizeOf(dy.shape) / outputs;
    const columns = g.reshape(beside(g, parts), [places, kH * kW * inputs]);
    const products = g.op('Gemm', [columns, g.reshape(g.in(dy, perm), [places, outputs])], {transA: 1});
    return {value: g.reshape(products, filter), perm: identity(4)};
  }
  const places = sizeOf(dy.shape) / (inputs * outputs);
  const products = g.op('Mul', [
    stacked(g, parts, [places, inputs, 1]),
    g.reshape(g.in(dy, perm), [1, places, inputs, outputs]),
  ]);
  return {value: g.reshape(sum(g, products, 1), filter), perm: identity(4)};
}
