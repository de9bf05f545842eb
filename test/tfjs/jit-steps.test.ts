/** Several steps in one run against as many calls of the step. */
import * as tf from '@tensorflow/tfjs-core';
import {jit} from '../../src/tfjs/jit/jit.js';
import {jitSteps} from '../../src/tfjs/jit/jit-steps.js';
import {expectClose} from '../close.js';
import {startBackend} from './both.js';

beforeAll(async () => {
  await startBackend();
});

const STEPS = 4;
const ROUNDS = 4;

/** A small net with convolutions, batch norm whose statistics follow, and a bias that nothing trains. */
function network(seed: number) {
  const name = (leaf: string) => `${leaf}.${seed}`;
  const random = (shape: number[], i: number) => tf.randomNormal(shape, 0, 0.4, 'float32', i);
  const w = tf.variable(random([3, 3, 2, 8], 1), true, name('w')) as tf.Variable<tf.Rank.R4>;
  const wide = tf.variable(random([3, 3, 8, 8], 2), true, name('wide')) as tf.Variable<tf.Rank.R4>;
  const dense = tf.variable(random([8, 3], 3), true, name('dense')) as tf.Variable<tf.Rank.R2>;
  const mean = tf.variable(tf.zeros([8]), false, name('mean'));
  const shift = tf.variable(tf.fill([3], 0.25), false, name('shift'));
  const steps = tf.variable(tf.scalar(0, 'int32'), false, name('steps')); // assigned, never read by the loss
  const logits = (x: tf.Tensor) => {
    const y = tf.relu(tf.conv2d(x as tf.Tensor4D, w, 1, 'same'));
    const {mean: batchMean, variance} = tf.moments(y, [0, 1, 2]);
    mean.assign(tf.add(tf.mul(mean, 0.9), tf.mul(batchMean, 0.1)));
    const normal = tf.batchNorm(y, batchMean as tf.Tensor1D, variance as tf.Tensor1D, tf.zeros([8]), tf.ones([8]));
    const features = tf.mean(tf.relu(tf.conv2d(normal as tf.Tensor4D, wide, 2, 'same')), [1, 2]) as tf.Tensor2D;
    return tf.add(tf.matMul(features, dense), shift);
  };
  const optimizer = tf.train.momentum(0.05, 0.9);
  const variables = [w, wide, dense, mean, shift, steps];
  const step = (x: tf.Tensor, labels: tf.Tensor) => {
    steps.assign(tf.add(steps, tf.scalar(1, 'int32')));
    const targets = tf.oneHot(labels as tf.Tensor1D, 3);
    const loss = optimizer.minimize(() => tf.losses.softmaxCrossEntropy(targets, logits(x)) as tf.Scalar, true, [
      w,
      wide,
      dense,
    ])!;
    return [loss, tf.mean(x, [0, 1, 2])];
  };
  const dispose = () => {
    optimizer.dispose();
    tf.dispose(variables);
  };
  return {step, variables, dispose};
}

const batches = (round: number) => ({
  images: tf.randomNormal([STEPS, 4, 6, 6, 2], 0, 1, 'float32', 10 + round),
  labels: tf.tensor2d(
    Array.from({length: STEPS}, (_, i) => [0, 1, 2, (i + round) % 3]),
    [STEPS, 4],
    'int32',
  ),
});

/** The losses and means of every step, and the variables after the last. */
function train(seed: number, run: (step: ReturnType<typeof network>['step']) => (x: tf.Tensor, y: tf.Tensor) => tf.Tensor[]) {
  const {step, variables, dispose} = network(seed);
  const call = run(step);
  const values: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const {images, labels} = batches(round);
    const results = call(images, labels);
    for (const t of results) values.push(...t.dataSync());
    tf.dispose([images, labels, ...results]);
  }
  const state = variables.map((v) => [...v.dataSync()]);
  dispose();
  return {values, state};
}

const single = (step: (x: tf.Tensor, y: tf.Tensor) => tf.Tensor[]) => {
  const one = jit(step);
  return (x: tf.Tensor, y: tf.Tensor) =>
    tf.tidy(() => {
      const [xs, ys] = [tf.unstack(x), tf.unstack(y)];
      const rows = xs.map((_, i) => one(xs[i]!, ys[i]!) as tf.Tensor[]);
      return rows[0]!.map((_, j) => tf.stack(rows.map((row) => row[j]!)));
    });
};

test('K steps in one run are K steps: results, weights, momentum, statistics, counters', () => {
  const many = train(1, (step) => jitSteps(step) as never);
  const one = train(2, single);
  expectClose(many.values, one.values, {
    atol: 2e-5,
    because: 'float32, 16 steps; in a loop onnxruntime orders a sum otherwise',
  });
  for (const [i, values] of one.state.entries())
    expectClose(many.state[i]!, values, {atol: 2e-5, because: 'float32, 16 steps of momentum'});
  expect(many.state.at(-1)).toEqual([STEPS * ROUNDS]);
  expect(many.values[0]).not.toBe(many.values[1]);
});

test('one tensor, or nothing; variables assigned between runs are seen; nothing is left behind', () => {
  const w = tf.variable(tf.tensor1d([1, 2]));
  const add = jitSteps((x: tf.Tensor) => {
    w.assign(tf.add(w, x));
  });
  const dot = jitSteps((x: tf.Tensor) => tf.sum(tf.mul(w, x)));
  const call = (rows: number[][]) =>
    tf.tidy(() => {
      const x = tf.tensor2d(rows);
      expect(add(x)).toBeUndefined();
      return [...(dot(x) as unknown as tf.Tensor).dataSync()];
    });
  const rows = [
    [1, 0],
    [0, 1],
    [1, 1],
  ];
  expect(call(rows)).toEqual([3, 4, 7]); // w = [3, 4]
  expect(call(rows)).toEqual([5, 6, 11]);
  w.assign(tf.tensor1d([0, 0]));
  expect(call(rows)).toEqual([2, 2, 4]);
  const held = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
  const before = held();
  for (let i = 0; i < 20; i++) call(rows);
  expect(held()).toEqual(before);
  w.dispose();
});

test('batches that are not of one number of steps', () => {
  const step = jitSteps((a: tf.Tensor, b: tf.Tensor) => tf.add(a, b));
  expect(() => step(tf.ones([2, 3]), tf.ones([3, 3]))).toThrow(
    'jitSteps: the batches (f32[2, 3], f32[3, 3]) are not of one number',
  );
  expect(() => jitSteps(() => tf.scalar(1))()).toThrow('not of one number of steps');
});
