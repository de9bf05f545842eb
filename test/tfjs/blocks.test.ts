/** Images that stay in onnxruntime's blocks of channels from one convolution to the next, against TensorFlow.js's cpu backend. */
import * as tf from '@tensorflow/tfjs-core';
import type {OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {expectSame, gradientsOf, type Operand, rounding, runOn, startBackend} from './both.js';

let backend: OnnxruntimeBackend;
/** Names of nodes in the graphs that were compiled since: the operator, and a number. */
let operators: string[] = [];

beforeAll(async () => {
  backend = await startBackend();
  const {chooser, native} = backend.runtime as unknown as {
    chooser: {choose: unknown};
    native: {open: (model: Uint8Array, options: object) => unknown};
  };
  // as if it were the fastest everywhere
  chooser.choose = (_what: string, _inputs: unknown, _forms: unknown, strategies: object) =>
    'blocked' in strategies ? 'blocked' : Object.keys(strategies)[0];
  const open = native.open.bind(native);
  native.open = (model, options) => {
    const text = Buffer.from(model).toString('latin1');
    operators.push(...new Set(text.match(/(Reorder(In|Out)put|BatchNormalization|Relu|Add|Sub)\.\d+/g)));
    return open(model, options);
  };
});
beforeEach(() => {
  operators = [];
});

const N = 2;
const C = 32;
const image: Operand = {shape: [N, 6, 5, C]};
const filter: Operand = {shape: [3, 3, C, C]};
const vector: Operand = {shape: [C]};
const conv = (x: tf.Tensor, f: tf.Tensor) => tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, 'same');
const tolerance = {...rounding, rtol: 3e-5, because: 'sums of 288 products in float32, one convolution after the other'};

/** As networks train: statistics of the batch, which are part of the gradient. */
function batchNorm(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor): tf.Tensor {
  const {mean, variance} = tf.moments(x, [0, 1, 2]);
  return tf.batchNorm(
    x as tf.Tensor4D,
    mean as tf.Tensor1D,
    variance as tf.Tensor1D,
    offset as tf.Tensor1D,
    scale as tf.Tensor1D,
    1e-3,
  );
}

/** The gradient of a bias before a batch norm is zero but for rounding: it is a constant here. */
const bias = Array.from({length: C}, (_, i) => i / C - 0.5);
const residual = (...[x, f, g, scale, offset]: tf.Tensor[]) =>
  tf.tidy(() => {
    const y = tf.relu(batchNorm(tf.add(conv(x!, f!), bias), scale!, offset!));
    return tf.relu(tf.add(batchNorm(conv(y, g!), offset!, scale!), y));
  });

test('a residual block, and its gradients', async () => {
  const operands = [image, filter, filter, vector, vector];
  await expectSame(residual, operands, tolerance);
  if (backend.runtime.chooser.block === undefined) return; // a processor without blocks
  expect(operators.filter((name) => name.startsWith('Reorder')).length).toBeLessThan(8); // x, two filters, the result
  expect(operators.filter((name) => /^(BatchNormalization|Relu)/.test(name))).toEqual([]);
  await expectSame(gradientsOf(residual), operands, {...tolerance, rtol: 2e-4});
});

type Operation = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;
/** Of numbers that are not near zero. */
const quotient: Operation = (a, b) => tf.div(a, tf.add(tf.square(b), 1));

const partners: [string, Operand][] = [
  ['number', {shape: []}],
  ['number a channel', vector],
  ['number a channel, in four dimensions', {shape: [1, 1, 1, C]}],
  ['number an image and channel', {shape: [N, 1, 1, C]}],
  ['number a pixel', {shape: [6, 5, 1]}],
  ['image', image],
];
test.each(partners)('with one %s', async (_, partner) => {
  for (const op of [tf.add, tf.mul, tf.sub, tf.maximum, quotient, tf.squaredDifference] as Operation[]) {
    const programs = [
      (x: tf.Tensor, f: tf.Tensor, v: tf.Tensor) => op(conv(x, f), v),
      (x: tf.Tensor, f: tf.Tensor, v: tf.Tensor) => op(v, conv(x, f)),
      (x: tf.Tensor, f: tf.Tensor, v: tf.Tensor) => op(conv(x, f), tf.broadcastTo(v, image.shape as [number])),
    ];
    for (const program of programs) await expectSame(program as never, [image, filter, partner], {...tolerance, rtol: 1e-4});
  }
});

