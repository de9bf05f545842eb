/**
 * Convolutions as sums over the filter's taps of what each meets of the image times its weights, which are matrix products and plain sums: for numbers
 * that onnxruntime's own convolutions do not take, those of float64. Images in NHWC.
 */
import {elementCount} from '../../../core/tensor.js';
import type {Value} from '../../../onnx/graph.js';
import {channelsLast, type Laid, type Lowering} from '../../lowering/lowering.js';
import {identity, type LazyValue} from '../../lowering/value.js';
import {backwards, besideTimes, productOfColumns, taps} from './columns.js';
import {filterGradientByTaps} from './filter-gradient.js';
import type {Span, Windows} from './window.js';

/** How a convolution and its gradients are computed. */
export interface Ways {
  forward(g: Lowering, x: LazyValue, filter: LazyValue, windows: Windows): Laid;
  inputGradient(g: Lowering, dy: LazyValue, filter: LazyValue, windows: Windows): Laid;
  filterGradient(g: Lowering, x: LazyValue, dy: LazyValue, windows: Windows, filter: readonly number[]): Laid;
}

type Size4 = [number, number, number, number];

/** What the taps meet, tap after tap: [taps, …shape]. */
function stacked(g: Lowering, parts: readonly Value[], shape: readonly number[]): Value {
  const rows = parts.map((part) => g.reshape(part, [1, ...shape]));
  return rows.length === 1 ? rows[0]! : g.op('Concat', rows, {axis: 0});
}

/** A filter of depthwise convolutions, M for each channel, beside what is stacked. */
function depthwiseWeights(g: Lowering, filter: LazyValue): Value {
  const [kH, kW, channels, multiplier] = filter.shape as Size4;
  return g.reshape(g.plain(filter), [kH * kW, 1, 1, 1, channels, multiplier]);
}

const sum = (g: Lowering, x: Value, axis: number): Value => g.op('ReduceSum', [x, g.ints([axis])], {keepdims: 0});

function depthwiseForward(g: Lowering, x: LazyValue, filter: LazyValue, windows: Windows): Laid {
  const perm = channelsLast(windows.perm);
  const [, , channels, multiplier] = filter.shape as Size4;
  const parts = taps(g, g.in(x, perm), windows, [1, 2]);
  const [n, h, w] = parts[0]!.dims as Size4;
  const products = g.op('Mul', [stacked(g, parts, [n, h, w, channels, 1]), depthwiseWeights(g, filter)]);
  return {value: g.reshape(sum(g, products, 0), [n, h, w, channels * multiplier]), perm};
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

/** dx from what each tap, the last first, meets of dy: [N, H, W, channels]. */
type Spread = (g: Lowering, parts: readonly Value[], filter: LazyValue) => Value;

const denseSpread: Spread = (g, parts, filter) => {
  const [kH, kW, inputs, outputs] = filter.shape as Size4;
  return besideTimes(g, parts, g.reshape(g.in(filter, [0, 1, 3, 2]), [kH * kW * outputs, inputs]));
};
const depthwiseSpread: Spread = (g, parts, filter) => {
  const [n, h, w] = parts[0]!.dims as Size4;
  const [, , channels, multiplier] = filter.shape as Size4;
  const products = g.op('Mul', [stacked(g, parts, [n, h, w, channels, multiplier]), depthwiseWeights(g, filter)]);
  return sum(g, sum(g, products, 0), 4);
};

const inputGradient =
  (spread: Spread): Ways['inputGradient'] =>
  (g, dy, filter, windows) => {
    const perm = channelsLast(windows.perm);
    const {spans, cut} = backwards(windows);
    const parts = taps(g, stretched(g, g.in(dy, perm), windows.spans), {...windows, spans}, [1, 2]).reverse();
    const value = spread(g, parts, filter);
    if (cut.every((rows) => rows === 0)) return {value, perm};
    const [, h, w] = value.dims as Size4;
    return {value: g.op('Slice', [value, g.ints(cut), g.ints([h, w]), g.ints([1, 2])]), perm};
  };

const depthwiseFilterGradient: Ways['filterGradient'] = (g, x, dy, windows, filter) => {
  const perm = channelsLast(windows.perm);
  const [, , channels, multiplier] = filter as Size4;
  const places = elementCount(dy.shape) / (channels * multiplier);
  const parts = stacked(g, taps(g, g.in(x, perm), windows, [1, 2]), [places, channels, 1]);
  const products = g.op('Mul', [parts, g.reshape(g.in(dy, perm), [1, places, channels, multiplier])]);
  return {value: g.reshape(sum(g, products, 1), filter), perm: identity(4)};
};

const dense: Ways = {
  forward: productOfColumns,
  inputGradient: inputGradient(denseSpread),
  filterGradient: (g, x, dy, windows, filter) => filterGradientByTaps(windows, filter)(g, [x, dy]),
};
const depthwise: Ways = {
  forward: depthwiseForward,
  inputGradient: inputGradient(depthwiseSpread),
  filterGradient: depthwiseFilterGradient,
};
export const byTaps = (isDepthwise: boolean): Ways => (isDepthwise ? depthwise : dense);
