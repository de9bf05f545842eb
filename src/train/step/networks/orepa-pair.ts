/**
 * OREPA kernels of the student and the dynamic teacher in one go. Five of the six branches are linear in tensors whose leading
 * blocks the student uses as they are: its part is the leading block of the teacher's. Only the sequential branch sums over inputs,
 * and the student sums over its own alone.
 */
import * as tf from '@tensorflow/tfjs-core';
import {SEPARABLE_EXPANSION} from '../../../reparam/algebra.js';
import type {ConvModule} from '../../../reparam/modules.js';
import {
  type GpdForm,
  type LayerParameters,
  parametersOf,
  type Role,
  type TensorUse,
  tensorUse,
} from '../../../reparam/parameters.js';
import type {SequentialKernel} from './tfjs-layers.js';
import {tfjsOps} from './tfjs-ops.js';

export type LoadTensor = (use: TensorUse) => tf.Tensor;

const AREA = 9; // OREPA kernels are 3x3

/** The leading block of a tensor, with a gradient. */
export const leadingPart = (t: tf.Tensor, shape: readonly number[]): tf.Tensor =>
  t.shape.every((n, d) => n === shape[d])
    ? t
    : tf.slice(
        t,
        shape.map(() => 0),
        [...shape],
      );

/**
 * [O, I, 3, 3] as [9, I, O], and [O, I, 1, 1] as [1, I, O]. In this order gradients of filters are computed; a backend that tracks layouts
 * keeps the parameters in it, and nothing is moved. A branch's scale, a number for each output, is along rows.
 */
const byTap = (t: tf.Tensor): tf.Tensor3D => {
  const [out, input, height, width] = t.shape as [number, number, number, number];
  return tf.reshape(tf.transpose(t, [2, 3, 1, 0]), [height * width, input, out]);
};
const fromTaps = (taps: tf.Tensor): tf.Tensor => {
  const [, input, out] = taps.shape as [number, number, number];
  return tf.transpose(tf.reshape(taps, [3, 3, input, out]), [3, 2, 0, 1]);
};

/** Dense branches without the sequential one, at the teacher's width: [9, I, O]. Scales go to the smallest tensor of each. */
function commonBranches(part: (leaf: string) => tf.Tensor, scales: readonly tf.Tensor[]): tf.Tensor {
  const scaled = (k: number, leaf: string) => tf.mul(byTap(part(leaf)), scales[k]!);
  const average = tf.reshape(part('weight_orepa_avg_avg'), [AREA, 1, 1]);
  const prior = byTap(tf.reshape(part('weight_orepa_prior'), [-1, 1, 3, 3]));
  const branches = [
    scaled(0, 'weight_orepa_origin'),
    tf.mul(scaled(1, 'weight_orepa_avg_conv'), average),
    tf.mul(scaled(2, 'weight_orepa_pfir_conv'), prior),
    scaled(4, 'weight_orepa_1x1'),
    separableBranch(scaled(5, 'weight_orepa_gconv_pw'), part('weight_orepa_gconv_dw')),
  ];
  return branches.reduce((sum, branch) => tf.add(sum, branch));
}

/** Σₖ depthwise[i, k, hw]·pointwise[i, k, o], k of 8: [9, I, O] from [1, 8·I, O] and [8·I, 1, 3, 3]. */
function separableBranch(pointwise: tf.Tensor, depthwise: tf.Tensor): tf.Tensor {
  const [, rows, out] = pointwise.shape as [number, number, number];
  const [input, k] = [rows / SEPARABLE_EXPANSION, SEPARABLE_EXPANSION];
  const byInput = tf.matMul(tf.reshape(depthwise, [input, k, AREA]), tf.reshape(pointwise, [input, k, out]), true);
  return tf.transpose(byInput, [1, 0, 2]);
}

