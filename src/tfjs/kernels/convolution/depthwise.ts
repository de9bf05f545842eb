/** Depthwise convolutions: each channel has filters of its own. Ways to compute them and their gradients, for `Lowering.fastest`. */
import type {Value} from '../../../onnx/graph.js';
import type {Laid, Lowering} from '../../lowering/lowering.js';
import type {Strategies, Strategy} from '../../lowering/strategies.js';
import type {LazyValue} from '../../lowering/value.js';
import {blockedConv, canBlock} from './blocked-conv.js';
import {after, canTurn, each, overhang, pads, turnedPads, type Windows} from './window.js';

/** Filters [H, W, C, M] as C groups of M filters on one channel: [C·M, 1, H, W]. */
export function depthwiseFilters(g: Lowering, filter: LazyValue): Value {
  const [h, w, channels, multiplier] = filter.shape as [number, number, number, number];
  return g.reshape(g.in(filter, [2, 3, 0, 1]), [channels * multiplier, 1, h, w]);
}

/** Turned by half a circle. */
function turned(g: Lowering, filters: Value): Value {
  const end = -(2 ** 31 - 1); // before the first number: a slice backwards takes it too
  return g.op('Slice', [filters, g.ints([-1, -1]), g.ints([end, end]), g.ints([2, 3]), g.ints([-1, -1])]);
}

interface Geometry {
  strides: [number, number];
  pads: number[];
  /** Height and width of the result. */
  size: [number, number];
}
const forwards = ({spans}: Windows): Geometry => ({
  strides: each(spans, 'stride'),
  pads: pads(spans),
  size: each(spans, 'out'),
});
/** The gradient of x is a convolution of dy, for stride 1. */
const backwards = (windows: Windows): Geometry => ({
  strides: [1, 1],
  pads: turnedPads(windows),
  size: each(windows.spans, 'size'),
});

const attributesOf = ({spans}: Windows, {strides, pads: padding}: Geometry, group: number) => ({
  kernel_shape: each(spans, 'kernel'),
  dilations: each(spans, 'dilation'),
  strides,
  pads: padding,
  group,
});

/** Filters [C, 1, H, W] as [C/B, H, W, B]. */
function filtersInBlocks(g: Lowering, filters: Value, block: number): Value {
  const [c, , h, w] = filters.dims as [number, number, number, number];
  const rows = g.reshape(filters, [c / block, block, h * w]);
  return g.reshape(g.op('Transpose', [rows], {perm: [0, 2, 1]}), [c, 1, h, w]);
}

/** Through onnxruntime's blocks of channels: its kernel for them computes all channels of a block at once. One filter a channel. */
function blocked({block}: Lowering, windows: Windows, channels: number, geometry: Geometry, turn: boolean): Strategies {
  if (!canBlock([channels], block)) return {};
  const through: Strategy = (g, [x, filter]) => {
    const filters = depthwiseFilters(g, filter!);
    const filtersOfBlocks = filtersInBlocks(g, turn ? turned(g, filters) : filters, block);
    const image = g.blocks(x!, windows.perm);
    const shape = [image.dims[0] as number, channels, ...geometry.size];
    const value = blockedConv(g, image, filtersOfBlocks, attributesOf(windows, geometry, channels), shape);
    return {value, perm: windows.perm, inBlocks: true};
  };
  return {blocked: through};
}

export function depthwiseForward(g: Lowering, windows: Windows, [, , channels, multiplier]: readonly number[]): Strategies {
  const direct: Strategy = (h, [x, filter]) => {
    const attributes = attributesOf(windows, forwards(windows), channels!);
    return {value: h.op('Conv', [h.in(x!, windows.perm), depthwiseFilters(h, filter!)], attributes), perm: windows.perm};
  };
  return {direct, ...(multiplier === 1 && blocked(g, windows, channels!, forwards(windows), false))};
}

