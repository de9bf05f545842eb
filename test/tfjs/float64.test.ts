/** The properties of kernels once more, computed in float64; and that numbers stay float64 from step to step. */
import * as tf from '@tensorflow/tfjs-core';
import {jit} from '../../src/tfjs/jit.js';
import {tensor64} from '../../src/tfjs/tensor64.js';
import {computeIn, startBackend} from './both.js';
import './elementwise.test.js';
import './reduce.test.js';
import './resize.test.js';
import './shape.test.js';
import './windows.test.js';

computeIn('float64');
beforeAll(startBackend);

test('a thousand steps that float32 would not notice', async () => {
  await tf.setBackend('onnxruntime');
  const [x, small] = [tf.variable(tf.scalar(1)), tf.scalar(2 ** -30)];
  const step = jit(() => void x.assign(tf.add(x, small)));
  for (let i = 0; i < 1000; i++) step();
  const moved = tf.mul(tf.sub(x, 1), 2 ** 30);
  expect((await moved.data())[0]).toBeCloseTo(1000, 3);
  expect(await x.data()).toBeInstanceOf(Float32Array);
});

test('constants are the decimals that they were, and float64 numbers can be given', async () => {
  await tf.setBackend('onnxruntime');
  for (const constant of [0.9, 1e-4, 0.05, 1 / 3]) {
    const apart = tf.sub(tf.mul(tf.ones([2]), constant), tensor64(Float64Array.of(constant, constant), [2]));
    expect(Math.abs((await apart.data())[0]!)).toBeLessThan(constant === 1 / 3 ? 1e-8 : 1e-15);
  }
});
