/** Batch norm as it is while training: statistics of the batch, and running ones, variables, that follow them. */
import type * as tf from '@tensorflow/tfjs-core';
import {batchStatistics, normaliseBatch, runningStatistics} from '../src/train/step/networks/batch-norm.js';
import type {BatchNorm} from '../src/train/step/networks/tfjs-layers.js';

export const trainingBatchNorm: BatchNorm = (x, s) => {
  const statistics = batchStatistics(x, 'bn');
  const {mean, variance} = runningStatistics(s, statistics, 1);
  (s.mean as tf.Variable).assign(mean);
  (s.variance as tf.Variable).assign(variance);
  return normaliseBatch(x, s.gamma, s.beta, statistics, s.eps);
};
