/**
 * ReviewKD: Chen et al., CVPR 2021, arXiv 2104.09044. Attention-based fusion (ABF) walks from the deepest feature to the shallowest
 * and gives features of the teacher's widths; the hierarchical context loss (HCL) compares them. Maps are [N, H, W, C], weights PyTorch's.
 */
import * as tf from '@tensorflow/tfjs-core';
import {GpdError} from '../../../core/error.js';
import {number} from '../../../core/option-kinds.js';
import {familyOf} from '../../../models/families/index.js';
import type {Architecture} from '../../../models/layers.js';
import {sidesOf, tapsOf} from '../../../models/taps.js';
import {alongSides, averagingMatrix, nearestMatrix} from './maps.js';
import {type ConnectorParameters, type Connectors, type ConnectorTensor, staticLoss} from './static-loss.js';

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
    throw new GpdError(
      'CONFIG_INVALID',
      `ReviewKD compares features of one size: ${student.name} has maps of ${sidesOf(own)} pixels a side, ${teacher.name} of ${sidesOf(theirs)}`,
      {hint: 'choose a teacher of the same family, or --kd dkd'},
    );
  }
  const levels = own.map(({channels, side}, i) => ({in: channels, out: theirs[i]!.channels, side})).reverse();
  return {mid: familyOf(student).reviewKdWidth(levels[0]!.in), levels};
}

/** The modules that fuse features of these sizes. Names, shapes and order are PyTorch's, initial values the authors'. */
export const fusionModules = ({mid, levels}: ReviewKdSize): Connectors => ({
  name: 'abfs',
  tensors: (prefix, widening) =>
    levels.flatMap((level, i) => levelTensors(`${prefix}.${i}`, mid, level, {widening, isFirst: i === 0})),
});

function levelTensors(
  name: string,
  mid: number,
  level: ReviewKdLevel,
  {widening, isFirst}: {widening: number; isFirst: boolean},
): ConnectorTensor[] {
  const convolution = (key: string, shape: readonly number[], gain: number): ConnectorTensor => ({
    ...{key, shape},
    initial: {fan: shape.slice(1).reduce((n, d) => n * d, 1), gain},
  });
  const norm = (layer: string, channels: number): ConnectorTensor[] => [
    ...[['weight', 1] as const, ['bias', 0] as const, ['running_mean', 0] as const, ['running_var', 1] as const].map(
      ([leaf, constant]) => ({key: `${layer}.${leaf}`, shape: [channels], initial: {constant}}),
    ),
    {key: `${layer}.num_batches_tracked`, shape: [], initial: 'counter'},
  ];
  return [
    convolution(`${name}.conv1.0.weight`, [mid, level.in * widening, 1, 1], 1),
    ...norm(`${name}.conv1.1`, mid),
    convolution(`${name}.conv2.0.weight`, [level.out, mid, 3, 3], 1),
    ...norm(`${name}.conv2.1`, level.out),
    ...(isFirst
      ? []
      : [
          convolution(`${name}.att_conv.0.weight`, [2, 2 * mid, 1, 1], ATTENTION_GAIN),
          {key: `${name}.att_conv.0.bias`, shape: [2], initial: {fan: 2 * mid, gain: ATTENTION_GAIN}},
        ]),
  ];
}
const ATTENTION_GAIN = 1 / 3; // PyTorch's default for convolutions

/** The weights of the modules, and batch norm of the layer of a name. */
export type FusionParameters = Omit<ConnectorParameters, 'prefix'>;

const convolve = (x: tf.Tensor, weight: tf.Tensor, pad: number): Map4 =>
  tf.conv2d(x as Map4, tf.transpose(weight as Map4, [2, 3, 1, 0]), 1, pad === 0 ? 'valid' : 'same');

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

export const reviewKd = staticLoss({
  title: 'ReviewKD',
  describe: 'the maps of all stages and the pooled vector, through trained modules that fuse shallow features with deeper ones',
  source: 'Chen et al., CVPR 2021, arXiv 2104.09044',
  original: '--use_reviewkd',
  options: {
    'review-weight': {
      describe: 'weight of ReviewKD',
      kind: number({min: 0}),
      or: 1,
      cnn: '--review-kd-loss-weight',
      rvt: '--review-kd-loss-weight',
    },
  },
  features: 'beforeActivation',
  prepare: (student, teacher, imageSize) => fusionModules(reviewKdSize(student, teacher, imageSize)),
  loss({student, teacher, connectors}, {'review-weight': weight}) {
    const fused = fuseAll(connectors, connectors.prefix, student.features);
    return tf.mul(reviewKdLoss(fused, teacher.features), weight);
  },
});
