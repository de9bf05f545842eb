/** The classification loss and accuracies over logits [N, C], means over the batch. */
import * as tf from '@tensorflow/tfjs-core';

export type LogitsTensor = tf.Tensor2D;

/** −mean Σ t·log p: `targets` are distributions [N, C]. Hard labels and smoothed ones are special cases. */
export const crossEntropy = (logits: LogitsTensor, targets: LogitsTensor): tf.Scalar =>
  tf.neg(tf.mean(tf.sum(tf.mul(targets, tf.logSoftmax(logits)), 1)));

/** Percentage of rows in which fewer than k logits are larger than the label's. `oneHot`: [N, C]. */
export function accuracies(logits: LogitsTensor, oneHot: LogitsTensor, ks: readonly number[]): tf.Scalar[] {
  const own = tf.sum(tf.mul(logits, oneHot), 1, true); // [N, 1]
  const larger = tf.sum(tf.cast(tf.greater(logits, own), 'float32'), 1); // [N]
  return ks.map((k) => tf.mul(tf.mean(tf.cast(tf.less(larger, k), 'float32')), 100));
}
