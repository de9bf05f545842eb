/** The two gradients of a convolution. Each has one function here: the place for a choice by shape and provider. */
import type {Value} from '../../onnx/graph.js';
import type {Laid, Lowering} from '../lowering.js';
import type {Strategy} from '../strategies.js';
import type {LazyValue} from '../value.js';
import {BACKWARD, blockSizes, canBlock, convolveBlocked} from './blocked-conv.js';
import {filterGradientStrategies} from './filter-gradient.js';
import {each, overhang, pads, type Windows} from './window.js';

/**
 * dx: every number of dy spreads over the window that it came from. ConvTranspose has its weights as [C of dy, C of dx / group,
 * H, W], which is the forward's OIHW. Rows that no window reached are `output_padding`.
 */
function spread(g: Lowering, dy: Value, weight: Value, {spans}: Windows, group: number): Value {
  return g.op('ConvTranspose', [dy, weight], {
    kernel_shape: each(spans, 'kernel'),
    strides: each(spans, 'stride'),
    dilations: each(spans, 'dilation'),
    pads: pads(spans),
    output_padding: spans.map((s) => Math.max(0, -overhang(s))),
    group,
  });
}

/**
 * The same for stride 1, as a convolution of dy with the filters turned around and their two kinds of channels exchanged. Each
 * side is padded by what the windows reach minus the padding of the forward.
 */
function turned(g: Lowering, {value, perm}: Laid): Laid {
  const end = -(2 ** 31 - 1); // before the first number: a slice backwards takes it too
  const axes = [perm.indexOf(0), perm.indexOf(1)]; // of height and width
  const isPoint = axes.every((axis) => value.dims[axis] === 1);
  const steps = [-1, -1];
  return {
    value: isPoint ? value : g.op('Slice', [value, ...[steps, [end, end], axes, steps].map((list) => g.ints(list))]),
    perm,
  };
}
function turnedPads({spans}: Windows): number[] {
  const reach = spans.map((s) => (s.kernel - 1) * s.dilation);
  const before = spans.map((s, i) => reach[i]! - s.before);
  return [...before, ...spans.map((s, i) => s.size + reach[i]! - (s.out + before[i]!))];
}
const convolveTurned = (g: Lowering, dy: Value, filter: Laid, windows: Windows): Value =>
  g.op('Conv', [dy, g.ordered(turned(g, filter), IOHW_OF_HWIO)], {
    kernel_shape: each(windows.spans, 'kernel'),
    dilations: each(windows.spans, 'dilation'),
    pads: turnedPads(windows),
  });

const canTurn = ({spans}: Windows): boolean =>
  spans.every(
    (s) =>
      s.stride === 1 &&
      s.before <= (s.kernel - 1) * s.dilation &&
      overhang(s) >= 0 &&
      overhang(s) <= (s.kernel - 1) * s.dilation,
  );

/** `weight` gives the filters as OIHW. */
export function convolveInputGradient(
  g: Lowering,
  dy: LazyValue,
  filter: LazyValue,
  weight: (g: Lowering, filter: LazyValue) => Value,
  windows: Windows,
  group: number,
): Laid {
  const {perm} = windows;
  const spreading: Strategy = (h, [d, f]) => ({value: spread(h, h.in(d!, perm), weight(h, f!), windows, group), perm});
  if (group > 1 || !canTurn(windows)) return spreading(g, [dy, filter]);
  const turning: Strategy = (h, [d, f]) => ({value: convolveTurned(h, h.in(d!, perm), h.any(f!), windows), perm});
  const strategies: Record<string, Strategy> = {turning, spreading};
  const [, , inputs, outputs] = filter.shape as [number, number, number, number];
  for (const block of blockSizes) {
    if (!canBlock([outputs, inputs], block)) continue;
    strategies[`blocked${block}`] = (h, [d, f]) => {
      const options = {block, windows, from: BACKWARD, padding: turnedPads(windows)};
      return {value: convolveBlocked(h, h.in(d!, perm), h.any(f!), options), perm};
    };
  }
  return g.fastest(`conv dx ${JSON.stringify(windows)}`, [dy, filter], strategies);
}

export interface FilterShape {
  filter: readonly number[];
  depthwise: boolean;
}
const IOHW_OF_HWIO = [2, 3, 0, 1];

export function convolveFilterGradient(g: Lowering, x: LazyValue, dy: LazyValue, windows: Windows, shape: FilterShape): Laid {
  if (shape.depthwise) return depthwiseFilterGradient(g, x, dy, windows, shape);
  const strategies = filterGradientStrategies(windows, shape.filter);
  return g.fastest(`conv dw ${JSON.stringify(windows)}`, [x, dy], strategies);
}

/**
 * dw[c] = Σ x[out·stride + tap·dilation]·dy[out], summed over images: for each channel a convolution of x with dy as its filter, where
 * stride and dilation change places and images are channels.
 */
function depthwiseFilterGradient(g: Lowering, x: LazyValue, dy: LazyValue, windows: Windows, shape: FilterShape): Laid {
  const [n, c, h, w] = windows.perm as [number, number, number, number];
  const images = g.in(x, [c, n, h, w]);
  const filters = g.in(dy, [c, n, h, w]);
  const [kH, kW, channels, multiplier] = shape.filter as [number, number, number, number];
  const batch = x.shape[n]!;
  const grouped = g.reshape(images, [1, channels * batch, x.shape[h]!, x.shape[w]!]);
  const gradient = crossCorrelate(g, grouped, filters, windows, channels); // [1, C·M, kH, kW]
  return {value: g.reshape(gradient, [channels, multiplier, kH, kW]), perm: IOHW_OF_HWIO};
}

/** The result is cut where the last windows ended before the image did. */
function crossCorrelate(g: Lowering, images: Value, filters: Value, {spans}: Windows, group: number): Value {
  const [h, w] = spans;
  const gradient = g.op('Conv', [images, filters], {
    kernel_shape: each(spans, 'out'),
    strides: each(spans, 'dilation'),
    dilations: each(spans, 'stride'),
    pads: pads(spans),
    group,
  });
  const isLarger = spans.some((s) => overhang(s) <= -s.dilation);
  if (!isLarger) return gradient;
  return g.op('Slice', [gradient, g.ints([0, 0]), g.ints([h.kernel, w.kernel]), g.ints([2, 3])]);
}