/** Σₜ first[i, t]·second[hw, t, o]: [9, I, O] from [1, I, I] and [9, I, O]. TensorFlow.js has no gradient of a matrix that is broadcast. */
function timesEachTap(first: tf.Tensor, second: tf.Tensor): tf.Tensor {
  const product = tf.customGrad((f, s, save) => {
    const [first, second] = [f as tf.Tensor3D, s as tf.Tensor3D];
    (save as tf.GradSaveFunc)([first, second]);
    const gradFunc = (dy: tf.Tensor, [first, second]: tf.Tensor[]) => [
      tf.sum(tf.matMul(dy, second!, false, true), 0, true),
      tf.matMul(first!, dy, true),
    ];
    return {value: tf.matMul(first, second), gradFunc};
  });
  return product(first, second);
}

/** How many places the maps of a batch have behind a convolution: N·H·W. */
export type PositionsOf = (m: ConvModule) => number;

/**
 * Whether applying the sequential branch to the maps, one convolution after the other, is less work than multiplying its kernels: of late layers'
 * maps there is little. The convolutions of small maps do about 0.6 times as many multiplications a second as products of kernels.
 */
const isLessOnMaps = (positions: number, input: number, out: number): boolean =>
  positions * (AREA * out + input) < CONVOLUTIONS_SPEED * AREA * input * out;
const CONVOLUTIONS_SPEED = 0.6;

interface DenseKernels {
  readonly teacher: SequentialKernel;
  readonly student: SequentialKernel;
}

function denseKernels(m: ConvModule, ratio: number, part: (leaf: string) => tf.Tensor, positions: number): DenseKernels {
  const out = m.out * ratio;
  const scales = tf.unstack(tf.reshape(part('vector'), [6, out]), 0);
  const common = commonBranches(part, scales);
  const first = tf.add(part('weight_orepa_1x1_kxk_idconv1'), part('id_tensor'));
  const second = tf.mul(byTap(part('weight_orepa_1x1_kxk_conv2')), scales[3]!);
  const teacher = sequentialKernel(common, first, second, positions);
  if (ratio === 1) return {teacher, student: teacher};
  const own = (taps: tf.Tensor) => tf.mul(leadingPart(taps, [AREA, m.in, m.out]), ratio);
  const student = sequentialKernel(own(common), tf.mul(leadingPart(first, [m.in, m.in, 1, 1]), ratio), own(second), positions);
  return {teacher, student};
}

/** From common and second [9, I, O], first [I, I, 1, 1]. */
function sequentialKernel(common: tf.Tensor, first: tf.Tensor, second: tf.Tensor, positions: number): SequentialKernel {
  const [, input, out] = common.shape as [number, number, number];
  if (!isLessOnMaps(positions, input, out)) return {weight: fromTaps(tf.add(common, timesEachTap(byTap(first), second)))};
  return {weight: fromTaps(common), sequential: {first, second: fromTaps(second)}};
}

/** Parameters for both passes of one step: what they share is computed once, whichever asks first. */
export function pairParameters(
  form: GpdForm,
  load: LoadTensor,
  positionsOf: PositionsOf,
): Record<Role, LayerParameters<tf.Tensor>> {
  const roles = {
    teacher: parametersOf(tfjsOps, form, 'teacher', load),
    student: parametersOf(tfjsOps, form, 'student', load),
  };
  const made = new Map<string, DenseKernels>();
  const kernelsOf = (m: ConvModule): DenseKernels => {
    const part = (leaf: string) => load(tensorUse(form, 'teacher', m, leaf)!);
    const kernels = made.get(m.name) ?? denseKernels(m, form.ratio, part, positionsOf(m));
    made.set(m.name, kernels);
    return kernels;
  };
  const shared = (role: Role): LayerParameters<tf.Tensor> => ({
    ...roles[role],
    conv(m) {
      const widened = m.groups === 1 && m.widensIn && m.widensOut;
      if (!form.orepa.has(m.name) || !widened) return roles[role].conv(m);
      const {key, leading, factor} = tensorUse(form, role, m, 'bias_orepa_origin')!;
      const bias = load({key, leading, stored: leading, factor});
      return {...kernelsOf(m)[role], bias: factor === 1 ? bias : tf.mul(bias, factor)};
    },
  });
  return {teacher: shared('teacher'), student: shared('student')};
}
