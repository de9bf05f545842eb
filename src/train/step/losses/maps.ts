/** Square maps [N, S, S, C] at other sizes, as matrix products: with a gradient that every backend has right. */
import * as tf from '@tensorflow/tfjs-core';

/** A map whose rows and columns are multiplied by [to, from]. */
export function alongSides(x: tf.Tensor, matrix: tf.Tensor2D): tf.Tensor {
  const [batch, side, , channels] = x.shape as [number, number, number, number];
  const to = matrix.shape[0];
  const each = tf.broadcastTo(matrix, [batch, to, side]);
  const rows = tf.matMul(each, tf.reshape(x, [batch, side, side * channels])); // [N, to, S·C]
  const columns = tf.matMul(tf.broadcastTo(matrix, [batch * to, to, side]), tf.reshape(rows, [batch * to, side, channels]));
  return tf.reshape(columns, [batch, to, to, channels]);
}

/** [to, from]: PyTorch's nearest neighbour, ⌊i·n/l⌋. TensorFlow.js's own has a wrong gradient on its cpu backend. */
export function nearestMatrix(to: number, from: number): tf.Tensor2D {
  const rows = Array.from({length: to}, (_, i) =>
    Array.from({length: from}, (_, j) => Number(j === Math.floor((i * from) / to))),
  );
  return tf.tensor2d(rows);
}

/** [to, from]: averages over PyTorch's adaptive windows, ⌊i·n/l⌋ to ⌈(i+1)·n/l⌉. */
export function averagingMatrix(to: number, from: number): tf.Tensor2D {
  const rows = Array.from({length: to}, (_, i) => {
    const [start, end] = [Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to)];
    return Array.from({length: from}, (_, j) => (j >= start && j < end ? 1 / (end - start) : 0));
  });
  return tf.tensor2d(rows);
}
