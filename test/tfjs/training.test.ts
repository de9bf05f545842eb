/** Whole training: optimisers, losses, tf.layers, against TensorFlow.js's cpu backend; and that nothing grows. */
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import type {OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {expectClose} from '../close.js';
import {expectSame, fallbacksOf, gradientsOf, startBackend} from './both.js';

let backend: OnnxruntimeBackend;
beforeAll(async () => {
  backend = await startBackend();
});

const optimisers: Record<string, () => tf.Optimizer> = {
  sgd: () => tf.train.sgd(0.1),
  momentum: () => tf.train.momentum(0.05, 0.9),
  nesterov: () => tf.train.momentum(0.05, 0.9, true),
  rmsprop: () => tf.train.rmsprop(0.01, 0.9, 0.5),
  rmspropCentered: () => tf.train.rmsprop(0.01, 0.9, 0, 1e-6, true),
  adagrad: () => tf.train.adagrad(0.1),
  adadelta: () => tf.train.adadelta(0.5),
  adam: () => tf.train.adam(0.01),
  adamax: () => tf.train.adamax(0.01),
};

/** A small net with a convolution, on fixed data: the losses of its steps. */
function trainer(make: () => tf.Optimizer) {
  const x = tf.randomNormal([4, 6, 6, 2], 0, 1, 'float32', 1) as tf.Tensor4D;
  const y = tf.tidy(() => tf.oneHot(tf.tensor1d([0, 1, 2, 1], 'int32'), 3));
  const kernel = tf.variable(tf.randomNormal([3, 3, 2, 4], 0, 0.3, 'float32', 2)) as tf.Variable<tf.Rank.R4>;
  const dense = tf.variable(tf.randomNormal([36, 3], 0, 0.3, 'float32', 3)) as tf.Variable<tf.Rank.R2>;
  const bias = tf.variable(tf.zeros([3])) as tf.Variable<tf.Rank.R1>;
  const logits = () => {
    const features = tf.maxPool(tf.relu(tf.conv2d(x, kernel, 1, 'same')), 2, 2, 'valid');
    return tf.add(tf.matMul(tf.reshape(features, [4, 36]), dense), bias);
  };
  const optimiser = make();
  return {
    optimiser,
    step: () =>
      tf.tidy(() => optimiser.minimize(() => tf.losses.softmaxCrossEntropy(y, logits()) as tf.Scalar, true)!.dataSync()[0]!),
    dispose: () => {
      optimiser.dispose();
      tf.dispose([x, y, kernel, dense, bias]);
    },
  };
}

async function lossesOn(name: string, make: () => tf.Optimizer, steps: number): Promise<number[]> {
  await tf.setBackend(name);
  const run = trainer(make);
  const losses = Array.from({length: steps}, run.step);
  run.dispose();
  return losses;
}

test.each(Object.entries(optimisers))('%s: 15 steps as on the cpu backend, all of it in onnxruntime', async (_, make) => {
  const notes = await fallbacksOf(async () => {
    const ours = await lossesOn('onnxruntime', make, 15);
    const theirs = await lossesOn('cpu', make, 15);
    expectClose(ours, theirs, {atol: 1e-4, because: 'float32, 15 steps of a training that amplifies rounding'});
    expect(ours.at(-1)).toBeLessThan(ours[0]!);
  });
  expect(notes).toEqual([]);
});

test.each(['sgd', 'momentum', 'adam'])(
  '%s: after its first steps it compiles nothing more, with a new learning rate neither',
  async (name) => {
    await tf.setBackend('onnxruntime');
    const run = trainer(optimisers[name]!);
    for (let i = 0; i < 3; i++) run.step(); // slots appear, weights take over the order of their gradients
    const start = backend.runtime.statistics.compiled;
    for (let i = 0; i < 5; i++) run.step();
    if (name !== 'adam') (run.optimiser as tf.SGDOptimizer).setLearningRate(0.001);
    for (let i = 0; i < 5; i++) run.step();
    expect(backend.runtime.statistics.compiled).toBe(start);
    run.dispose();
  },
);

test('reading weights does not make the next step another one', async () => {
  await tf.setBackend('onnxruntime');
  const run = trainer(optimisers['momentum']!);
  for (let i = 0; i < 3; i++) run.step();
  const start = backend.runtime.statistics.compiled;
  for (const {tensor} of await run.optimiser.getWeights()) tensor.dataSync();
  for (const v of Object.values(tf.engine().registeredVariables)) v.dataSync();
  run.step();
  expect(backend.runtime.statistics.compiled).toBe(start);
  run.dispose();
});

test('200 steps: the same tensors, the same data', async () => {
  await tf.setBackend('onnxruntime');
  const run = trainer(optimisers['adam']!);
  for (let i = 0; i < 5; i++) run.step();
  const before = {tensors: tf.memory().numTensors, data: backend.numDataIds()};
  for (let i = 0; i < 200; i++) run.step();
  expect({tensors: tf.memory().numTensors, data: backend.numDataIds()}).toEqual(before);
  run.dispose();
});

const lossFunctions: Record<string, (labels: tf.Tensor, predictions: tf.Tensor) => tf.Tensor> = {
  absoluteDifference: tf.losses.absoluteDifference,
  cosineDistance: (a, b) => tf.losses.cosineDistance(a, b, 1),
  hingeLoss: tf.losses.hingeLoss,
  huberLoss: tf.losses.huberLoss,
  logLoss: (a, b) => tf.losses.logLoss(tf.sigmoid(a), tf.sigmoid(b)),
  meanSquaredError: tf.losses.meanSquaredError,
  sigmoidCrossEntropy: (a, b) => tf.losses.sigmoidCrossEntropy(tf.sigmoid(a), b),
  softmaxCrossEntropy: (a, b) => tf.losses.softmaxCrossEntropy(tf.softmax(a), b),
};

test.each(Object.entries(lossFunctions))('%s and its gradient', async (_, loss) => {
  const operands = [{shape: [5, 4]}, {shape: [5, 4]}];
  await expectSame(loss as never, operands);
  await expectSame((labels, y) => gradientsOf((p) => loss(labels!, p))(y!), operands);
});

test('an attention block and its gradients', async () => {
  const block = (x: tf.Tensor, qkv: tf.Tensor, out: tf.Tensor, gamma: tf.Tensor) => {
    const {mean, variance} = tf.moments(x, -1, true);
    const normal = tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-6))), gamma);
    const [b, n, d] = x.shape as [number, number, number];
    const heads = tf.transpose(
      tf.reshape(tf.matMul(normal, tf.tile(tf.expandDims(qkv, 0), [b, 1, 1])), [b, n, 3, 2, d / 2]),
      [2, 0, 3, 1, 4],
    );
    const [q, k, v] = tf.unstack(heads) as [tf.Tensor, tf.Tensor, tf.Tensor];
    const scores = tf.softmax(tf.mul(tf.matMul(q, k, false, true), (d / 2) ** -0.5));
    const mixed = tf.reshape(tf.transpose(tf.matMul(scores, v), [0, 2, 1, 3]), [b * n, d]);
    const projected = tf.add(tf.reshape(tf.matMul(mixed, out), [b, n, d]), x);
    return tf.mul(projected, tf.mul(tf.add(tf.erf(tf.div(projected, Math.SQRT2)), 1), 0.5)); // GELU
  };
  const operands = [{shape: [2, 5, 8]}, {shape: [8, 24]}, {shape: [8, 8]}, {shape: [8]}];
  const notes = await fallbacksOf(async () => {
    await expectSame(block as never, operands);
    await expectSame(gradientsOf(block as never), operands, {rtol: 3e-5, because: 'float32 through a normalised attention'});
  });
  expect(notes).toEqual([]);
});

