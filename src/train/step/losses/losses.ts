/** Classification and distillation losses over logits [N, C], means over the batch. Schedules and weights are the caller's. */
import * as tf from '@tensorflow/tfjs-core';

export type Logits = tf.Tensor2D;

/** −mean Σ t·log p: `targets` are distributions [N, C]. Hard labels and smoothed ones are special cases. */
export const crossEntropy = (logits: Logits, targets: Logits): tf.Scalar =>
  tf.neg(tf.mean(tf.sum(tf.mul(targets, tf.logSoftmax(logits)), 1)));

/** mean of max(x, 0) − x·t + log(1 + e^−|x|): −t·log σ(x) − (1 − t)·log(1 − σ(x)) without overflow. */
const binaryCrossEntropy = (logits: Logits, targets: Logits): tf.Scalar =>
  tf.mean(tf.add(tf.sub(tf.relu(logits), tf.mul(logits, targets)), tf.log1p(tf.exp(tf.neg(tf.abs(logits))))));

/** The part of `sce` that is spread over all classes; fixed in the original. */
const SPREAD = 0.1;

/** −mean (1/C) Σ log p: cross-entropy against the uniform distribution. */
const uniformCrossEntropy = (logits: Logits): tf.Scalar => tf.neg(tf.mean(tf.logSoftmax(logits)));

/** What the student learns from the dynamic teacher's logits, through which no gradient flows. Without temperature or entropy. */
export const kdLosses = {
  ce: (student, teacher) => crossEntropy(student, tf.softmax(teacher)),
  sce: (student, teacher) =>
    tf.add(tf.mul(crossEntropy(student, tf.softmax(teacher)), 1 - SPREAD), tf.mul(uniformCrossEntropy(student), SPREAD)),
  mse: (student, teacher) => tf.mean(tf.square(tf.sub(student, teacher))),
  l1: (student, teacher) => tf.mean(tf.abs(tf.sub(student, teacher))),
  bce: (student, teacher) => binaryCrossEntropy(student, tf.sigmoid(teacher)),
  /** `bce` as the original has it: logits in the place of probabilities. */
  bceOfLogits: binaryCrossEntropy,
} satisfies Record<string, (student: Logits, teacher: Logits) => tf.Scalar>;

export const kdKinds = ['ce', 'sce', 'mse', 'l1', 'bce'] as const;
export type KdKind = (typeof kdKinds)[number];

/** Percentage of rows in which fewer than k logits are larger than the label's. `oneHot`: [N, C]. */
export function accuracies(logits: Logits, oneHot: Logits, ks: readonly number[]): tf.Scalar[] {
  const own = tf.sum(tf.mul(logits, oneHot), 1, true); // [N, 1]
  const larger = tf.sum(tf.cast(tf.greater(logits, own), 'float32'), 1); // [N]
  return ks.map((k) => tf.mul(tf.mean(tf.cast(tf.less(larger, k), 'float32')), 100));
}
