/**
 * ReviewKD: Chen et al., CVPR 2021, arXiv 2104.09044. Attention-based fusion (ABF) walks from the deepest feature to the shallowest
 * and gives features of the teacher's widths; the hierarchical context loss (HCL) compares them. Maps are [N, H, W, C], weights PyTorch's.
 */
import * as tf from '@tensorflow/tfjs-core';
import {GpdError} from '../../../core/error.js';
import type {Shape} from '../../../core/tensor.js';
import {familyOf} from '../../../models/families/index.js';
import type {Architecture} from '../../../models/layers.js';
import {tapsOf} from '../../../models/taps.js';

type Map4 = tf.Tensor4D;

export interface ReviewKdLevel {
  /** Channels of the student's feature. */
  readonly in: number;
  /** Channels of the teacher's. */
  readonly out: number;
  /** Pixels a side, in both. */
  readonly side: number;
}
export interface ReviewKdSize {
  /** Channels between the two convolutions. */
  readonly mid: number;
  /** Deepest first, as the modules are stored. */
  readonly levels: readonly ReviewKdLevel[];
}

/** What a student needs to learn a teacher's features. Throws where their maps have other sizes. */
export function reviewKdSize(student: Architecture, teacher: Architecture, imageSize: number): ReviewKdSize {
  const [own, theirs] = [tapsOf(student, imageSize, false), tapsOf(teacher, imageSize, false)];
  const fits = own.length === theirs.length && own.every(({side}, i) => side === theirs[i]!.side);
  if (!fits) {
    const sides = (taps: typeof own) => taps.map(({side}) => side).join(', ');
    throw new GpdError(
      'CONFIG_INVALID',
      `ReviewKD compares features of one size: ${student.name} has maps of ${sides(own)} pixels a side, ${teacher.name} of ${sides(theirs)}`,
      {hint: 'choose a teacher of the same family, or --kd dkd'},
    );
  }
  const levels = own.map(({channels, side}, i) => ({in: channels, out: theirs[i]!.channels, side})).reverse();
  return {mid: familyOf(student).reviewKdWidth(levels[0]!.in), levels};
}

/** The stored tensors of the modules, in PyTorch's order. `widening` multiplies the inputs: r for the dynamic teacher's. */
export function reviewKdEntries(prefix: string, {mid, levels}: ReviewKdSize, widening: number): {key: string; shape: Shape}[] {
  const norm = (name: string, channels: number) => [
    ...['weight', 'bias', 'running_mean', 'running_var'].map((leaf) => ({key: `${name}.${leaf}`, shape: [channels]})),
    {key: `${name}.num_batches_tracked`, shape: []},
  ];
  return levels.flatMap((level, i) => {
    const name = `${prefix}.${i}`;
    const attention = [
      {key: `${name}.att_conv.0.weight`, shape: [2, 2 * mid, 1, 1]},
      {key: `${name}.att_conv.0.bias`, shape: [2]},
    ];
    return [
      {key: `${name}.conv1.0.weight`, shape: [mid, level.in * widening, 1, 1]},
      ...norm(`${name}.conv1.1`, mid),
      {key: `${name}.conv2.0.weight`, shape: [level.out, mid, 3, 3]},
      ...norm(`${name}.conv2.1`, level.out),
      ...(i > 0 ? attention : []),
    ];
  });
}

/** Batch norm of the layer of this name. */
export type NormaliseLayer = (x: tf.Tensor, layer: string) => tf.Tensor;
export interface FusionParameters {
  readonly weight: (key: string) => tf.Tensor;
  readonly batchNorm: NormaliseLayer;
}

const convolve = (x: tf.Tensor, weight: tf.Tensor, pad: number): Map4 =>
  tf.conv2d(x as Map4, tf.transpose(weight as Map4, [2, 3, 1, 0]), 1, pad === 0 ? 'valid' : 'same');