/** Convolution, batch norm, pooling, dropout, dense: the same initial weights and the same dropped numbers on every backend. */
function model(): layers.LayersModel {
  const init = (seed: number) => layers.initializers.glorotNormal({seed});
  return layers.sequential({
    layers: [
      layers.layers.conv2d({
        inputShape: [8, 8, 3],
        filters: 6,
        kernelSize: 3,
        padding: 'same',
        kernelInitializer: init(1),
        useBias: false,
      }),
      layers.layers.batchNormalization(),
      layers.layers.reLU(),
      layers.layers.maxPooling2d({poolSize: 2}),
      layers.layers.depthwiseConv2d({
        kernelSize: 3,
        padding: 'same',
        depthwiseInitializer: init(2),
        activation: 'relu',
      }),
      layers.layers.globalAveragePooling2d({}),
      layers.layers.dropout({rate: 0.25, seed: 7}),
      layers.layers.dense({units: 4, kernelInitializer: init(3), activation: 'softmax'}),
    ],
  });
}

async function fitOn(name: string): Promise<{losses: number[]; accuracy: number}> {
  await tf.setBackend(name);
  const net = model();
  const optimizer = tf.train.momentum(0.05, 0.9);
  net.compile({optimizer, loss: 'categoricalCrossentropy', metrics: ['accuracy']});
  const labels = Array.from({length: 40}, (_, i) => i % 4);
  const x = tf.tidy(() => {
    const noise = tf.randomNormal([40, 8, 8, 3], 0, 0.5, 'float32', 11);
    return tf.add(noise, tf.reshape(tf.sin(tf.mul(tf.tensor1d(labels), 1.7)), [40, 1, 1, 1]));
  });
  const y = tf.tidy(() => tf.oneHot(tf.tensor1d(labels, 'int32'), 4));
  const losses: number[] = [];
  const onBatchEnd = async (_: number, logs?: layers.Logs) => void losses.push(logs!['loss']!);
  await net.fit(x, y, {epochs: 4, batchSize: 8, shuffle: false, verbose: 0, yieldEvery: 'never', callbacks: {onBatchEnd}});
  const evaluated = net.evaluate(x, y, {batchSize: 8}) as tf.Scalar[];
  const accuracy = evaluated[1]!.dataSync()[0]!;
  tf.dispose([x, y, ...evaluated]);
  net.dispose();
  optimizer.dispose();
  return {losses, accuracy};
}

test('a tf.layers model: 20 steps of fit() as on the cpu backend', async () => {
  const ours = await fitOn('onnxruntime');
  const theirs = await fitOn('cpu');
  expect(ours.losses).toHaveLength(20);
  expectClose(ours.losses, theirs.losses, {atol: 1e-4, because: 'float32, 20 steps'});
  expect(ours.losses.at(-1)).toBeLessThan(ours.losses[0]!);
  expect(ours.accuracy).toBeCloseTo(theirs.accuracy, 5);
}, 60_000);

test('fit() leaves nothing behind, and onnxruntime does all of it', async () => {
  await fitOn('onnxruntime');
  const before = {tensors: tf.memory().numTensors, data: backend.numDataIds()};
  const notes = await fallbacksOf(async () => void (await fitOn('onnxruntime')));
  // the momentum optimiser of TensorFlow.js forgets to dispose of the scalar of its base class
  expect({tensors: tf.memory().numTensors - 1, data: backend.numDataIds() - 1}).toEqual(before);
  expect(notes).toEqual([]);
}, 60_000);
