/**
 * onnxruntime's own fastest convolution on the cpu works on blocks of channels, [N, C/B, H, W, B]. Its optimiser uses it for filters
 * that are constants; while training they are not, so we ask for it by name. The operators are internal to onnxruntime
 * (contrib_ops/cpu/nchwc_ops.cc), and B is the processor's (16 with AVX-512, 8 with AVX2): both candidates are offered, and the one
 * that fails or computes something else is dropped where strategies are measured.
 */
import type {Value} from '../../onnx/graph.js';
import type {Lowering} from '../lowering.js';
import {each, pads, type Windows} from './window.js';

const DOMAIN = 'com.microsoft.nchwc';
export const blockSizes = [16, 8] as const;

/** Filters [O, I, H, W] as blocks of outputs by blocks of inputs. The shape is said to stay: the operators know better. */
function blockFilters(g: Lowering, weight: Value, block: number): Value {
  const [out, inputs, h, w] = weight.dims as [number, number, number, number];
  const split = g.reshape(weight, [out / block, block, inputs / block, block, h, w]);
  return g.reshape(g.op('Transpose', [split], {perm: [0, 2, 4, 5, 3, 1]}), [out, inputs, h, w]);
}

/** Fewer channels than the processor's block would make onnxruntime divide by zero, which ends the process. */
export const canBlock = (weight: readonly [out: number, inputs: number], block: number): boolean =>
  weight.every((n) => n % block === 0 && n >= blockSizes[0]);

/** x [N, I, H, W] ∗ weight [O, I, kH, kW] → `shape`, through blocks. */
export function convolveBlocked(
  g: Lowering,
  x: Value,
  weight: Value,
  block: number,
  {spans}: Windows,
  padding = pads(spans),
): Value {
  const [batch, channels] = [x.dims[0] as number, weight.dims[0] as number];
  const inBlocks = g.internal(DOMAIN, 'ReorderInput', [x], {}, x.dims);
  const size = spans.map((s, i) => {
    const image = x.dims[2 + i] as number;
    return Math.floor((image + padding[i]! + padding[i + 2]! - (s.kernel - 1) * s.dilation - 1) / s.stride) + 1;
  });
  const attributes = {kernel_shape: each(spans, 'kernel'), strides: each(spans, 'stride'), dilations: each(spans, 'dilation')};
  const shape = [batch, channels, ...size];
  const y = g.internal(
    DOMAIN,
    'Conv',
    [inBlocks, blockFilters(g, weight, block)],
    {...attributes, pads: padding, group: 1},
    shape,
  );
  return g.internal(DOMAIN, 'ReorderOutput', [y], {channels}, shape);
}
