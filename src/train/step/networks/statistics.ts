/**
 * Running statistics of batch norms. A widened one keeps two pairs over all its channels: `running_*` of the dynamic teacher, and
 * `tiny_running_*`, of which the student uses and updates the leading part alone.
 */
import * as tf from '@tensorflow/tfjs-core';
import type {Role} from '../../../reparam/parameters.js';
import type {TensorStore} from '../parameters/store.js';
import {type BatchStatistics, runningStatistics} from './batch-norm.js';
import {leadingPart} from './orepa-pair.js';

const OWN_MEAN = '.tiny_running_mean';

/**
 * Where the mean over a whole vector of the student's means is exactly 0, it was never filled: the dynamic teacher's statistics are
 * copied. Each layer decides for itself.
 */
export function fillStatistics(store: TensorStore): void {
  for (const key of store.keys.filter((k) => k.endsWith(OWN_MEAN))) {
    const layer = key.slice(0, -OWN_MEAN.length);
    tf.tidy(() => {
      const unfilled = tf.equal(tf.mean(store.get(key)), 0);
      for (const leaf of ['mean', 'var']) {
        const own = store.variable(`${layer}.tiny_running_${leaf}`);
        own.assign(tf.where(unfilled, store.get(`${layer}.running_${leaf}`), own));
      }
    });
  }
}

/** The leading entries of a vector replaced. */
const withLeading = (vector: tf.Tensor, leading: tf.Tensor): tf.Tensor =>
  vector.size === leading.size ? leading : tf.concat([leading, tf.slice(vector, [leading.size], [vector.size - leading.size])]);

/** What a training pass leaves behind in one layer. `widening` is r for the dynamic teacher, else 1. */
export function updateStatistics(
  store: TensorStore,
  layer: string,
  role: Role,
  batch: BatchStatistics,
  widening: number,
): void {
  const own = role === 'student' && store.has(layer + OWN_MEAN);
  const [mean, variance] = ['mean', 'var'].map((leaf) => store.variable(`${layer}.${own ? 'tiny_' : ''}running_${leaf}`)) as [
    tf.Variable,
    tf.Variable,
  ];
  const channels = batch.mean.shape;
  const running = {mean: leadingPart(mean, channels), variance: leadingPart(variance, channels)};
  const updated = runningStatistics(running, batch, widening);
  mean.assign(withLeading(mean, updated.mean));
  variance.assign(withLeading(variance, updated.variance));
}
