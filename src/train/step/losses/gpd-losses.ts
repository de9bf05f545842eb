/** THE table of what draws the student towards the dynamic teacher's logits, by their word in `--gpd-loss`. */
import * as tf from '@tensorflow/tfjs-core';
import {crossEntropy, type LogitsTensor} from './losses.js';

/** Without weight; no gradient may flow through the teacher's logits. */
type LogitsLoss = (student: LogitsTensor, teacher: LogitsTensor) => tf.Scalar;
export interface GpdLoss {
  readonly loss: LogitsLoss;
  /** What the original computes under this name, where that is something else. */
  readonly reference?: LogitsLoss;
}

/** mean of max(x, 0) − x·t + log(1 + e^−|x|): −t·log σ(x) − (1 − t)·log(1 − σ(x)) without overflow. */
const binaryCrossEntropy: LogitsLoss = (logits, targets) =>
  tf.mean(tf.add(tf.sub(tf.relu(logits), tf.mul(logits, targets)), tf.log1p(tf.exp(tf.neg(tf.abs(logits))))));

/** The part of `sce` that is spread over all classes; fixed in the original. */
const SPREAD = 0.1;

/** −mean (1/C) Σ log p: cross-entropy against the uniform distribution. */
const uniformCrossEntropy = (logits: LogitsTensor): tf.Scalar => tf.neg(tf.mean(tf.logSoftmax(logits)));

export const gpdLosses = {
  sce: {
    loss: (student, teacher) =>
      tf.add(tf.mul(crossEntropy(student, tf.softmax(teacher)), 1 - SPREAD), tf.mul(uniformCrossEntropy(student), SPREAD)),
  },
  ce: {loss: (student, teacher) => crossEntropy(student, tf.softmax(teacher))},
  mse: {loss: (student, teacher) => tf.mean(tf.square(tf.sub(student, teacher)))},
  l1: {loss: (student, teacher) => tf.mean(tf.abs(tf.sub(student, teacher)))},
  bce: {
    loss: (student, teacher) => binaryCrossEntropy(student, tf.sigmoid(teacher)),
    reference: binaryCrossEntropy, // logits in the place of probabilities
  },
} as const satisfies Record<string, GpdLoss>;

export type GpdLossName = keyof typeof gpdLosses;
export const gpdLossNames = Object.keys(gpdLosses) as GpdLossName[];