const uses: [string, (y: tf.Tensor) => tf.Tensor | tf.Tensor[]][] = [
  ['sum of channels', (y) => tf.sum(y, [0, 1, 2])],
  ['mean of channels', (y) => tf.mean(y, [0, 1, 2], true)],
  ['mean of images', (y) => tf.mean(y, [1, 2])],
  ['sum of pixels', (y) => tf.sum(y, 3)],
  ['sum of everything', (y) => tf.sum(y)],
  ['sums of products', (y) => tf.sum(tf.mul(y, tf.square(y)), [0, 1, 2])],
  ['comparison', (y) => tf.cast(tf.greater(y, 0), 'float32')],
  ['choice', (y) => tf.where(tf.greater(y, 0), y, tf.exp(y))],
  ['relu of something that is used', (y) => [tf.relu(y), y]],
  ['sum of something that is used', (y) => [tf.add(y, tf.relu(y)), tf.neg(y)]],
  ['itself twice', (y) => tf.add(y, y)],
  ['several images', (y) => tf.addN([y, tf.sin(y), tf.step(y)])],
  ['layers of a picture', (y) => tf.concat([y, tf.sigmoid(y)], 3)],
  ['transposed', (y) => tf.transpose(y, [0, 3, 1, 2])],
  ['pools', (y) => [tf.maxPool(y as tf.Tensor4D, 3, 2, 'same'), tf.avgPool(y as tf.Tensor4D, 2, 2, 'valid')]],
  ['large', (y) => tf.sum(tf.tile(y, [1, 8, 9, 1]), [0, 1, 2])],
];
test.each(uses)('%s', async (_, use) => {
  await expectSame((x, f) => use(conv(x!, f!)), [image, filter], tolerance);
});

test('sums over large images', async () => {
  const operands: Operand[] = [{shape: [2, 40, 36, 16]}, {shape: [1, 1, 16, C]}, {shape: [1, 1, 16, C]}];
  for (const axes of [
    [0, 1, 2],
    [1, 2],
  ]) {
    const program = (x: tf.Tensor, f: tf.Tensor, g: tf.Tensor) =>
      tf.tidy(() => [
        tf.mean(conv(x, f), axes),
        tf.sum(tf.mul(conv(x, f), conv(x, g)), axes),
        tf.mean(tf.square(conv(x, g)), axes),
      ]);
    await expectSame(program as never, operands, tolerance);
  }
});

test('maximum pools and their gradients between convolutions', async () => {
  for (const [size, stride, pad] of [
    [3, 2, 'same'],
    [2, 2, 'valid'],
    [3, 1, 'same'],
  ] as const) {
    const program = (x: tf.Tensor, f: tf.Tensor) => conv(tf.maxPool(tf.relu(conv(x, f)) as tf.Tensor4D, size, stride, pad), f);
    await expectSame(gradientsOf(program as never), [{shape: [N, 9, 8, C]}, filter], {...tolerance, rtol: 1e-4});
  }
});

test('what is no number stays none', async () => {
  const values = Array.from({length: N * 30 * C}, (_, i) => (i === 40 ? Number.NaN : 1));
  const [y] = await runOn('onnxruntime', (x, f, v) => tf.relu(tf.add(conv(x!, f!), v!)), [{...image, values}, filter, vector]);
  expect(y!.values.filter(Number.isNaN).length).toBe(C * 6); // a corner's neighbours
});
