/** Convolutions: images in NCHW, filters in OIHW, whatever the order in which TensorFlow.js names their dimensions. */
import type {Value} from '../../onnx/graph.js';
import {float32Only, type KernelEntry} from '../kernel-entry.js';
import type {Laid, Lowering} from '../lowering.js';
import type {Strategy} from '../strategies.js';
import {type LazyValue, sameShape} from '../value.js';
import {activate, alongChannels, fusedInputs, refusesActivation} from './activation.js';
import {blockSizes, canBlock, convolveBlocked, FORWARD} from './blocked-conv.js';
import {convolveFilterGradient, convolveInputGradient} from './conv-gradients.js';
import {convWindows, each, pads, refusesWindows, type Windows} from './window.js';

export const OIHW_OF_HWIO = [3, 2, 0, 1];

/** Filters [H, W, C, M] of a depthwise convolution as C groups of M filters on one channel. */
export function depthwiseFilters(g: Lowering, filter: LazyValue): Value {
  const [h, w, channels, multiplier] = filter.shape as [number, number, number, number];
  return g.reshape(g.in(filter, [2, 3, 0, 1]), [channels * multiplier, 1, h, w]);
}

function convolve(g: Lowering, x: Value, weight: Value, bias: Value | undefined, {spans}: Windows, group = 1): Value {
  const attributes = {kernel_shape: each(spans, 'kernel'), strides: each(spans, 'stride'), dilations: each(spans, 'dilation')};
  return g.op('Conv', [x, weight, ...(bias ? [bias] : [])], {...attributes, pads: pads(spans), group});
}

interface Kind {
  depthwise: boolean;
  weight(g: Lowering, filter: LazyValue): Value;
  groups(filter: LazyValue): number;
}
const plain: Kind = {depthwise: false, weight: (g, filter) => g.in(filter, OIHW_OF_HWIO), groups: () => 1};
const depthwise: Kind = {depthwise: true, weight: depthwiseFilters, groups: (filter) => filter.shape[2]!};

const direct =
  (kind: Kind, windows: Windows): Strategy =>
  (g, [x, filter]) => ({
    value: convolve(g, g.in(x!, windows.perm), kind.weight(g, filter!), undefined, windows, kind.groups(filter!)),
    perm: windows.perm,
  });

/** A dense convolution, directly or through blocks of channels. */
function fastestForward(g: Lowering, x: LazyValue, filter: LazyValue, windows: Windows): Laid {
  const [, , inputs, outputs] = filter.shape as [number, number, number, number];
  const strategies: Record<string, Strategy> = {direct: direct(plain, windows)};
  for (const block of blockSizes) {
    if (!canBlock([outputs, inputs], block)) continue;
    strategies[`blocked${block}`] = (h, [a, f]) => ({
      value: convolveBlocked(h, h.in(a!, windows.perm), h.any(f!), {block, windows, from: FORWARD}),
      perm: windows.perm,
    });
  }
  return g.fastest(`conv ${JSON.stringify(windows)}`, [x, filter], strategies);
}

const convolution = (kind: Kind): KernelEntry => ({
  inputs: ['x', 'filter'],
  infer: ([x, filter], attrs) => [
    {dtype: x!.dtype, shape: convWindows(x!.shape, filter!.shape, attrs, kind.depthwise).outShape},
  ],
  refuses: (inputs, attrs) =>
    float32Only(inputs) ?? refusesWindows(convWindows(inputs[0]!.shape, inputs[1]!.shape, attrs, kind.depthwise)),
  lower(g, [x, filter], attrs, [out]) {
    const windows = convWindows(x!.shape, filter!.shape, attrs, kind.depthwise);
    const {value, perm} = kind.depthwise ? direct(kind, windows)(g, [x!, filter!]) : fastestForward(g, x!, filter!, windows);
    g.define(out!, value, perm);
  },
});

const fused = (kind: Kind): KernelEntry => {
  const unfused = convolution(kind);
  return {
    ...unfused,
    inputs: ['x', 'filter', 'bias', 'preluActivationWeights'],
    optional: true,
    refuses: (inputs, attrs) => unfused.refuses!(inputs, attrs) ?? refusesActivation(attrs),
    lower(g, inputs, attrs, [out]) {
      const [x, filter] = inputs as [LazyValue, LazyValue];
      const {bias, slopes} = fusedInputs(inputs, attrs);
      const windows = convWindows(x.shape, filter.shape, attrs, kind.depthwise);
      const {perm} = windows;
      const perChannel = bias?.shape.length === 1 && bias.shape[0] === windows.outShape[perm[1]!];
      const inConv = bias && perChannel ? g.plain(bias) : undefined;
      const y = convolve(g, g.in(x, perm), kind.weight(g, filter), inConv, windows, kind.groups(filter));
      const sum = bias && !perChannel ? g.op('Add', [y, alongChannels(g, bias, perm, attrs.dataFormat)]) : y;
      g.define(out!, activate(g, sum, attrs, slopes && alongChannels(g, slopes, perm, attrs.dataFormat)), perm);
    },
  };
};

/** Of the convolution whose output has the gradient dy. TensorFlow.js takes any dy; what is left over or missing means nothing here. */
const refusesGradient = (inputs: readonly LazyValue[], dy: LazyValue, windows: Windows): string | undefined =>
  float32Only(inputs) ?? refusesWindows(windows) ?? (sameShape(dy.shape, windows.outShape) ? undefined : 'dy of another shape');

const inputGradient = (kind: Kind): KernelEntry => ({
  inputs: ['dy', 'filter'],
  infer: (_, {inputShape}) => [{dtype: 'float32', shape: inputShape}],
  refuses: (inputs, attrs) =>
    refusesGradient(inputs, inputs[0]!, convWindows(attrs.inputShape, inputs[1]!.shape, attrs, kind.depthwise)),
  lower(g, [dy, filter], attrs, [out]) {
    const windows = convWindows(attrs.inputShape, filter!.shape, attrs, kind.depthwise);
    const {value, perm} = convolveInputGradient(g, dy!, filter!, kind.weight, windows, kind.groups(filter!));
    g.define(out!, value, perm);
  },
});

const filterGradient = (kind: Kind): KernelEntry => ({
  inputs: ['x', 'dy'],
  infer: (_, {filterShape}) => [{dtype: 'float32', shape: filterShape}],
  refuses: (inputs, attrs) =>
    refusesGradient(inputs, inputs[1]!, convWindows(inputs[0]!.shape, attrs.filterShape, attrs, kind.depthwise)),
  lower(g, [x, dy], attrs, [out]) {
    const windows = convWindows(x!.shape, attrs.filterShape, attrs, kind.depthwise);
    const {value, perm} = convolveFilterGradient(g, x!, dy!, windows, {...kind, filter: attrs.filterShape});
    g.define(out!, value, perm);
  },
});

export const convKernels: Readonly<Record<string, KernelEntry>> = {
  Conv2D: convolution(plain),
  Conv2DBackpropFilter: filterGradient(plain),
  Conv2DBackpropInput: inputGradient(plain),
  DepthwiseConv2dNative: convolution(depthwise),
  DepthwiseConv2dNativeBackpropFilter: filterGradient(depthwise),
  DepthwiseConv2dNativeBackpropInput: inputGradient(depthwise),
  FusedConv2D: fused(plain),
  FusedDepthwiseConv2D: fused(depthwise),
};
