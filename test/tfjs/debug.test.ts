/** Looking inside: which kernel made the first NaN, where the time goes, what was left behind, and how a step looks as text. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {buildSync} from 'esbuild';
import {bufferSource} from '../../src/core/bytes.js';
import {GpdError} from '../../src/core/error.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {BACKEND_NAME, type OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {registerOnnxruntimeBackend} from '../../src/tfjs/backend/register.js';
import {jit} from '../../src/tfjs/jit/jit.js';
import {LeakCheck, leakText} from '../../src/tfjs/jit/leak-check.js';
import {allFinite} from '../../src/tfjs/runtime/find-non-finite.js';
import {kernelTimesText, sumByKernel} from '../../src/tfjs/runtime/kernel-times.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-debug-'));
afterAll(() => rmSync(folder, {recursive: true}));

async function backendWith(options: object): Promise<OnnxruntimeBackend> {
  if (tf.findBackend(BACKEND_NAME)) tf.removeBackend(BACKEND_NAME);
  return registerOnnxruntimeBackend(options);
}

describe('numbers that are not finite', () => {
  beforeAll(async () => {
    await backendWith({checkNumbers: true});
  });

  const failure = (body: () => void): GpdError => {
    try {
      body();
    } catch (error) {
      return error as GpdError;
    }
    throw new Error('nothing was thrown');
  };

  test('the first kernel that made one is named, with what it was given', () => {
    const x = tf.tensor2d([[4, 1, 0]]);
    const error = failure(() => tf.tidy(() => tf.mean(tf.mul(tf.log(tf.sub(x, 1)), 2)).dataSync()));
    expect(error).toBeInstanceOf(GpdError);
    expect(error.message.split('\n')).toEqual([
      'Log(f32[1, 3]) → f32[1, 3] made the first number that is not finite',
      '  input 0: f32[1, 3], -1.000 … 3.000, mean 0.6667',
      '  result: f32[1, 3], 1.099 … 1.099, mean 1.099, 1 NaN, 1 infinite',
    ]);
    expect([error.at, error.hint]).toEqual(['Log', expect.stringContaining('ε')]);
    x.dispose();
  });

  test('in the replay of a captured step too, and in its inputs', () => {
    const w = tf.variable(tf.scalar(1));
    const step = jit((x: tf.Tensor) => {
      w.assign(tf.sub(w, 1));
      return tf.div(x, w);
    });
    const call = (value: number) => tf.tidy(() => (step(tf.tensor1d([value])) as tf.Tensor).dataSync()[0]);
    w.assign(tf.scalar(4));
    expect([call(6), call(6), call(6)]).toEqual([2, 3, 6]);
    expect(failure(() => call(6)).message).toMatch(/^RealDiv\(f32\[1\], f32\[\]\) → f32\[1\] made the first/);
    w.assign(tf.scalar(3));
    expect(failure(() => call(Number.NaN)).message).toMatch(/^a number that the step is given is not finite: f32\[1\]/);
    w.dispose();
  });

  test('what counts as finite', () => {
    expect([[1, -3e38], [Number.NaN], [1, Number.NEGATIVE_INFINITY]].map((v) => allFinite(Float32Array.from(v)))).toEqual([
      true,
      false,
      false,
    ]);
    expect(allFinite(Int32Array.of(1))).toBe(true);
  });
});

test('times of the runtime are summed by kernel and shapes; the small ones are one row', async () => {
  const backend = await backendWith({profilePrefix: join(folder, 'profile')});
  const step = jit((x: tf.Tensor) => tf.matMul(tf.relu(tf.matMul(x as tf.Tensor2D, x as tf.Tensor2D)), x as tf.Tensor2D));
  const x = tf.ones([32, 32]);
  for (let i = 0; i < 5; i++) (step(x) as tf.Tensor).dispose();
  const times = backend.runtime.kernelTimes();
  const product = times.find(({kernel}) => kernel.startsWith('BatchMatMul'))!;
  expect(product.kernel).toBe('BatchMatMul(f32[32, 32], f32[32, 32]) → f32[32, 32]');
  expect(product.operators).toContain('Gemm');
  expect(product.runs).toBe(4); // the first call's result was disposed of before anything read it
  expect(times.reduce((sum, {share}) => sum + share, 0)).toBeCloseTo(1);

  const origins = new Map([
    ['Transpose.0', 'Conv2D'],
    ['Conv.1', 'Conv2D'],
    ['Relu.2', 'Relu'],
  ]);
  const run = (node: string, operator: string, ms: number) => ({node, operator, ms});
  const sums = sumByKernel([
    {
      origins,
      runs: [
        run('Transpose.0', 'Transpose', 1),
        run('Conv.1', 'Conv', 90),
        run('fused Relu.2', 'Relu', 8),
        run('ReorderInput', 'ReorderInput', 0.5),
      ],
    },
    {origins, runs: [run('fused Relu.2', 'Relu', 0.5)]},
  ]);
  expect(sums.map(({kernel, ms, runs}) => [kernel, ms, runs])).toEqual([
    ['Conv2D', 91, 1],
    ['Relu', 8.5, 1],
    ['(ReorderInput)', 0.5, 1],
  ]);
  expect(kernelTimesText(sums)).toEqual([
    '      91.0 ms  91.0 %      1  Conv2D  Conv Transpose',
    '       8.5 ms   8.5 %      1  Relu  Relu',
    '       0.5 ms   0.5 %         1 others',
  ]);
});

test('what was made between two points and is still held, by kernel', async () => {
  const backend = await backendWith({});
  const w = tf.variable(tf.ones([2, 2]));
  const check = new LeakCheck(backend);
  const work = () => {
    const left = tf.relu(w);
    tf.tidy(() => tf.exp(tf.neg(w)).dataSync());
    w.assign(tf.tidy(() => tf.mul(w, 0.5)));
    return left;
  };
  const left = [work(), work(), tf.tensor1d([1, 2, 3])];
  // `assign` takes over the data of the product, whose own handle stays until it is disposed of
  expect(check.report().held.map(({madeBy, shape, count}) => [madeBy, shape, count])).toEqual([
    ['Relu', [2, 2], 2],
    ['Multiply', [2, 2], 1],
    ['tensor()', [3], 1],
  ]);
  expect(leakText(check.report())).toContain('2 × Relu float32[2, 2]');
  tf.dispose(left);
  check.stop();
  w.dispose();
});

/** `GPD_DEBUG` is read when the program starts. */
function runProgram(topics: string, program: string): {stderr: string; files: string[]; at: string} {
  const at = mkdtempSync(join(folder, 'run-'));
  const outfile = join(process.cwd(), 'build', `debug-test-${process.pid}.mjs`);
  buildSync({
    stdin: {contents: program, resolveDir: join(process.cwd(), 'test/tfjs'), loader: 'ts'},
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
  const env = {...process.env, GPD_DEBUG: topics, GPD_DEBUG_DIR: at};
  const {stderr} = spawnSync(process.execPath, [outfile], {encoding: 'utf8', env});
  rmSync(outfile);
  return {stderr, files: readdirSync(at), at};
}

test('GPD_DEBUG: the step as text and as .onnx, its times, what it leaves, what runs on the cpu', () => {
  const {stderr, files, at} = runProgram(
    'graph,kernels,leak,lazy',
    `import * as tf from '@tensorflow/tfjs-core';
     import {jit} from '../../src/tfjs/jit/jit.js';
     import {registerOnnxruntimeBackend} from '../../src/tfjs/backend/register.js';
     await registerOnnxruntimeBackend();
     const step = jit((x) => tf.relu(tf.matMul(x, x)));
     const x = tf.ones([4, 4]);
     for (let i = 0; i < 5; i++) await step(x).data(); // keeps each result
     for (let i = 0; i < 2; i++) await tf.bincount(tf.tensor1d([1, 1], 'int32'), [], 3).data();`,
  );
  const [calls, graph, model] = ['step-calls.txt', 'step.txt', 'step.onnx'].map((name) => files.find((f) => f.endsWith(name))!);
  expect(readFileSync(join(at, calls!), 'utf8')).toMatch(
    /%in0 f32\[4, 4\]\n.*BatchMatMul.*\n.*\n?.* = Relu\(%\d+\)\n→ %\d+\n$/s,
  );
  expect(readFileSync(join(at, graph!), 'utf8')).toContain('= Gemm(');
  expect(decodeModel(bufferSource(readFileSync(join(at, model!)))).graph.outputs).toHaveLength(1);
  expect(stderr).toMatch(/^kernels: +[\d.]+ ms +[\d.]+ % +\d+ {2}BatchMatMul\(/m);
  expect(stderr).toMatch(/^leak: \d more tensors.*Relu float32\[4, 4\]/m);
  const lines = stderr.split('\n').filter((line) => line.startsWith('lazy: graph '));
  expect(lines.map((line) => line.replace(/[\d.]+ ms$/, 'ms'))).toEqual([
    expect.stringMatching(/^lazy: graph 1: 2 calls compiled to \d nodes, ms$/),
    'lazy: graph 1: run 1, ms',
    expect.stringMatching(/^lazy: graph 2: 2 calls compiled to \d nodes, ms$/), // captured
    ...[1, 2, 3, 4].map((run) => `lazy: graph 2: run ${run}, ms`),
  ]);
  expect(stderr.match(/fallback to TensorFlow\.js cpu: Bincount/g)).toHaveLength(1);
});
