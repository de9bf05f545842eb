/** Functions of tensors that are called every step: replayed as one graph where the backend can, otherwise run as they are. */
import * as tf from '@tensorflow/tfjs-core';
import {BACKEND_NAME} from '../tfjs/backend.js';
import {jit} from '../tfjs/jit.js';

export type TensorFunction = (...args: tf.Tensor[]) => tf.Tensor[];

/** Results are the caller's to dispose of; everything between is gone. */
export function capture(fn: TensorFunction): TensorFunction {
  if (tf.getBackend() === BACKEND_NAME) return jit(fn);
  return (...args) => tf.tidy(() => fn(...args));
}
