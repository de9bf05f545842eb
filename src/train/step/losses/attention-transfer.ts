/**
 * Attention transfer: Zagoruyko & Komodakis, ICLR 2017, arXiv 1612.03928. The attention of a stage is where its map is large: the mean
 * over channels of the squares, as a vector of length 1. As mdistiller has it, the distance is a mean over images and pixels, not
 * half a norm: hence the large weight.
 */
import * as tf from '@tensorflow/tfjs-core';
import {GpdError} from '../../../core/error.js';
import {number} from '../../../core/option-kinds.js';
import type {Architecture} from '../../../models/layers.js';
import {sidesOf, tapsOf} from '../../../models/taps.js';
import {alongSides, averagingMatrix} from './maps.js';
import {staticLoss} from './static-loss.js';

const SMALLEST = 1e-12; // the norm that PyTorch's normalize divides by at least

/** [N, S, S, C] → [N, S·S], each row of length 1 (or 0). */
function attention(map: tf.Tensor): tf.Tensor {
  const strength = tf.mean(tf.square(map), 3);
  const flat = tf.reshape(strength, [strength.shape[0]!, -1]);
  const length = tf.sqrt(tf.maximum(tf.sum(tf.square(flat), 1, true), SMALLEST ** 2));
  return tf.div(flat, length);
}

const atSide = (map: tf.Tensor, side: number): tf.Tensor =>
  map.shape[1] === side ? map : alongSides(map, averagingMatrix(side, map.shape[1]!));

/** Of one stage: maps [N, S, S, C] with any channels; the larger one is averaged to the size of the smaller. */
export function attentionDistance(student: tf.Tensor, teacher: tf.Tensor): tf.Scalar {
  const side = Math.min(student.shape[1]!, teacher.shape[1]!);
  return tf.mean(tf.square(tf.sub(attention(atSide(student, side)), attention(atSide(teacher, side)))));
}

/** A single pixel is the whole attention, whatever it is: there is nothing to learn from pooled vectors. */
const isMap = ({side}: {side: number}) => side > 1;

function checkFit(student: Architecture, teacher: Architecture, imageSize: number): void {
  const [own, theirs] = [tapsOf(student, imageSize, true), tapsOf(teacher, imageSize, true)];
  if (own.length === theirs.length && own.some((tap, i) => isMap(tap) && isMap(theirs[i]!))) return;
  throw new GpdError(
    'CONFIG_INVALID',
    `attention transfer compares maps stage by stage: ${student.name} has maps of ${sidesOf(own)} pixels a side, ${teacher.name} of ${sidesOf(theirs)}`,
    {hint: 'choose a teacher with as many stages, larger images, or --kd dkd'},
  );
}

export const attentionTransfer = staticLoss({
  title: 'attention transfer',
  describe: 'where the maps of each stage are large, whatever their channels',
  source: 'Zagoruyko & Komodakis, ICLR 2017, arXiv 1612.03928',
  options: {'at-weight': {describe: 'weight of attention transfer', kind: number({min: 0}), or: 1000}},
  features: 'afterActivation',
  prepare(student, teacher, imageSize) {
    checkFit(student, teacher, imageSize);
    return undefined;
  },
  loss({student, teacher}, {'at-weight': weight}) {
    const pairs = student.features.map((map, i) => [map, teacher.features[i]!] as const);
    const stages = pairs.filter((pair) => pair.every(({shape}) => isMap({side: shape[1]!})));
    return tf.mul(tf.addN(stages.map(([own, theirs]) => attentionDistance(own, theirs))), weight);
  },
});
