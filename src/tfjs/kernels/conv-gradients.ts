/** The two gradients of a convolution. Each has one function here: the place for a choice by shape and provider. */
import type {Value} from '../../onnx/graph.js';
import type {Laid, Lowering} from '../lowering.js';
import type {LazyValue} from '../value.js';
import {each, overhang, pads, type Windows} from './window.js';

/**
 * dx: every number of dy spreads over the window that it came from. ConvTranspose has its weights as [C of dy, C of dx / group,
 * H, W], which is the forward's OIHW. Rows that no window reached are `output_padding`.
 */
export function convolveInputGradient(g: Lowering, dy: Value, weight: Value, {spans}: Windows, group: number): Value {
  return g.op('ConvTranspose', [dy, weight], {
    kernel_shape: each(spans, 'kernel'),
    strides: each(spans, 'stride'),
    dilations: each(spans, 'dilation'),
    pads: pads(spans),
    output_padding: spans.map((s) => Math.max(0, -overhang(s))),
    group,
  });
}

export interface FilterShape {
  filter: readonly number[];
  depthwise: boolean;
}
const IOHW_OF_HWIO = [2, 3, 0, 1];

/**
 * dw[i, j] = Σ x[out·stride + i·dilation]·dy[out], summed over images: a convolution of x with dy as its filters, where stride
 * and dilation change places and images are channels. [I, N, H, W] ∗ [O, N, H′, W′] → [I, O, kH, kW].
 */
export function convolveFilterGradient(g: Lowering, x: LazyValue, dy: LazyValue, windows: Windows, shape: FilterShape): Laid {
  const [n, c, h, w] = windows.perm as [number, number, number, number];
  const images = g.in(x, [c, n, h, w]);
  const filters = g.in(dy, [c, n, h, w]);
  if (!shape.depthwise) return {value: crossCorrelate(g, images, filters, windows, 1), perm: IOHW_OF_HWIO};
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
