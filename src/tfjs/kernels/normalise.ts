/** Softmax and batch normalisation. */
import type {Value} from '../../onnx/graph.js';
import {float32Only, type KernelEntry} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import type {LazyValue} from '../lowering/value.js';
import {type ChannelMap, mapChannels} from './convolution/blocks.js';

const softmax: KernelEntry = {
  inputs: ['logits'],
  infer: ([x]) => [x!],
  refuses: float32Only,
  lower(g, [x], {dim}: {dim: number}, [out]) {
    const {value, perm} = g.any(x!);
    const axis = perm.indexOf(dim < 0 ? dim + perm.length : dim);
    g.define(out!, g.op('Softmax', [value], {axis}), perm);
  },
};

const DEFAULT_EPSILON = 0.001; // TensorFlow.js, BatchNorm kernel

/** With given statistics. onnxruntime's own operator wants the channels second; otherwise (x − mean)·scale/√(variance + ε) + offset. */
const batchNorm: KernelEntry = {
  inputs: ['x', 'mean', 'variance', 'offset', 'scale'],
  optional: true,
  infer: ([x]) => [x!],
  refuses: float32Only,
  lower(g, inputs, {varianceEpsilon, given}: {varianceEpsilon?: number; given: readonly string[]}, [out]) {
    const [x, mean, variance] = inputs as [LazyValue, LazyValue, LazyValue];
    const named = (name: string) => (given.includes(name) ? inputs[given.indexOf(name)] : undefined);
    const [offset, scale] = [named('offset'), named('scale')];
    const epsilon = varianceEpsilon ?? DEFAULT_EPSILON;
    const form = g.form(x);
    if (form.inBlocks && mean.shape.length === 1) {
      const map = channelMap(g, [mean, variance, offset, scale], epsilon);
      return g.define(out!, mapChannels(g, form.value, map), form.perm, true);
    }
    const {value, perm} = g.any(x);
    const channelsSecond = perm.length > 2 && perm[1] === perm.length - 1 && mean.shape.length === 1;
    const filled = (v: LazyValue | undefined, number: number) =>
      v ? g.plain(v) : g.op('Expand', [g.scalar(number), g.ints(mean.shape)]);
    if (channelsSecond) {
      const statistics = [filled(scale, 1), filled(offset, 0), g.plain(mean), g.plain(variance)];
      return g.define(out!, g.op('BatchNormalization', [value, ...statistics], {epsilon}), perm);
    }
    const aligned = (v: LazyValue) => g.broadcastable(v, perm);
    const factor = inverseDeviation(g, aligned(variance), epsilon);
    const centred = g.op('Sub', [value, aligned(mean)]);
    const scaled = g.op('Mul', [centred, scale ? g.op('Mul', [factor, aligned(scale)]) : factor]);
    g.define(out!, offset ? g.op('Add', [scaled, aligned(offset)]) : scaled, perm);
  },
};

/** x·γ/√(σ² + ε) + (β − μ·γ/√(σ² + ε)), as onnxruntime's own operator has it. */
function channelMap(
  g: Lowering,
  [mean, variance, offset, scale]: readonly [LazyValue, LazyValue, LazyValue | undefined, LazyValue | undefined],
  epsilon: number,
): ChannelMap {
  const inverse = inverseDeviation(g, g.plain(variance), epsilon);
  const times = scale ? g.op('Mul', [inverse, g.plain(scale)]) : inverse;
  const shift = g.op('Mul', [g.plain(mean), times]);
  return {times, plus: offset ? g.op('Sub', [g.plain(offset), shift]) : g.op('Neg', [shift])};
}

const inverseDeviation = (g: Lowering, variance: Value, epsilon: number): Value =>
  g.op('Reciprocal', [g.op('Sqrt', [g.op('Add', [variance, g.scalar(epsilon)])])]);

export const normalisationKernels: Readonly<Record<string, KernelEntry>> = {FusedBatchNorm: batchNorm, Softmax: softmax};
