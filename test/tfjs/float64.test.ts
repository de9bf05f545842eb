/** The properties of kernels once more, computed in float64; and that numbers stay float64 from step to step. */
import {execFileSync} from 'node:child_process';
import * as tf from '@tensorflow/tfjs-core';
import {jit} from '../../src/tfjs/jit/jit.js';
import {computeIn, startBackend} from './both.js';
import {constantError, slopeError, thousandSteps} from './programs/in-float64.js';
import './elementwise.test.js';
import './reduce.test.js';
import './resize.test.js';
import './shape.test.js';
import './windows.test.js';

computeIn('float64');
beforeAll(startBackend);

test('on onnxruntime: what float32 would not notice, the decimals that constants were, float64 numbers that are given', async () => {
  await tf.setBackend('onnxruntime');
  expect(await thousandSteps((step) => jit(step) as typeof step)).toBeCloseTo(1000, 3);
  for (const decimal of [0.9, 1e-4, 0.05]) expect(await constantError(decimal)).toBeLessThan(1e-15);
  expect(await constantError(1 / 3)).toBeLessThan(1e-8); // no short decimal
  expect(await slopeError()).toBeLessThan(1e-9);
  const computed = tf.variable(tf.add(tf.variable(tf.scalar(1)), 1));
  expect(await computed.data()).toBeInstanceOf(Float32Array);
});

test("on TensorFlow.js's cpu code likewise", () => {
  const program = ['scripts/run.js', 'test/tfjs/programs/in-float64.ts', 'cpu'];
  const results = JSON.parse(execFileSync(process.execPath, program, {encoding: 'utf8'}));
  expect(results.thousandSteps).toBeCloseTo(1000, 3);
  expect(results.decimal).toBeLessThan(1e-15);
  expect(results.slope).toBeLessThan(1e-9);
  expect(results.single).toBe(true);
});
