/** Losses against their definitions in float64, by loops over arrays. */

import * as tf from '@tensorflow/tfjs-core';
import {random} from '../../src/core/random.js';
import {dkdLoss} from '../../src/train/step/losses/dkd.js';
import {type GpdLoss, gpdLosses} from '../../src/train/step/losses/gpd-losses.js';
import {accuracies, type LogitsTensor} from '../../src/train/step/losses/losses.js';
import {expectClose} from '../close.js';
import {startBackend} from '../tfjs/both.js';

const float32 = {rtol: 1e-5, because: 'float32 against float64'};
type Matrix = number[][];

/** Of any size: up to ±60, where float32 exponentials underflow. */
function logits(seed: number, batch: number, classes: number, scale: number): Matrix {
  const r = random(seed);
  return Array.from({length: batch}, () => Array.from({length: classes}, () => scale * r.normal()));
}
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
function logSoftmax(row: readonly number[]): number[] {
  const most = Math.max(...row);
  const log = most + Math.log(row.reduce((sum, v) => sum + Math.exp(v - most), 0));
  return row.map((v) => v - log);
}
const softmax = (row: readonly number[]) => logSoftmax(row).map(Math.exp);
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, i) => sum + (v === 0 ? 0 : v * b[i]!), 0);
const each = <T>(a: Matrix, b: Matrix, f: (x: number[], y: number[]) => T) => a.map((x, i) => f(x, b[i]!));

const entropy = (z: Matrix, t: Matrix) => mean(each(z, t, (x, y) => -dot(y, logSoftmax(x))));
const definitions: Record<keyof typeof gpdLosses | 'bceOfLogits', (z: Matrix, e: Matrix) => number> = {
  ce: (z, e) => entropy(z, e.map(softmax)),
  sce: (z, e) => 0.9 * entropy(z, e.map(softmax)) + 0.1 * mean(z.map((x) => -mean(logSoftmax(x)))),
  mse: (z, e) => mean(each(z, e, (x, y) => mean(x.map((v, i) => (v - y[i]!) ** 2)))),
  l1: (z, e) => mean(each(z, e, (x, y) => mean(x.map((v, i) => Math.abs(v - y[i]!))))),
  bce: (z, e) =>
    definitions.bceOfLogits(
      z,
      e.map((y) => y.map((v) => 1 / (1 + Math.exp(-v)))),
    ),
  bceOfLogits: (z, e) =>
    mean(each(z, e, (x, y) => mean(x.map((v, i) => Math.max(v, 0) - v * y[i]! + Math.log1p(Math.exp(-Math.abs(v))))))),
};

/** By sets of classes: the target against the rest, and the rest among themselves. */
function dkd(z: Matrix, t: Matrix, labels: readonly number[], alpha: number, beta: number, temperature: number): number {
  const terms = each(z, t, (x, y) => [x, y] as const).map(([x, y], i) => {
    const [s, q] = [x, y].map((row) => row.map((v) => v / temperature)) as [number[], number[]];
    const others = (row: readonly number[]) => row.filter((_, c) => c !== labels[i]);
    const sumLog = (row: readonly number[]) => {
      const most = Math.max(...row);
      return most + Math.log(row.reduce((sum, v) => sum + Math.exp(v - most), 0));
    };
    const bins = (row: number[]) => [logSoftmax(row)[labels[i]!]!, sumLog(others(logSoftmax(row)))];
    const kl = (p: readonly number[], r: readonly number[]) =>
      dot(
        p.map(Math.exp),
        p.map((v, c) => v - r[c]!),
      );
    return alpha * kl(bins(q), bins(s)) + beta * kl(logSoftmax(others(q)), logSoftmax(others(s)));
  });
  return mean(terms) * temperature ** 2;
}

const as2d = (values: Matrix) => tf.tensor2d(values) as LogitsTensor;
const numberOf = (t: tf.Tensor) => t.dataSync()[0]!;

beforeAll(startBackend);

describe.each(['cpu', 'onnxruntime'])('on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  test.each([1, 8, 60])('distillation from logits of deviation %d', (scale) => {
    const [z, e] = [logits(1, 5, 7, scale), logits(2, 5, 7, scale)];
    for (const [kind, {loss}] of Object.entries<GpdLoss>(gpdLosses)) {
      expectClose([numberOf(loss(as2d(z), as2d(e)))], [definitions[kind as keyof typeof gpdLosses](z, e)], float32, kind);
    }
    const reference = numberOf(gpdLosses.bce.reference(as2d(z), as2d(e)));
    expectClose([reference], [definitions.bceOfLogits(z, e)], float32, 'bce of the original');
  });

  test.each([1, 8, 60])('decoupled distillation from logits of deviation %d', (scale) => {
    const [z, t, labels] = [logits(3, 6, 9, scale), logits(4, 6, 9, scale), [0, 8, 3, 3, 5, 1]];
    const target = as2d(labels.map((label) => Array.from({length: 9}, (_, c) => Number(c === label))));
    for (const temperature of [1, 4]) {
      const got = numberOf(dkdLoss(as2d(z), as2d(t), target, {alpha: 0.7, beta: 2, temperature}));
      expectClose([got], [dkd(z, t, labels, 0.7, 2, temperature)], {rtol: 1e-4, because: 'a difference of large logarithms'});
    }
  });

  test('nothing is left to learn from itself', () => {
    const z = as2d(logits(5, 4, 6, 3));
    const target = as2d([0, 1, 2, 3].map((label) => Array.from({length: 6}, (_, c) => Number(c === label))));
    expectClose([numberOf(dkdLoss(z, z, target, {alpha: 1, beta: 1, temperature: 2}))], [0], {atol: 1e-6, because: 'rounding'});
    expect(numberOf(gpdLosses.mse.loss(z, z))).toBe(0);
  });

  test('accuracy counts the classes that are ahead of the label', () => {
    const z = as2d([
      [5, 1, 2, 3, 4, 0, 9],
      [1, 2, 3, 4, 5, 6, 7],
      [7, 6, 5, 4, 3, 2, 1],
    ]);
    const shares = accuracies(
      z,
      as2d([6, 1, 1].map((label) => Array.from({length: 7}, (_, c) => Number(c === label)))),
      [1, 5],
    );
    expectClose(shares.map(numberOf), [100 / 3, 200 / 3], float32);
  });
});
