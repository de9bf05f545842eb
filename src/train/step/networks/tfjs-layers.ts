/**
 * `LayerOps` over TensorFlow.js tensors. Activations are NHWC, as TensorFlow.js has them; weights stay as PyTorch stores them
 * ([O, I/g, H, W] and [O, I]) and are transposed where they are used, which costs a backend that tracks layouts nothing.
 */
import * as tf from '@tensorflow/tfjs-core';
import type {Window} from '../../../models/layers.js';
import type {AttentionSize, LayerOps} from '../../../models/walk.js';
import type {Kernel} from '../../../reparam/algebra.js';

type T = tf.Tensor;
type Map4 = tf.Tensor4D;
type Explicit = [[number, number], [number, number], [number, number], [number, number]];

const padding = (pad: number): Explicit => [
  [0, 0],
  [pad, pad],
  [pad, pad],
  [0, 0],
];
const withBias = (y: T, {bias}: Kernel<T>): T => (bias ? tf.add(y, bias) : y);

/** A kernel and a part of it that is computed on the maps: W∗x + second∗(first∗x), with first [I, I, 1, 1] and second [O, I, 3, 3]. */
export interface SequentialKernel extends Kernel<T> {
  readonly sequential?: {readonly first: T; readonly second: T};
}

/** How a batch norm gets its statistics: of the batch while training, stored ones otherwise. */
export type BatchNorm = LayerOps<T>['batchNorm'];

/** (x − μ)/√(σ² + ε)·γ + β with stored statistics. */
export const storedBatchNorm: BatchNorm = (x, s) =>
  tf.add(tf.mul(tf.sub(x, s.mean), tf.div(s.gamma, tf.sqrt(tf.add(s.variance, s.eps)))), s.beta);

/** Each group of channels by itself. */
function inGroups(x: T, weight: T, groups: number, one: (x: T, weight: T) => T): T {
  const [parts, kernels] = [tf.split(x, groups, 3), tf.split(weight, groups, 0)];
  return tf.concat(
    parts.map((part, i) => one(part, kernels[i]!)),
    3,
  );
}

function convolve(x: T, weight: T, stride: number, pad: number, groups: number): T {
  if (groups === 1) return tf.conv2d(x as Map4, tf.transpose(weight as Map4, [2, 3, 1, 0]), stride, padding(pad));
  const [out, perGroup, height, width] = weight.shape as [number, number, number, number];
  if (perGroup !== 1) return inGroups(x, weight, groups, (part, kernel) => convolve(part, kernel, stride, pad, 1));
  const split = tf.reshape(weight, [groups, out / groups, height, width]); // [C, multiplier, H, W]
  return tf.depthwiseConv2d(x as Map4, tf.transpose(split, [2, 3, 0, 1]) as Map4, stride, padding(pad));
}

/** q, k, v as [N, (blocks ·) heads, T, headSize]. */
function splitHeads(qkv: T, {heads, headSize, blocks, tokens}: AttentionSize): [T, T, T] {
  const parts = tf.reshape(qkv, [-1, tokens, blocks, 3, heads, headSize]);
  const leading = tf.transpose(parts, [3, 0, 2, 4, 1, 5]); // [3, N, blocks, heads, T, headSize]
  const merged = tf.reshape(leading, [3, -1, blocks * heads, tokens, headSize]);
  return tf.unstack(merged, 0) as [T, T, T];
}

const window = ({kernel, stride, pad}: Window) => [[kernel, kernel], [stride, stride], padding(pad)] as const;

export function tfjsLayers(batchNorm: BatchNorm): LayerOps<T> {
  return {
    conv(x, kernel: SequentialKernel, {stride, pad}, groups) {
      const y = convolve(x, kernel.weight, stride, pad, groups);
      if (!kernel.sequential) return withBias(y, kernel);
      const {first, second} = kernel.sequential;
      return withBias(tf.add(y, convolve(convolve(x, first, 1, 0, 1), second, stride, pad, 1)), kernel);
    },
    batchNorm,
    relu: (x) => tf.relu(x),
    relu6: (x, scale) => tf.clipByValue(x, 0, 6 / scale),
    gelu(x, scale) {
      const scaled = scale === 1 ? x : tf.mul(x, scale);
      const y = tf.mul(tf.mul(scaled, 0.5), tf.add(tf.erf(tf.mul(scaled, Math.SQRT1_2)), 1));
      return scale === 1 ? y : tf.div(y, scale);
    },
    maxPool(x, w) {
      const [size, strides, pad] = window(w);
      return tf.maxPool(x as Map4, size as [number, number], strides as [number, number], pad as never);
    },
    averagePool(x, w) {
      const [size, strides, pad] = window(w);
      return tf.avgPool(x as Map4, size as [number, number], strides as [number, number], pad as never);
    },
    globalAveragePool: (x) => tf.mean(x, [1, 2], true),
    flatten: (x) => tf.reshape(x, [-1, x.shape[3]!]),
    subsample: (x, stride) => tf.avgPool(x as Map4, 1, stride, 'valid'), // a strided slice, but with a gradient in TensorFlow.js
    padChannels(x, {before, after, blocks, shape: [channels, height, width]}) {
      const grouped = tf.reshape(x, [-1, height!, width!, blocks, channels! / blocks]);
      const padded = tf.pad(grouped, [
        [0, 0],
        [0, 0],
        [0, 0],
        [0, 0],
        [before, after],
      ]);
      return tf.reshape(padded, [-1, height!, width!, channels! + blocks * (before + after)]);
    },
    add: (a, b) => tf.add(a, b),
    linear(x, kernel, _, rank) {
      const weight = kernel.weight as tf.Tensor2D;
      if (rank === 2) return withBias(tf.matMul(x as tf.Tensor2D, weight, false, true), kernel);
      const tokens = x.shape[1]!;
      const flat = tf.reshape(x, [-1, x.shape[2]!]) as tf.Tensor2D;
      const y = withBias(tf.matMul(flat, weight, false, true), kernel);
      return tf.reshape(y, [-1, tokens, weight.shape[0]!]);
    },
    layerNorm(x, p) {
      const {mean, variance} = tf.moments(x, -1, true);
      return tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, p.eps))), p.gamma), p.beta);
    },
    attention(qkv, size, mask) {
      const [q, k, v] = splitHeads(qkv, size);
      let scores = tf.mul(tf.matMul(q, k, false, true), size.scale);
      if (mask) scores = tf.mul(scores, tf.sigmoid(tf.slice(mask, [0, 0, 0], [size.heads, size.tokens, size.tokens])));
      const attended = tf.matMul(tf.softmax(scores), v); // [N, blocks · heads, T, headSize]
      return tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [-1, size.tokens, size.blocks * size.heads * size.headSize]);
    },
    tokens: (x, [channels, tokens]) => tf.reshape(x, [-1, tokens, channels]),
    map: (x, [channels, height, width]) => tf.reshape(x, [-1, height, width, channels]),
    meanOfTokens: (x) => tf.mean(x, 1),
  };
}