/** A square map whose rows and columns are multiplied by [to, from]: resizing with a gradient that every backend has right. */
function alongSides(x: tf.Tensor, matrix: tf.Tensor2D): tf.Tensor {
  const [batch, side, , channels] = x.shape as [number, number, number, number];
  const to = matrix.shape[0];
  const each = tf.broadcastTo(matrix, [batch, to, side]);
  const rows = tf.matMul(each, tf.reshape(x, [batch, side, side * channels])); // [N, to, S·C]
  const columns = tf.matMul(tf.broadcastTo(matrix, [batch * to, to, side]), tf.reshape(rows, [batch * to, side, channels]));
  return tf.reshape(columns, [batch, to, to, channels]);
}

/** [to, from]: PyTorch's nearest neighbour, ⌊i·n/l⌋. TensorFlow.js's own has a wrong gradient on its cpu backend. */
function nearestMatrix(to: number, from: number): tf.Tensor2D {
  const rows = Array.from({length: to}, (_, i) =>
    Array.from({length: from}, (_, j) => Number(j === Math.floor((i * from) / to))),
  );
  return tf.tensor2d(rows);
}

/** One fusion: the feature, with what came from the deeper ones, to the teacher's width, and what goes on to the shallower ones. */
export function fuse(
  {weight, batchNorm}: FusionParameters,
  name: string,
  feature: tf.Tensor,
  deeper: tf.Tensor | undefined,
): {output: tf.Tensor; residual: tf.Tensor} {
  let x = batchNorm(convolve(feature, weight(`${name}.conv1.0.weight`), 0), `${name}.conv1.1`);
  if (deeper) {
    const height = x.shape[1]!;
    const enlarged = alongSides(deeper, nearestMatrix(height, deeper.shape[1]!));
    const scores = convolve(tf.concat([x, enlarged], 3), weight(`${name}.att_conv.0.weight`), 0);
    const shares = tf.sigmoid(tf.add(scores, weight(`${name}.att_conv.0.bias`))); // [N, H, W, 2]
    const [own, other] = tf.split(shares, 2, 3) as [tf.Tensor, tf.Tensor];
    x = tf.add(tf.mul(x, own), tf.mul(enlarged, other));
  }
  const output = batchNorm(convolve(x, weight(`${name}.conv2.0.weight`), 1), `${name}.conv2.1`);
  return {output, residual: x};
}

/** Every feature in the teacher's width. `features`, and the result: shallow to deep. `prefix`: `abfs` or `abfs_dual`. */
export function fuseAll(parameters: FusionParameters, prefix: string, features: readonly tf.Tensor[]): tf.Tensor[] {
  const outputs: tf.Tensor[] = [];
  let deeper: tf.Tensor | undefined;
  for (const [i, feature] of [...features].reverse().entries()) {
    const {output, residual} = fuse(parameters, `${prefix}.${i}`, feature, deeper);
    outputs.unshift(output);
    deeper = residual;
  }
  return outputs;
}

const GRIDS = [4, 2, 1];

/** [to, from]: averages over PyTorch's adaptive windows, ⌊i·n/l⌋ to ⌈(i+1)·n/l⌉. */
function averagingMatrix(to: number, from: number): tf.Tensor2D {
  const rows = Array.from({length: to}, (_, i) => {
    const [start, end] = [Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to)];
    return Array.from({length: from}, (_, j) => (j >= start && j < end ? 1 / (end - start) : 0));
  });
  return tf.tensor2d(rows);
}

/** Mean squares of the difference, and of its averages over 4×4, 2×2, 1×1 where the map is larger, weighted 1, ½, ¼, …; normalised. */
export function contextLoss(student: tf.Tensor, teacher: tf.Tensor): tf.Scalar {
  const difference = tf.sub(student, teacher); // averaging is linear: once for both
  let loss = tf.mean(tf.square(difference));
  let [weight, total] = [1, 1];
  for (const grid of GRIDS.filter((l) => l < student.shape[1]!)) {
    weight /= 2;
    total += weight;
    loss = tf.add(loss, tf.mul(tf.mean(tf.square(alongSides(difference, averagingMatrix(grid, student.shape[1]!)))), weight));
  }
  return tf.div(loss, total);
}

/** Summed over levels. */
export const reviewKdLoss = (student: readonly tf.Tensor[], teacher: readonly tf.Tensor[]): tf.Scalar =>
  tf.addN(student.map((feature, i) => contextLoss(feature, teacher[i]!)));