/** Rows that no window reached are `output_padding`. */
export function depthwiseInputGradient(
  g: Lowering,
  windows: Windows,
  [, , channels, multiplier]: readonly number[],
): Strategies {
  const {spans, perm} = windows;
  const spreading: Strategy = (h, [dy, filter]) => {
    const attributes = attributesOf(windows, forwards(windows), channels!);
    const output_padding = spans.map((s) => Math.max(0, -overhang(s)));
    const value = h.op('ConvTranspose', [h.in(dy!, perm), depthwiseFilters(h, filter!)], {...attributes, output_padding});
    return {value, perm};
  };
  if (multiplier !== 1 || !canTurn(windows)) return {spreading};
  const turning: Strategy = (h, [dy, filter]) => {
    const attributes = attributesOf(windows, backwards(windows), channels!);
    return {value: h.op('Conv', [h.in(dy!, perm), turned(h, depthwiseFilters(h, filter!))], attributes), perm};
  };
  return {turning, spreading, ...blocked(g, windows, channels!, backwards(windows), true)};
}

export function depthwiseFilterGradient({block}: Lowering, windows: Windows, filter: readonly number[]): Strategies {
  const correlating: Strategy = (g, [x, dy]) => correlate(g, x!, dy!, windows, filter);
  if (filter[3] !== 1 || !canBlock([filter[2]!], block)) return {correlating};
  return {correlating, blocked: (g, [x, dy]) => correlateBlocked(g, x!, dy!, windows, filter)};
}

/**
 * The same with every channel of every image a channel of its own, through blocks, added up at the end: x's blocks are the image, dy's blocks
 * already have the order of a depthwise filter's. [1, N·C, H, W] ∗ [N·C, 1, H′, W′] → [1, N·C, kH, kW].
 */
function correlateBlocked(g: Lowering, x: LazyValue, dy: LazyValue, {spans, perm}: Windows, filter: readonly number[]): Laid {
  const [kH, kW, channels] = filter as [number, number, number];
  const all = x.shape[perm[0]!]! * channels;
  const image = g.reshape(g.blocks(x, perm), [1, all, ...each(spans, 'size')]);
  const filters = g.reshape(g.blocks(dy, perm), [all, 1, ...each(spans, 'out')]);
  const size = spans.map((s) => Math.floor((s.size + s.before + after(s) - (s.out - 1) * s.stride - 1) / s.dilation) + 1);
  const attributes = {
    kernel_shape: each(spans, 'out'),
    strides: each(spans, 'dilation'),
    dilations: each(spans, 'stride'),
    pads: pads(spans),
    group: all,
  };
  const product = g.outOfBlocks(blockedConv(g, image, filters, attributes, [1, all, ...size]));
  const cut =
    size[0] === kH && size[1] === kW ? product : g.op('Slice', [product, g.ints([0, 0]), g.ints([kH, kW]), g.ints([2, 3])]);
  const sum = g.op('ReduceSum', [g.reshape(cut, [-1, channels, kH, kW]), g.ints([0])], {keepdims: 0});
  return {value: g.reshape(sum, [channels, kH, kW, 1]), perm: [2, 0, 1, 3]};
}

/**
 * dw[c] = Σ x[out·stride + tap·dilation]·dy[out], summed over images: for each channel a convolution of x with dy as its filter, where
 * stride and dilation change places and images are channels.
 */
function correlate(g: Lowering, x: LazyValue, dy: LazyValue, {spans, perm}: Windows, filter: readonly number[]): Laid {
  const [n, c, y, z] = perm as [number, number, number, number];
  const [kH, kW, channels, multiplier] = filter as [number, number, number, number];
  const images = g.reshape(g.in(x, [c, n, y, z]), [1, channels * x.shape[n]!, x.shape[y]!, x.shape[z]!]);
  const gradient = g.op('Conv', [images, g.in(dy, [c, n, y, z])], {
    kernel_shape: each(spans, 'out'),
    strides: each(spans, 'dilation'),
    dilations: each(spans, 'stride'),
    pads: pads(spans),
    group: channels,
  });
  const isLarger = spans.some((s) => overhang(s) <= -s.dilation); // the last windows ended before the image did
  const cut = isLarger ? g.op('Slice', [gradient, g.ints([0, 0]), g.ints([kH, kW]), g.ints([2, 3])]) : gradient;
  return {value: g.reshape(cut, [channels, multiplier, kH, kW]), perm: [2, 3, 0, 1]};
}
