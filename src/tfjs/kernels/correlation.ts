/**
 * The gradient of a dense convolution's filter as one convolution, in which nothing is copied tap by tap: images are channels, dy are
 * the filters, stride and dilation change places. x's channels lie beside its columns, as they do in memory when channels come last,
 *
 *   [1, N, H, W·I] ∗ [O, N, H′, W′] → [1, O, kH, kW·I]
 *
 * where a step along the width is I numbers. So each multiplication finds a row of I·kW numbers, and onnxruntime runs it at the speed of its
 * matrix product.
 */
import type {Value} from '../../onnx/graph.js';
import type {Laid, Lowering} from '../lowering.js';
import type {LazyValue} from '../value.js';
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
  const value = g.reshape(leading(g, product, [kH, kW * channels]), [out, kH, kW, channels]);
  return {value, perm: [3, 0, 1, 2]};
}

/** Where the last windows end before the image does, the convolution goes on: the filter is what comes first. */
function leading(g: Lowering, product: Value, size: readonly [number, number]): Value {
  if (product.dims[2] === size[0] && product.dims[3] === size[1]) return product;
  return g.op('Slice', [product, g.ints([0, 0]), g.ints(size), g.ints([2, 3])]);
}
