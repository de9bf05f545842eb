/** `TensorOps` over TensorFlow.js tensors: the algebra of `reparam/`, differentiable. */
import * as tf from '@tensorflow/tfjs-core';
import type {TensorOps} from '../../../reparam/tensor-ops.js';

/** One matrix for a whole batch is one product of it with all rows: TensorFlow.js has no gradient of a matrix that is broadcast. */
function matmul(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  if (a.rank === b.rank || b.rank !== 2) return tf.matMul(a, b);
  const rows = tf.reshape(a, [-1, a.shape.at(-1)!]);
  return tf.reshape(tf.matMul(rows, b), [...a.shape.slice(0, -1), b.shape[1]!]);
}

export const tfjsOps: TensorOps<tf.Tensor> = {
  scalar: (value) => tf.scalar(value),
  add: (a, b) => tf.add(a, b),
  sub: (a, b) => tf.sub(a, b),
  mul: (a, b) => tf.mul(a, b),
  div: (a, b) => tf.div(a, b),
  sqrt: (x) => tf.sqrt(x),
  matmul,
  reshape: (x, shape) => tf.reshape(x, [...shape]),
  transpose: (x, perm) => tf.transpose(x, [...perm]),
  unstack: (x, count) => tf.split(x, count, 0),
};
