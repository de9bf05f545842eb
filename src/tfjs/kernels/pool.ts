/** Pooling and its gradients, in NCHW. */
import {sameShape} from '../../core/tensor.js';
import type {AttributeValues} from '../../onnx/graph.js';
import {float32Only, type KernelEntry, SHARES_DATA} from '../lowering/kernel-entry.js';
import type {Laid, Lowering} from '../lowering/lowering.js';
import type {LazyValue, TypedShape} from '../lowering/value.js';
import {convert} from './convert.js';
import {averageGradient, maxGradient, maxGradientInBlocks, maxPoolInBlocks} from './convolution/pool-gradients.js';
import {after, each, pads, poolWindows, refusesWindows, type Windows} from './convolution/window.js';

/** onnxruntime wants every window to touch the image. */
function refusesPool(windows: Windows): string | undefined {
  const outside = windows.spans.some((s) => s.before >= s.kernel || after(s) >= s.kernel);
  return refusesWindows(windows) ?? (outside ? 'windows that lie in the padding' : undefined);
}

const refusesShape = (dy: TypedShape, {outShape}: Windows) =>
  sameShape(dy.shape, outShape) ? undefined : 'dy of another shape';

const isIdentity = ({spans}: Windows) => spans.every((s) => s.kernel === 1 && s.size === s.out);

const pool = (opType: string, attributes: AttributeValues = {}): KernelEntry => ({
  inputs: ['x'],
  infer: ([x], attrs) => [{dtype: x!.dtype, shape: poolWindows(x!.shape, attrs).outShape}],
  refuses([x], attrs) {
    const windows = poolWindows(x!.shape, attrs);
    return isIdentity(windows) ? SHARES_DATA : refusesPool(windows);
  },
  lower(g, [x], attrs, [out]) {
    const {spans, perm} = poolWindows(x!.shape, attrs);
    const shape = {kernel_shape: each(spans, 'kernel'), strides: each(spans, 'stride'), pads: pads(spans)};
    const image = opType === 'MaxPool' && g.blocksOf(x!, perm);
    if (image) return g.define(out!, maxPoolInBlocks(g, image, shape, each(spans, 'out')), perm, true);
    const pooled = g.op(opType, [convert(g, g.in(x!, perm), 'float32')], {...shape, ...attributes});
    g.define(out!, convert(g, pooled, out!.dtype), perm);
  },
});

type Gradient = (g: Lowering, dy: LazyValue, x: LazyValue, windows: Windows) => Laid;

const average: Gradient = (g, dy, _, windows) => ({
  value: averageGradient(g, g.in(dy, windows.perm), windows),
  perm: windows.perm,
});

/** Where x is in blocks, so is the gradient. */
const maximum: Gradient = (g, dy, x, windows) => {
  const {perm} = windows;
  const image = g.blocksOf(x, perm);
  if (!image || g.block === undefined) return {value: maxGradient(g, g.in(dy, perm), g.in(x, perm), windows), perm};
  return {value: maxGradientInBlocks(g, g.blocks(dy, perm), image, windows, g.block), perm, inBlocks: true};
};

const gradient = (inputs: readonly string[], formula: Gradient): KernelEntry => {
  const windowsOf = (given: readonly TypedShape[], attrs: object) => poolWindows(given[1]!.shape, attrs);
  return {
    inputs,
    infer: ([, x]) => [{dtype: 'float32', shape: x!.shape}],
    refuses: (given, attrs) =>
      float32Only(given) ?? refusesPool(windowsOf(given, attrs)) ?? refusesShape(given[0]!, windowsOf(given, attrs)),
    lower(g, given, attrs, [out]) {
      const [dy, x] = given as [LazyValue, LazyValue];
      const {value, perm, inBlocks} = formula(g, dy, x, windowsOf(given, attrs));
      g.define(out!, value, perm, inBlocks);
    },
  };
};

export const poolKernels: Readonly<Record<string, KernelEntry>> = {
  AvgPool: pool('AveragePool', {count_include_pad: 0}),
  AvgPoolGrad: gradient(['dy', 'input'], average),
  MaxPool: pool('MaxPool'),
  MaxPoolGrad: gradient(['dy', 'input'], maximum), // `output` is not needed: each row of windows finds its own maximum
};
