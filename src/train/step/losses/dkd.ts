/** Decoupled knowledge distillation: Zhao et al., CVPR 2022, arXiv 2203.08679. */
import * as tf from '@tensorflow/tfjs-core';
import {number} from '../../../core/option-kinds.js';
import type {LogitsTensor} from './losses.js';
import {staticLoss} from './static-loss.js';

export interface DkdOptions {
  readonly alpha: number;
  readonly beta: number;
  readonly temperature: number;
}

const MASK = -1000; // as in the authors' code: e^−1000 is 0 in float32

/** Σ p·(log p − log q), mean over the batch. */
const divergence = (logP: LogitsTensor, logQ: LogitsTensor): tf.Scalar =>
  tf.mean(tf.sum(tf.mul(tf.exp(logP), tf.sub(logP, logQ)), 1));

/** log p of the target and of all other classes together [N, 2], and log p among the others alone [N, C]. */
function split(logits: LogitsTensor, target: LogitsTensor, temperature: number): {binary: LogitsTensor; others: LogitsTensor} {
  const scaled = temperature === 1 ? logits : (tf.div(logits, temperature) as LogitsTensor);
  const log = tf.logSoftmax(scaled) as LogitsTensor;
  const masked = tf.mul(target, MASK);
  const logTarget = tf.sum(tf.mul(log, target), 1);
  const logOthers = tf.logSumExp(tf.add(log, masked), 1); // the original takes log Σ softmax: the same, until it underflows
  return {
    binary: tf.stack([logTarget, logOthers], 1) as LogitsTensor,
    others: tf.logSoftmax(tf.add(scaled, masked)) as LogitsTensor,
  };
}

/** α·TCKD + β·NCKD, times T². `target`: one-hot [N, C]. No gradient flows to the teacher. */
export function dkdLoss(
  student: LogitsTensor,
  teacher: LogitsTensor,
  target: LogitsTensor,
  {alpha, beta, temperature}: DkdOptions,
): tf.Scalar {
  const [s, t] = [split(student, target, temperature), split(teacher, target, temperature)];
  const [tckd, nckd] = [divergence(t.binary, s.binary), divergence(t.others, s.others)];
  return tf.mul(tf.add(tf.mul(tckd, alpha), tf.mul(nckd, beta)), temperature ** 2);
}

const weight = number({min: 0});

export const dkd = staticLoss({
  title: 'DKD',
  describe: 'logits: the target class against all others, and the others among themselves, each with a weight of its own',
  source: 'Zhao et al., CVPR 2022, arXiv 2203.08679',
  original: '--use_dkd',
  options: {
    'dkd-alpha': {describe: 'weight of DKD’s target class term', kind: weight, or: 1, rvt: '--dkd_alpha'},
    'dkd-beta': {describe: 'weight of DKD’s term of the other classes', kind: weight, or: 0.5, rvt: '--dkd_beta'},
    'dkd-temperature': {describe: 'temperature of DKD', kind: number({above: 0}), or: 1},
  },
  loss({student, teacher, targets}, {'dkd-alpha': alpha, 'dkd-beta': beta, 'dkd-temperature': temperature}) {
    const likeliest = tf.oneHot(tf.argMax(targets, 1) as tf.Tensor1D, targets.shape[1]);
    const target = tf.cast(likeliest, 'float32') as LogitsTensor;
    return dkdLoss(student.logits, teacher.logits, target, {alpha, beta, temperature});
  },
});
