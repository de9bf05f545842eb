/** Functions of tensors that are called every step: replayed as one graph where the backend can, otherwise run as they are. */
import * as tf from '@tensorflow/tfjs-core';
import {BACKEND_NAME, type OnnxruntimeBackend} from '../../tfjs/backend/backend.js';
import {jit} from '../../tfjs/jit/jit.js';

export type TensorFunction = (...args: tf.Tensor[]) => tf.Tensor[];

/** Results are the caller's to dispose of; everything between is gone. */
export function capture(fn: TensorFunction): TensorFunction {
  if (tf.getBackend() === BACKEND_NAME) return jit(fn, {makesNoVariables: true});
  return (...args) => tf.tidy(() => fn(...args));
}

/** Disposes of results that are used no more. Where steps are replayed, later ones write into their memory. */
export function release(tensors: readonly tf.Tensor[]): void {
  if (tf.getBackend() === BACKEND_NAME) (tf.engine().backend as OnnxruntimeBackend).recycle(tensors);
  else tf.dispose([...tensors]);
}
