/**
 * Batch normalisation while training: with the statistics of the batch, which are handed on for the running ones. The only place
 * where it is computed, forward and backward.
 */
import * as tf from '@tensorflow/tfjs-core';
import {GpdError} from '../../../core/error.js';

export interface BatchStatistics {
  /** x − μ, which both directions want: x itself need not be kept. [N, H, W, C] */
  readonly centred: tf.Tensor;
  readonly mean: tf.Tensor1D; // [C]
  /** Biased: the mean square deviation. */
  readonly variance: tf.Tensor1D; // [C]
  /** How many numbers of the batch a channel has. */
  readonly count: number;
}

const EACH_CHANNEL = [0, 1, 2]; // of [N, H, W, C]

export function batchStatistics(x: tf.Tensor, layer: string): BatchStatistics {
  const count = x.size / x.shape[3]!;
  if (count < 2) {
    throw new GpdError('SHAPE_MISMATCH', `batch norm '${layer}' sees one number per channel, which has no variance`, {
      at: layer,
      hint: 'train with larger batches or larger images',
    });
  }
  const mean = tf.mean(x, EACH_CHANNEL) as tf.Tensor1D;
  const centred = tf.sub(x, mean);
  return {centred, mean, variance: tf.mean(tf.square(centred), EACH_CHANNEL) as tf.Tensor1D, count};
}

/**
 * (x − μ)/√(σ² + ε)·γ + β with the batch's own μ and σ², through which the gradient flows too. With a = γ/√(σ² + ε) and N numbers a channel
 * dx = a·dy + b·(x − μ) + c, b = −a/(σ² + ε)·Σ dy·(x − μ)/N, c = −a·Σ dy/N: what is large is read as seldom as can be.
 */
export function normaliseBatch(
  x: tf.Tensor,
  gamma: tf.Tensor,
  beta: tf.Tensor,
  {centred, variance, count}: BatchStatistics,
  eps: number,
): tf.Tensor {
  const normalise = tf.customGrad((_, gamma, beta, save) => {
    const scale = gamma as tf.Tensor;
    const inverse = tf.rsqrt(tf.add(variance, eps));
    (save as tf.GradSaveFunc)([centred, scale, inverse]);
    const value = tf.add(tf.mul(centred, tf.mul(scale, inverse)), beta as tf.Tensor);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [centred, scale, inverse] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const [sumDy, sumDyX] = [tf.sum(dy, EACH_CHANNEL), tf.sum(tf.mul(dy, centred), EACH_CHANNEL)];
      const a = tf.mul(scale, inverse);
      const b = tf.mul(tf.mul(a, tf.mul(inverse, inverse)), tf.div(sumDyX, -count));
      const c = tf.mul(a, tf.div(sumDy, -count));
      return [tf.add(tf.mul(dy, a), tf.add(tf.mul(centred, b), c)), tf.mul(sumDyX, inverse), sumDy];
    };
    return {value, gradFunc};
  });
  return normalise(x, gamma, beta);
}

const MOMENTUM = 0.1; // PyTorch's default, never changed by the original

/** 0.9·running + 0.1·batch. `widening`: a dynamic teacher's statistics are those of r·x. The variance is the unbiased one. */
export function runningStatistics(
  running: {mean: tf.Tensor; variance: tf.Tensor},
  {mean, variance, count}: BatchStatistics,
  widening: number,
): {mean: tf.Tensor; variance: tf.Tensor} {
  const blend = (old: tf.Tensor, now: tf.Tensor, factor: number) =>
    tf.add(tf.mul(old, 1 - MOMENTUM), tf.mul(now, MOMENTUM * factor));
  return {
    mean: blend(running.mean, mean, widening),
    variance: blend(running.variance, variance, (widening ** 2 * count) / (count - 1)),
  };
}
