/** `model.fit` and loops that read nothing: where a step ends, that it is compiled once, and that small steps stay on TensorFlow.js's cpu code. */
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import {BACKEND_NAME, type OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {Pace} from '../../src/tfjs/backend/pace.js';
import {registerOnnxruntimeBackend} from '../../src/tfjs/backend/register.js';
import {workOf} from '../../src/tfjs/backend/work.js';
import {jit} from '../../src/tfjs/jit/jit.js';
import {expectClose} from '../close.js';

(tf.findBackend('cpu') as unknown as {firstUse: boolean}).firstUse = false; // its advice to install another backend

async function start(smallSteps: 'cpu' | 'recorded'): Promise<OnnxruntimeBackend> {
  if (tf.findBackend(BACKEND_NAME)) tf.removeBackend(BACKEND_NAME);
  return registerOnnxruntimeBackend({smallSteps});
}

const glorot = (seed: number) => layers.initializers.glorotUniform({seed});
const dense = (units: number) => [
  layers.layers.dense({units, inputShape: [20], activation: 'relu', kernelInitializer: glorot(1)}),
  layers.layers.dense({units: 10, activation: 'softmax', kernelInitializer: glorot(2)}),
];
const lstm = (units: number) => [
  layers.layers.lstm({units, inputShape: [8, 3], kernelInitializer: glorot(1), recurrentInitializer: glorot(2)}),
  layers.layers.dense({units: 10, activation: 'softmax', kernelInitializer: glorot(3)}),
];

/** Losses of three epochs, no callback, and graphs and runs after each. */
async function trainThrice(stack: layers.layers.Layer[], shape: number[], backend?: OnnxruntimeBackend) {
  const x = tf.randomNormal([160, ...shape], 0, 1, 'float32', 1);
  const y = tf.tidy(() => tf.floor(tf.randomUniform([160], 0, 10, 'float32', 2)));
  const model = layers.sequential({layers: stack});
  model.compile({optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy']});
  const [losses, compiled, runs]: [number[], number[], number[]] = [[], [], []];
  for (let epoch = 0; epoch < 3; epoch++) {
    const {history} = await model.fit(x, y, {epochs: 1, batchSize: 16, shuffle: false, verbose: 0});
    losses.push(history['loss']![0] as number);
    compiled.push(backend?.runtime.statistics.compiled ?? 0);
    runs.push(backend?.runtime.statistics.runs ?? 0);
  }
  model.dispose();
  tf.dispose([x, y]);
  return {losses, compiled, runs};
}

describe('everything recorded', () => {
  test('each step is a run, and no later epoch compiles anything', async () => {
    const backend = await start('recorded');
    const {losses, compiled, runs} = await trainThrice(dense(32), [20], backend);
    expect(runs[2]! - runs[1]!).toBeGreaterThanOrEqual(10);
    expect(compiled[2]).toBe(compiled[1]);
    await tf.setBackend('cpu');
    expectClose(losses, (await trainThrice(dense(32), [20])).losses, {
      rtol: 1e-5,
      because: 'float32 in another order, 30 steps',
    });
  });

  test('a loop that assigns and never reads is one small graph', async () => {
    const backend = await start('recorded');
    const v = tf.variable(tf.tensor1d([1, 2]));
    for (let i = 0; i < 40; i++) tf.tidy(() => v.assign(tf.add(tf.mul(v, 0.5), 1)));
    expectClose(Array.from(v.dataSync()), [2, 2], {rtol: 1e-6, because: 'it has converged'});
    expect(backend.runtime.statistics.compiled).toBe(1);
    v.dispose();
  });

  test('an optimiser with its own slots, applied by hand: one graph a step', async () => {
    const backend = await start('recorded');
    const v = tf.variable(tf.tensor1d([1, 2]));
    const optimizer = tf.train.momentum(0.1, 0.9);
    const step = () => {
      const {value, grads} = tf.variableGrads(() => tf.sum(tf.square(v)) as tf.Scalar);
      optimizer.applyGradients(grads as never);
      tf.dispose([value, grads]);
    };
    for (let i = 0; i < 3; i++) step();
    const {compiled} = backend.runtime.statistics;
    for (let i = 0; i < 10; i++) step();
    v.dataSync();
    expect(backend.runtime.statistics.compiled).toBe(compiled);
    optimizer.dispose();
    v.dispose();
  });

  test('a captured step has more calls than an open recording may', async () => {
    await start('recorded');
    const many = jit((x: tf.Tensor) => {
      let y = x;
      for (let i = 0; i < 5_100; i++) y = tf.neg(y);
      return y;
    });
    const call = (value: number) => tf.tidy(() => many(tf.scalar(value)).dataSync()[0]);
    expect([1, 2, 3, 4].map(call)).toEqual([1, 2, 3, 4]);
  });
});

describe('small steps', () => {
  test('a small network compiles nothing, and computes what TensorFlow.js does, to the bit', async () => {
    const backend = await start('cpu');
    const {losses, compiled} = await trainThrice(dense(32), [20], backend);
    expect(compiled[2]).toBe(0);
    await tf.setBackend('cpu');
    expect(losses).toEqual((await trainThrice(dense(32), [20])).losses);
  });

  test.each([
    ['a wide layer', () => dense(4096), [20]],
    ['an LSTM', () => lstm(64), [8, 3]],
  ])('%s is recorded before the first epoch ends, as one graph', async (_, stack, shape) => {
    const backend = await start('cpu');
    const {losses, compiled, runs} = await trainThrice(stack(), shape, backend);
    expect(runs[0]).toBeGreaterThanOrEqual(5);
    expect(compiled[0]).toBeLessThanOrEqual(2);
    expect(compiled[2]).toBe(compiled[1]);
    await tf.setBackend('cpu');
    expectClose(losses, (await trainThrice(stack(), shape)).losses, {
      rtol: 1e-4,
      because: 'float32 in another order, 30 steps',
    });
  });

  test('integers are computed by onnxruntime still, where cpu code would round them', async () => {
    await start('cpu');
    const x = tf.tensor1d([16_777_217, -16_777_217], 'int32');
    expect(tf.tidy(() => Array.from(tf.abs(x).dataSync()))).toEqual([16_777_217, 16_777_217]);
    x.dispose();
  });

  test('a part that cpu code made of a variable stays what it was when a captured step writes the variable', async () => {
    await start('cpu');
    const v = tf.variable(tf.tensor1d([1, 2, 3, 4]));
    const double = jit(() => v.assign(tf.mul(v, 2)), {makesNoVariables: true});
    double();
    const parts = tf.split(v, 2);
    double();
    double();
    expect(parts.map((t) => Array.from(t.dataSync()))).toEqual([
      [2, 4],
      [6, 8],
    ]);
    expect(Array.from(v.dataSync())).toEqual([8, 16, 24, 32]);
    tf.dispose([v, ...parts]);
  });

  test('what was read is the reader’s own', async () => {
    await start('cpu');
    const y = tf.tidy(() => tf.mul(tf.tensor1d([1, 2]), 2));
    y.dataSync().fill(-1);
    expect(tf.tidy(() => Array.from(tf.add(y, 1).dataSync()))).toEqual([3, 5]);
    y.dispose();
  });
});

test('a step is recorded where its work repays that, and once compiling it costs no more than what was computed', () => {
  const pace = new Pace();
  const step = (calls: number, work: number) => {
    const first = pace.isAtOnce(work);
    for (let i = 1; i < calls; i++) pace.isAtOnce(work);
    pace.endStep();
    return first;
  };
  const medium = 1e5; // nanoseconds
  expect([1, 2, 3].map(() => step(1000, 5000))).toEqual([true, true, true]); // never
  expect([1, 2, 3, 4, 5].map(() => step(1000, medium)).at(-1)).toBe(false);
  expect(Array.from({length: 9}, () => step(1000, 5000)).at(-1)).toBe(true);
  expect(step(1, 1e8)).toBe(false);
});

test('work is estimated from shapes', () => {
  const product = workOf(
    'BatchMatMul',
    [
      [64, 100],
      [100, 50],
    ],
    {transposeA: false, transposeB: false},
  );
  expect(product).toBe(
    workOf(
      'BatchMatMul',
      [
        [64, 100],
        [50, 100],
      ],
      {transposeA: false, transposeB: true},
    ),
  );
  expect(product).toBe(5 * 64 * 100 * 50);
  expect(workOf('Add', [[100, 1], [50]], {})).toBe(workOf('Add', [[100, 50]], {}));
  expect(workOf('Slice', [[100, 8]], {begin: [3, 0], size: [10, 8]})).toBe(0);
  expect(workOf('Slice', [[100, 8]], {begin: [0, 3], size: [100, 2]})).toBeGreaterThan(1e5);
  expect(
    workOf(
      'Conv2D',
      [
        [1, 8, 8, 0],
        [3, 3, 0, 4],
      ],
      {strides: 1},
    ),
  ).toBe(0);
});
