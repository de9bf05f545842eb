/** `TensorOps` over TensorFlow.js tensors: the algebra of `reparam/`, differentiable. */
import * as tf from '@tensorflow/tfjs-core';
import type {TensorOps} from '../reparam/tensor-ops.js';

export const tfjsOps: TensorOps<tf.Tensor> = {
  scalar: (value) => tf.scalar(value),
  add: (a, b) => tf.add(a, b),
  sub: (a, b) => tf.sub(a, b),
  mul: (a, b) => tf.mul(a, b),
  div: (a, b) => tf.div(a, b),
  sqrt: (x) => tf.sqrt(x),
  matmul: (a, b) => tf.matMul(a, b),
  reshape: (x, shape) => tf.reshape(x, [...shape]),
  transpose: (x, perm) => tf.transpose(x, [...perm]),
  unstack: (x, count) => tf.split(x, count, 0),
};
