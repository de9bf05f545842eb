/** Batch norm as it is while training: statistics of the batch, and running ones that follow them. */
import * as tf from '@tensorflow/tfjs-core';
import type {BatchNorm} from '../src/train/tfjs-layers.js';

const MOMENTUM = 0.1; // PyTorch's default: the weight of the new statistics

/** x [N, H, W, C]. `s.mean` and `s.variance` are variables, and are updated; the stored variance is the unbiased one, as PyTorch's. */
export const trainingBatchNorm: BatchNorm = (x, s) => {
  const {mean, variance} = tf.moments(x, [0, 1, 2]);
  const count = x.size / x.shape[3]!;
  const follow = (running: tf.Tensor, batch: tf.Tensor) =>
    (running as tf.Variable).assign(tf.add(tf.mul(running, 1 - MOMENTUM), tf.mul(batch, MOMENTUM)));
  follow(s.mean, mean);
  follow(s.variance, tf.mul(variance, count / (count - 1)));
  return tf.batchNorm(
    x as tf.Tensor4D,
    mean as tf.Tensor1D,
    variance as tf.Tensor1D,
    s.beta as tf.Tensor1D,
    s.gamma as tf.Tensor1D,
    s.eps,
  );
};
