/** Bad use of the backend: every message names the kernel or the place, the shapes, and what to do. */
import * as tf from '@tensorflow/tfjs-core';
import type {GpdError} from '../../src/core/error.js';
import {BACKEND_NAME} from '../../src/tfjs/backend/backend.js';
import {registerOnnxruntimeBackend} from '../../src/tfjs/backend/register.js';
import {jit} from '../../src/tfjs/jit/jit.js';
import {MAX_SIGNATURES} from '../../src/tfjs/jit/jit-errors.js';

beforeEach(async () => {
  await registerOnnxruntimeBackend();
});

/** What a body throws, as a person sees it: the message and the hint. */
function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    const {message, hint} = error as GpdError;
    return hint === undefined ? message : `${message} → ${hint}`;
  }
  throw new Error('nothing was thrown');
}

/** The second call of a captured step records it. */
const recordingOf = <A extends tf.Tensor[]>(fn: (...args: A) => tf.Tensor, ...args: A): string => {
  const step = jit(fn);
  tf.dispose(step(...args) as tf.Tensor);
  return refusal(() => step(...args));
};

describe('while a step is recorded', () => {
  const x = () => tf.tensor2d([[1, 2, 2]]);

  test('a kernel without a lowering is named with its shapes, whether it reads what is computed or an argument', () => {
    const words = (t: tf.Tensor) => tf.bincount(tf.cast(tf.reshape(t, [3]), 'int32') as tf.Tensor1D, [], 3);
    expect(recordingOf(words, x())).toBe(
      "jit: Bincount(i32[3], f32[0]) runs in TensorFlow.js's cpu code (no lowering) and reads the numbers of Cast(f32[3]) → i32[3] " +
        'while the step is recorded; a replay would not read them again → ' +
        'compute it outside the step and give it as an argument, or write it with other operations',
    );
    const direct = (t: tf.Tensor) => tf.bincount(t as tf.Tensor1D, [], 3);
    expect(recordingOf(direct, tf.tensor1d([1, 2], 'int32'))).toMatch(
      /^jit: Bincount\(.* and reads the numbers of an argument or variable, i32\[2\], while the step is recorded/,
    );
  });

  test('reading numbers is refused: computed ones, arguments and variables', () => {
    expect(recordingOf((t) => tf.mul(t, tf.mul(t, 2).dataSync()[0]!), x())).toMatch(
      /^jit: the numbers of Multiply\(f32\[1, 3\], f32\[\]\) → f32\[1, 3\] are read while .* → return the tensor and read it after/,
    );
    expect(recordingOf((t) => tf.mul(t, t.dataSync()[0]!), x())).toMatch(
      /^jit: the numbers of an argument or variable, f32\[1, 3\], are/,
    );
    const w = tf.variable(tf.scalar(2));
    expect(recordingOf((t) => tf.mul(t, w.dataSync()[0]!), x())).toMatch(
      /^jit: the numbers of an argument or variable, f32\[\], are/,
    );
    w.dispose();
  });

  test('a constant may be read, and after a refusal the backend works as before', () => {
    const four = tf.scalar(4);
    const step = jit((t: tf.Tensor) => tf.mul(t, four.dataSync()[0]!));
    const sums = [1, 2, 3].map((v) => tf.tidy(() => (step(tf.tensor1d([v])) as tf.Tensor).dataSync()[0]));
    expect(sums).toEqual([4, 8, 12]);
    let reads = true;
    const mended = jit((t: tf.Tensor) => tf.add(t, reads ? t.dataSync()[0]! : 1));
    const call = (v: number) => tf.tidy(() => (mended(tf.tensor1d([v])) as tf.Tensor).dataSync()[0]);
    expect(call(1)).toBe(2);
    expect(() => call(1)).toThrow('jit:');
    reads = false;
    expect([call(5), call(6)]).toEqual([6, 7]);
  });

  test('two inputs that are one, and new variables', () => {
    const step = jit((a: tf.Tensor, b: tf.Tensor) => tf.add(a, b));
    const one = x();
    tf.dispose(step(one, one) as tf.Tensor);
    expect(refusal(() => step(one, one))).toMatch(
      /^jit: argument 0 and argument 1 share their data → give one of them data of its own/,
    );
    expect(recordingOf((t) => tf.mul(t, tf.variable(tf.scalar(1))), x())).toMatch(
      /^jit: the function made the variable '.*' .* → make var/,
    );
  });
});

describe('a captured step', () => {
  test('with a disposed argument', () => {
    const step = jit((t: tf.Tensor) => tf.neg(t));
    const t = tf.ones([2, 3]);
    t.dispose();
    expect(refusal(() => step(t))).toBe('jit: argument 0, f32[2, 3], is disposed → keep() it, or dispose of it after the step');
  });

  test('whose variable has another shape now', () => {
    let w = tf.variable(tf.ones([2, 3]), true, 'reshaped');
    const step = jit((t: tf.Tensor) => tf.sum(tf.mul(t, w)));
    const call = () => tf.tidy(() => (step(tf.scalar(2)) as tf.Tensor).dataSync()[0]);
    expect([call(), call(), call()]).toEqual([12, 12, 12]);
    w.dispose();
    w = tf.variable(tf.ones([3, 2]), true, 'reshaped');
    expect(refusal(call)).toBe(
      "jit: the variable 'reshaped' was f32[2, 3] when the step was recorded, and is f32[3, 2] → " +
        'make a new jit of the function when the network changes',
    );
    w.dispose();
  });

  test('called with ever new shapes', () => {
    const step = jit((t: tf.Tensor) => tf.neg(t));
    const call = (n: number) => tf.tidy(() => (step(tf.ones([n, 2])) as tf.Tensor).shape);
    for (let n = 1; n <= MAX_SIGNATURES; n++) expect(call(n)).toEqual([n, 2]);
    expect(refusal(() => call(99))).toMatch(
      /^jit: the step has been recorded for 16 sets of shapes, and is called with another: \(f32\[99, 2\]\); the last were .*\(f32\[16, 2\]\) → pad/,
    );
    expect(call(3)).toEqual([3, 2]);
  });

  test('after the backend was made anew', async () => {
    const step = jit((t: tf.Tensor) => tf.mul(t, 3));
    const call = () => tf.tidy(() => (step(tf.scalar(2)) as tf.Tensor).dataSync()[0]);
    expect([call(), call(), call()]).toEqual([6, 6, 6]);
    tf.removeBackend(BACKEND_NAME);
    await registerOnnxruntimeBackend();
    expect([call(), call()]).toEqual([6, 6]);
  });

  test('on another backend', async () => {
    await tf.setBackend('cpu');
    expect(refusal(() => jit(() => tf.scalar(1))())).toBe(
      "jit: the backend 'onnxruntime' is needed, and the current one is 'cpu' → await registerOnnxruntimeBackend() first",
    );
  });
});

test('a disposed tensor: the kernel, its input and shape', () => {
  const x = tf.ones([2, 2]);
  x.dispose();
  expect(refusal(() => tf.matMul(x as tf.Tensor2D, tf.ones([2, 2])))).toMatch(
    /^BatchMatMul: its input 'a', float32\[2,2\], is disposed\./,
  );
});

test('what onnxruntime refuses is named in the words of TensorFlow.js', () => {
  const gathered = tf.gather(tf.tensor1d([1, 2, 3]), tf.add(tf.tensor1d([7], 'int32'), tf.scalar(1, 'int32')));
  expect(refusal(() => gathered.dataSync())).toMatch(
    /^GatherV2\(f32\[3\], i32\[1\].*\) → f32\[1\]: .*indices element out of data bounds/s,
  );
  gathered.dispose();
  expect(tf.tidy(() => [...tf.square([3]).dataSync()])).toEqual([9]);
});

test('options other than those of the backend that is there, and a provider that the machine does not have', async () => {
  const other = await registerOnnxruntimeBackend({threads: 1}).catch((e: unknown) => e as GpdError);
  expect(other).toMatchObject({
    message: expect.stringContaining('{}'),
    hint: expect.stringContaining("tf.removeBackend('onnxruntime')"),
  });
  tf.removeBackend(BACKEND_NAME);
  const cuda = await registerOnnxruntimeBackend({provider: 'cuda'}).catch((e: unknown) => e as GpdError);
  expect(cuda).toMatchObject({
    code: 'PROVIDER_UNAVAILABLE',
    message: expect.stringContaining("'cuda'"),
    hint: expect.any(String),
  });
});
