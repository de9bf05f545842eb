/**
 * The arithmetic in which the algebra of this folder is written. It has several interpreters: float64 arrays
 * (`reference.ts`, the definition), ONNX nodes (conversion), TensorFlow.js tensors (training). Broadcasting is numpy's.
 */
import type {Shape} from '../core/tensor.js';

export interface TensorOps<T> {
  scalar(value: number): T;
  add(a: T, b: T): T;
  sub(a: T, b: T): T;
  mul(a: T, b: T): T;
  div(a: T, b: T): T;
  sqrt(x: T): T;
  /** Over the last two dimensions, batched over the others. */
  matmul(a: T, b: T): T;
  reshape(x: T, shape: Shape): T;
  transpose(x: T, perm: readonly number[]): T;
  /** The parts of size one along the first dimension, each keeping it: [n, …] → n × [1, …]. */
  unstack(x: T, count: number): T[];
}

export const sum = <T>(ops: TensorOps<T>, terms: readonly T[]): T => terms.reduce((a, b) => ops.add(a, b));
