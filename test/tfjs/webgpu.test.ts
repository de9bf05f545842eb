/**
 * WebGPU on software Vulkan: the SwiftShader of an installed Chromium, or whatever VK_ICD_FILENAMES names. Skipped without either. In a
 * process of its own, because the driver is chosen when the library is loaded.
 */
import {spawnSync} from 'node:child_process';
import {mkdirSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {buildSync} from 'esbuild';
import {expectClose} from '../close.js';
import {testWith, vulkanDriver} from '../optional.js';

/** Convolutions, pooling, batch norm of the batch, momentum; captured steps, then two runs of two steps each. Prints every loss. */
const program = `
import * as tf from '@tensorflow/tfjs-core';
import {jit} from '../../src/tfjs/jit/jit.js';
import {jitSteps} from '../../src/tfjs/jit/jit-steps.js';
import {registerOnnxruntimeBackend} from '../../src/tfjs/backend/register.js';
const backend = await registerOnnxruntimeBackend({provider: process.argv[2]});
const random = (shape, seed) => tf.randomNormal(shape, 0, 0.4, 'float32', seed);
const [w, wide, dense] = [random([3, 3, 2, 8], 1), random([3, 3, 8, 8], 2), random([8, 3], 3)].map((t) => tf.variable(t));
const logits = (x) => {
  const y = tf.maxPool(tf.relu(tf.conv2d(x, w, 1, 'same')), 2, 2, 'same');
  const {mean, variance} = tf.moments(y, [0, 1, 2]);
  const normal = tf.batchNorm(y, mean, variance, tf.zeros([8]), tf.ones([8]));
  return tf.matMul(tf.mean(tf.relu(tf.conv2d(normal, wide, 2, 'same')), [1, 2]), dense);
};
const optimizer = tf.train.momentum(0.05, 0.9);
const step = (x, y) => optimizer.minimize(() => tf.losses.softmaxCrossEntropy(tf.oneHot(y, 3), logits(x)), true);
const [x, y] = [random([4, 8, 8, 2], 9), tf.tensor1d([0, 1, 2, 1], 'int32')];
const losses = [];
const one = jit(step), two = jitSteps(step);
for (let i = 0; i < 4; i++) losses.push(...one(x, y).dataSync());
for (let i = 0; i < 3; i++) losses.push(...two(tf.stack([x, x]), tf.stack([y, y])).dataSync());
const kept = [w, wide, dense].map((v) => backend.lazy(v).resident !== undefined);
const weights = [...dense.dataSync()];
losses.push(...one(x, y).dataSync()); // reading takes nothing away
console.log(JSON.stringify({losses, kept, weights}));
`;

interface Training {
  losses: number[];
  weights: number[];
  /** Whether each weight is in the memory of the device. */
  kept: boolean[];
}

function train(outfile: string, provider: string): Training {
  const env = {...process.env, VK_ICD_FILENAMES: vulkanDriver};
  const {stdout, stderr, status} = spawnSync(process.execPath, [outfile, provider], {encoding: 'utf8', env});
  expect([status, stderr]).toEqual([0, expect.any(String)]);
  return JSON.parse(stdout) as Training;
}

const NEED = 'chromium, for its Vulkan driver';
const NAME = 'training on webgpu is training on cpu, step by step and several steps in a run; weights stay on the device';
testWith(NEED, NAME, () => {
  const folder = join(process.cwd(), 'build');
  mkdirSync(folder, {recursive: true});
  const outfile = join(folder, `webgpu-test-${process.pid}.mjs`);
  const stdin = {contents: program, resolveDir: __dirname, loader: 'js'} as const;
  buildSync({stdin, outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external'});
  const [cpu, webgpu] = [train(outfile, 'cpu'), train(outfile, 'webgpu')];
  rmSync(outfile);
  const because = 'float32 in another order, eleven steps';
  expectClose(webgpu.losses, cpu.losses, {atol: 1e-5, because});
  expectClose(webgpu.weights, cpu.weights, {atol: 1e-5, because});
  expect(cpu.losses).toHaveLength(11);
  expect(cpu.losses.at(-1)).toBeLessThan(cpu.losses[0]! / 2);
  expect([cpu.kept, webgpu.kept]).toEqual([
    [false, false, false],
    [true, true, true],
  ]);
});
