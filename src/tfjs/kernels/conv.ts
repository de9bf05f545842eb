/** Convolutions: images in NCHW, filters in OIHW, whatever the order in which TensorFlow.js names their dimensions. */
import {sameShape} from '../../core/tensor.js';
import type {Value} from '../../onnx/graph.js';
import {float32Only, type KernelEntry} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import type {Strategies, Strategy} from '../lowering/strategies.js';
import type {LazyValue} from '../lowering/value.js';
import {activate, alongChannels, fusedInputs, refusesActivation} from './activation.js';
import {blockStrategies} from './convolution/block-strategies.js';
import {canBlock, FORWARD} from './convolution/blocked-conv.js';
import {convolveColumns, isForColumns} from './convolution/columns.js';
import {convolveFilterGradient, convolveInputGradient, OIHW_OF_HWIO} from './convolution/conv-gradients.js';
import {depthwiseFilterGradient, depthwiseFilters, depthwiseForward, depthwiseInputGradient} from './convolution/depthwise.js';
import {byTaps, type Ways} from './convolution/tap-products.js';
import {convWindows, each, pads, refusesWindows, type Windows} from './convolution/window.js';
import {tileStrategies} from './convolution/winograd-tiles.js';

function convolve(g: Lowering, x: Value, weight: Value, bias: Value | undefined, {spans}: Windows, group = 1): Value {
  const attributes = {kernel_shape: each(spans, 'kernel'), strides: each(spans, 'stride'), dilations: each(spans, 'dilation')};
  return g.op('Conv', [x, weight, ...(bias ? [bias] : [])], {...attributes, pads: pads(spans), group});
}

interface Kind extends Ways {
  depthwise: boolean;
  /** As onnxruntime's Conv wants it. */
  weight(g: Lowering, filter: LazyValue): Value;
  groups(filter: LazyValue): number;
}

const plain: Kind = {
  depthwise: false,
  weight: (g, filter) => g.in(filter, OIHW_OF_HWIO),
  groups: () => 1,
  forward: (g, x, filter, windows) =>
    g.fastest(`conv ${JSON.stringify(windows)}`, [x, filter], denseForward(g, windows, filter.shape)),
  inputGradient: convolveInputGradient,
  filterGradient: convolveFilterGradient,
};

const depthwise: Kind = {
  depthwise: true,
  weight: depthwiseFilters,
  groups: (filter) => filter.shape[2]!,
  forward: (g, x, filter, windows) =>
    g.fastest(`depthwise ${JSON.stringify(windows)}`, [x, filter], depthwiseForward(g, windows, filter.shape)),
  inputGradient: (g, dy, filter, windows) =>
    g.fastest(`depthwise dx ${JSON.stringify(windows)}`, [dy, filter], depthwiseInputGradient(g, windows, filter.shape)),
  filterGradient: (g, x, dy, windows, filter) =>
    g.fastest(`depthwise dw ${JSON.stringify(windows)}`, [x, dy], depthwiseFilterGradient(g, windows, filter)),
};

/**
 * A dense convolution: directly, as a product of matrices, or through blocks of channels. What comes next is done in blocks where it can be, so
 * that the direct way is no faster than it is with its result brought there.
 */
function denseForward(g: Lowering, windows: Windows, filter: readonly number[]): Strategies {
  const {perm} = windows;
  const inBlocks = canBlock([filter[3]!], g.block);
  const direct: Strategy = (h, [x, weights]) => {
    const value = convolve(h, h.in(x!, perm), plain.weight(h, weights!), undefined, windows);
    return inBlocks ? {value: h.intoBlocks(value), perm, inBlocks} : {value, perm};
  };
  const columns = isForColumns(windows, filter[2]!) && {columns: convolveColumns(windows)};
  return {direct, ...columns, ...blockStrategies(g, windows, filter, FORWARD), ...tileStrategies(windows, filter, FORWARD)};
}

/** In float64 onnxruntime has no convolution of its own. */
const waysOf = (g: Lowering, kind: Kind): Ways => (g.precision === 'float64' ? byTaps(kind.depthwise) : kind);

const convolution = (kind: Kind): KernelEntry => ({
  inputs: ['x', 'filter'],
  infer: ([x, filter], attrs) => [
    {dtype: x!.dtype, shape: convWindows(x!.shape, filter!.shape, attrs, kind.depthwise).outShape},
  ],
  refuses: (inputs, attrs) =>
    float32Only(inputs) ?? refusesWindows(convWindows(inputs[0]!.shape, inputs[1]!.shape, attrs, kind.depthwise)),
  lower(g, [x, filter], attrs, [out]) {
    const windows = convWindows(x!.shape, filter!.shape, attrs, kind.depthwise);
    const {value, perm, inBlocks} = waysOf(g, kind).forward(g, x!, filter!, windows);
    g.define(out!, value, perm, inBlocks);
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
    const {value, perm, inBlocks} = waysOf(g, kind).inputGradient(g, dy!, filter!, windows);
    g.define(out!, value, perm, inBlocks);
  },
});

const filterGradient = (kind: Kind): KernelEntry => ({
  inputs: ['x', 'dy'],
  infer: (_, {filterShape}) => [{dtype: 'float32', shape: filterShape}],
  refuses: (inputs, attrs) =>
    refusesGradient(inputs, inputs[1]!, convWindows(inputs[0]!.shape, attrs.filterShape, attrs, kind.depthwise)),
  lower(g, [x, dy], attrs, [out]) {
    const windows = convWindows(x!.shape, attrs.filterShape, attrs, kind.depthwise);
    const {value, perm} = waysOf(g, kind).filterGradient(g, x!, dy!, windows, attrs.filterShape);
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
