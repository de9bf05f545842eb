/**
 * OREPA kernels of the student and the dynamic teacher in one go. Five of the six branches are linear in tensors whose leading
 * blocks the student uses as they are: its part is the leading block of the teacher's. Only the sequential branch sums over inputs,
 * and the student sums over its own alone.
 */
import * as tf from '@tensorflow/tfjs-core';
import {SEPARABLE_EXPANSION} from '../reparam/algebra.js';
import type {ConvModule} from '../reparam/modules.js';
import {type GpdForm, type LayerParameters, parametersOf, type Role, type TensorUse, tensorUse} from '../reparam/parameters.js';
import {tfjsOps} from './tfjs-ops.js';

export type LoadTensor = (use: TensorUse) => tf.Tensor;

const AREA = 9; // OREPA kernels are 3x3

/** The leading block of a tensor, with a gradient. */
export const leadingBlock = (t: tf.Tensor, shape: readonly number[]): tf.Tensor =>
  t.shape.every((n, d) => n === shape[d])
    ? t
    : tf.slice(
        t,
        shape.map(() => 0),
        [...shape],
      );

/** Dense branches without the sequential one, at the teacher's width: [O, I, 9]. */
function commonBranches(
  part: (leaf: string) => tf.Tensor,
  scales: readonly tf.Tensor[],
  out: number,
  input: number,
): tf.Tensor {
  const scaled = (k: number, leaf: string) => tf.mul(tf.reshape(part(leaf), [out, input, -1]), scales[k]!);
  const pointwise = tf.transpose(tf.reshape(part('weight_orepa_gconv_pw'), [out, input, SEPARABLE_EXPANSION]), [1, 0, 2]); // [I, O, 8]
  const depthwise = tf.reshape(part('weight_orepa_gconv_dw'), [input, SEPARABLE_EXPANSION, AREA]);
  const separable = tf.transpose(tf.matMul(pointwise, depthwise), [1, 0, 2]); // [O, I, 9]
  return tf.addN([
    scaled(0, 'weight_orepa_origin'),
    tf.mul(scaled(1, 'weight_orepa_avg_conv'), tf.reshape(part('weight_orepa_avg_avg'), [1, 1, AREA])),
    tf.mul(scaled(2, 'weight_orepa_pfir_conv'), tf.reshape(part('weight_orepa_prior'), [out, 1, AREA])),
    scaled(4, 'weight_orepa_1x1'),
    tf.mul(separable, scales[5]!),
  ]);
}

/** Σₜ second[o, t, hw]·first[t, i], with first = idconv1 + id: [O, I, 9] from the leading [O, I] and [I, I]. */
function sequentialBranch(part: (leaf: string) => tf.Tensor, out: number, input: number): tf.Tensor {
  const square = (leaf: string) => tf.reshape(leadingBlock(part(leaf), [input, input, 1, 1]), [input, input]);
  const first = tf.add(square('weight_orepa_1x1_kxk_idconv1'), square('id_tensor'));
  const second = tf.reshape(leadingBlock(part('weight_orepa_1x1_kxk_conv2'), [out, input, 3, 3]), [out, input, AREA]);
  const rows = tf.reshape(tf.transpose(second, [0, 2, 1]), [out * AREA, input]);
  return tf.transpose(tf.reshape(tf.matMul(rows, first), [out, AREA, input]), [0, 2, 1]);
}

interface DenseKernels {
  readonly teacher: tf.Tensor;
  readonly student: tf.Tensor;
}

function denseKernels(m: ConvModule, ratio: number, part: (leaf: string) => tf.Tensor): DenseKernels {
  const [out, input] = [m.out * ratio, m.in * ratio];
  const scales = tf.unstack(tf.reshape(part('vector'), [6, out, 1, 1]), 0); // each [O, 1, 1]
  const common = commonBranches(part, scales, out, input);
  const whole = tf.add(common, tf.mul(sequentialBranch(part, out, input), scales[3]!));
  const teacher = tf.reshape(whole, [out, input, 3, 3]);
  if (ratio === 1) return {teacher, student: teacher};
  const own = tf.mul(sequentialBranch(part, m.out, m.in), tf.mul(leadingBlock(scales[3]!, [m.out, 1, 1]), ratio));
  const student = tf.mul(tf.add(leadingBlock(common, [m.out, m.in, AREA]), own), ratio);
  return {teacher, student: tf.reshape(student, [m.out, m.in, 3, 3])};
}

/** Parameters for both passes of one step: what they share is computed once, whichever asks first. */
export function pairParameters(form: GpdForm, load: LoadTensor): Record<Role, LayerParameters<tf.Tensor>> {
  const roles = {
    teacher: parametersOf(tfjsOps, form, 'teacher', load),
    student: parametersOf(tfjsOps, form, 'student', load),
  };
  const made = new Map<string, DenseKernels>();
  const kernelsOf = (m: ConvModule): DenseKernels => {
    const part = (leaf: string) => load(tensorUse(form, 'teacher', m, leaf)!);
    const kernels = made.get(m.name) ?? denseKernels(m, form.ratio, part);
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
      return {weight: kernelsOf(m)[role], bias: factor === 1 ? bias : tf.mul(bias, factor)};
    },
  });
  return {teacher: shared('teacher'), student: shared('student')};
}
