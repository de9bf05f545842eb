/** Traps of onnxruntime and TensorFlow.js that once gave wrong numbers without an error. */
import * as tf from '@tensorflow/tfjs-core';
import {BACKEND_NAME} from '../../src/tfjs/backend/backend.js';
import {jit} from '../../src/tfjs/jit/jit.js';
import {expectClose} from '../close.js';
import {startBackend} from './both.js';

beforeAll(async () => {
  await startBackend();
});

test("TensorFlow.js cuts kernel keys at the first underscore: the backend's name has none", () => {
  expect(BACKEND_NAME).not.toContain('_');
});

const CHANNELS = 4;
/** Two batch norms in a row whose variables all start equal: an optimiser of the graph may think that equal things are one thing. */
function normalisedNet() {
  const vector = (value: number, trained = true) => tf.variable(tf.fill([CHANNELS], value), trained);
  const kernel = tf.variable(tf.randomNormal([3, 3, 2, CHANNELS], 0, 0.3, 'float32', 1)) as tf.Variable<tf.Rank.R4>;
  const norms = [0, 1].map(() => ({gamma: vector(1), beta: vector(0), mean: vector(0, false), variance: vector(1, false)}));
  const normalise = (x: tf.Tensor, s: (typeof norms)[number]) => {
    const {mean, variance} = tf.moments(x, [0, 1, 2]);
    s.mean.assign(tf.add(tf.mul(s.mean, 0.9), tf.mul(mean, 0.1)));
    s.variance.assign(tf.add(tf.mul(s.variance, 0.9), tf.mul(variance, 0.1)));
    return tf.batchNorm(
      x as tf.Tensor4D,
      mean as tf.Tensor1D,
      variance as tf.Tensor1D,
      s.beta as tf.Tensor1D,
      s.gamma as tf.Tensor1D,
    );
  };
  const target = tf.randomNormal([5, 5, CHANNELS], 0, 1, 'float32', 2);
  const optimizer = tf.train.momentum(0.1, 0.9);
  const trained = [kernel, ...norms.flatMap((s) => [s.gamma, s.beta])] as tf.Variable[];
  const step = (x: tf.Tensor) =>
    optimizer.minimize(
      () => {
        const y = normalise(tf.relu(normalise(tf.conv2d(x as tf.Tensor4D, kernel, 1, 'same'), norms[0]!)), norms[1]!);
        return tf.mean(tf.mul(tf.square(y), target)) as tf.Scalar; // the same weight everywhere would have no gradient
      },
      true,
      trained,
    ) as tf.Tensor;
  const state = () => [...trained, ...norms.flatMap((s) => [s.mean, s.variance])].map((v) => [...v.dataSync()]);
  const slots = async () => (await optimizer.getWeights()).slice(1).map(({tensor}) => [...tensor.dataSync()]);
  return {step, state, slots, variables: [...trained, ...norms.flatMap((s) => [s.mean, s.variance])]};
}

const images = (i: number) => tf.randomNormal([3, 5, 5, 2], 1, 2, 'float32', i + 1); // seed 0 would be no seed

test('batch norm while training, many equal variables: weights, statistics and momentum as on the cpu backend', async () => {
  await tf.setBackend('cpu');
  const theirs = normalisedNet();
  for (let i = 0; i < 6; i++) tf.tidy(() => theirs.step(images(i)));
  const [state, slots] = [theirs.state(), await theirs.slots()];
  await tf.setBackend(BACKEND_NAME);
  const ours = normalisedNet();
  const step = jit(ours.step);
  for (let i = 0; i < 6; i++) tf.tidy(() => step(images(i)) as tf.Tensor);
  const because = 'float32, six steps through two normalisations';
  for (const [i, values] of ours.state().entries()) expectClose(values, state[i]!, {atol: 2e-5, because}, `variable ${i}:`);
  for (const [i, values] of (await ours.slots()).entries()) expectClose(values, slots[i]!, {atol: 2e-5, because}, `slot ${i}:`);
});

test('a run writes into nothing that it was given: batches, and tensors that share what a variable held', () => {
  const {step, variables} = normalisedNet();
  const captured = jit(step);
  const x = images(1);
  const given = [...x.dataSync()];
  for (let i = 0; i < 8; i++) {
    const held = variables.map((v) => tf.clone(v)); // the same data until the variable changes
    const before = held.map((t) => [...t.dataSync()]);
    tf.dispose(captured(x) as tf.Tensor);
    expect(held.map((t) => [...t.dataSync()])).toEqual(before);
    tf.dispose(held);
  }
  expect([...x.dataSync()]).toEqual(given);
  x.dispose();
});
