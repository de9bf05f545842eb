/** What a recording backend must keep: lifetimes, sharing, one computation for many reads, graphs that are found again. */
import * as tf from '@tensorflow/tfjs-core';
import type {OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {startBackend} from './both.js';

let backend: OnnxruntimeBackend;
beforeAll(async () => {
  backend = await startBackend();
});
beforeEach(() => tf.setBackend('onnxruntime'));

const counts = () => ({tensors: tf.memory().numTensors, data: backend.numDataIds()});
const runs = () => backend.runtime.statistics.runs;
const compiled = () => backend.runtime.statistics.compiled;

/** Whatever a test makes it has to dispose of. */
let before: ReturnType<typeof counts>;
beforeEach(() => {
  before = counts();
});
afterEach(() => expect(counts()).toEqual(before));

test('nothing runs before a read, and one read computes everything alive', () => {
  const start = runs();
  const x = tf.tensor1d([1, 2, 3]);
  const y = tf.square(x);
  const z = tf.add(y, 1);
  expect(runs()).toBe(start);
  expect(Array.from(z.dataSync())).toEqual([2, 5, 10]);
  expect(Array.from(y.dataSync())).toEqual([1, 4, 9]);
  expect(runs()).toBe(start + 1);
  tf.dispose([x, y, z]);
});

test('tidy disposes of what a later read still depends on', () => {
  const y = tf.tidy(() => {
    const x = tf.tensor1d([1, 2, 3]);
    return tf.mul(tf.add(x, 1), tf.exp(tf.zerosLike(x)));
  });
  expect(counts().tensors).toBe(before.tensors + 1);
  expect(Array.from(y.dataSync())).toEqual([2, 3, 4]);
  y.dispose();
});

test('disposed before it was read: never computed', () => {
  const start = backend.runtime.statistics.calls;
  const x = tf.tensor1d([1, 2]);
  tf.exp(x).dispose();
  const y = tf.neg(x);
  y.dataSync();
  expect(backend.runtime.statistics.calls).toBe(start + 1);
  tf.dispose([x, y]);
});

test('a disposed tensor cannot be read or used', () => {
  const x = tf.tidy(() => tf.tensor1d([1]));
  tf.dispose(x);
  expect(() => x.dataSync()).toThrow(/disposed/);
  expect(() => tf.exp(x)).toThrow("Exp: its input 'x', float32[1], is disposed");
});

test('reshaped tensors share their data, in either order of disposal', () => {
  for (const first of [0, 1]) {
    const start = counts();
    const x = tf.tidy(() => tf.mul(tf.tensor1d([1, 2, 3, 4]), 2));
    const y = tf.reshape(x, [2, 2]);
    expect(counts()).toEqual({tensors: start.tensors + 2, data: start.data + 1});
    const [gone, left] = first === 0 ? [x, y] : [y, x];
    gone!.dispose();
    expect(Array.from(left!.dataSync())).toEqual([2, 4, 6, 8]);
    left!.dispose();
  }
});

test('clone, keep and cast to the same type share too', () => {
  const kept = tf.tidy(() => {
    const x = tf.square(tf.tensor1d([1, 2]));
    return [tf.keep(tf.clone(x)), tf.cast(x, 'float32')];
  });
  expect(counts().data).toBe(before.data + 1);
  expect(kept.map((t) => Array.from(t.dataSync()))).toEqual([
    [1, 4],
    [1, 4],
  ]);
  tf.dispose(kept);
});

test('a value used twice is computed once', () => {
  const start = backend.runtime.statistics.calls;
  const y = tf.tidy(() => {
    const x = tf.exp(tf.tensor1d([0, 1]));
    return tf.add(tf.mul(x, x), x);
  });
  y.dataSync();
  expect(backend.runtime.statistics.calls).toBe(start + 3);
  y.dispose();
});

test('variable.assign: the old value stays what it was', () => {
  const initial = tf.tensor1d([1, 2]);
  const v = tf.variable(initial);
  const old = tf.mul(v, 10);
  const next = tf.add(v, 1);
  v.assign(next as tf.Tensor1D);
  next.dispose();
  expect(Array.from(v.dataSync())).toEqual([2, 3]);
  expect(Array.from(old.dataSync())).toEqual([10, 20]);
  tf.dispose([initial, old, v]);
});

test('the program may reuse its own arrays', () => {
  const batch = Float32Array.of(1, 2, 3);
  const x = tf.tensor1d(batch);
  const y = tf.mul(x, 2);
  batch.fill(0);
  expect(Array.from(y.dataSync())).toEqual([2, 4, 6]);
  const read = y.dataSync();
  read.fill(-1);
  const z = tf.add(y, 1);
  expect(Array.from(z.dataSync())).toEqual([3, 5, 7]);
  tf.dispose([x, y, z]);
});

test('a chain of 10,000 operations', () => {
  const x = tf.tidy(() => {
    let sum: tf.Tensor = tf.scalar(0);
    for (let i = 0; i < 10_000; i++) sum = tf.add(sum, 1);
    return sum;
  });
  expect(x.dataSync()[0]).toBe(10_000);
  x.dispose();
}, 60_000);

test('a run that fails leaves everything else usable', () => {
  const x = tf.tensor1d([1, 2, 3]);
  const ids = tf.tidy(() => tf.mul(tf.tensor1d([5, 6], 'int32'), tf.scalar(3, 'int32')) as tf.Tensor1D);
  const impossible = tf.gather(x, ids); // 15 and 18: found out by the engine
  const fine = tf.mul(x, 2);
  expect(() => impossible.dataSync()).toThrow(/indices/);
  expect(Array.from(fine.dataSync())).toEqual([2, 4, 6]);
  expect(Array.from(ids.dataSync())).toEqual([15, 18]);
  expect(() => impossible.dataSync()).toThrow(/indices/);
  const later = tf.add(fine, 1);
  expect(Array.from(later.dataSync())).toEqual([3, 5, 7]);
  tf.dispose([x, ids, impossible, fine, later]);
});

test('another of the same structure compiles nothing; numbers are inputs', () => {
  const step = (rate: number, data: number[]) =>
    tf.tidy(() => Array.from(tf.sub(tf.tensor1d(data), tf.mul(rate, tf.add(tf.fill([3], rate * 2), 1))).dataSync()));
  step(0.1, [1, 2, 3]);
  const start = compiled();
  expect(step(0.5, [4, 5, 6])).toEqual([3, 4, 5]);
  expect(step(2, [4, 5, 6])).toEqual([-6, -5, -4]);
  expect(compiled()).toBe(start);
  tf.tidy(() => tf.sub(tf.tensor1d([1, 2]), tf.mul(0.1, tf.add(tf.fill([2], 0.2), 1))).dataSync());
  expect(compiled()).toBe(start + 1);
});

test('bounds that JSON cannot write are told apart', () => {
  const clipped = (least: number, most: number) => tf.tidy(() => Array.from(tf.clipByValue([-3, 3], least, most).dataSync()));
  expect(clipped(Number.NEGATIVE_INFINITY, 1)).toEqual([-3, 1]);
  expect(clipped(-1, Number.POSITIVE_INFINITY)).toEqual([-1, 3]);
});

test('data() and arrays of all types', async () => {
  const x = tf.tensor2d([1.5, -2.5, 0, 4], [2, 2]);
  const made = [tf.greater(x, 0), tf.cast(x, 'int32'), tf.transpose(x)];
  expect(await Promise.all(made.map((t) => t.array()))).toEqual([
    [
      [1, 0],
      [0, 1],
    ],
    [
      [1, -2],
      [0, 4],
    ],
    [
      [1.5, 0],
      [-2.5, 4],
    ],
  ]);
  tf.dispose([x, ...made]);
});

test('kernels without a lowering, strings and complex numbers', () => {
  const results = tf.tidy(() => {
    const x = tf.add(tf.tensor1d([1, 2, 3, 4]), 0);
    const spectrum = tf.fft(tf.complex(x as tf.Tensor1D, tf.zerosLike(x)));
    return {
      diag: Array.from(tf.diag(x).dataSync()).filter((v) => v > 0),
      fft: Array.from(tf.real(spectrum).dataSync()).map(Math.round),
      text: tf.stack([tf.tensor(['a', 'b']), tf.tensor(['c', 'd'])]).arraySync(),
    };
  });
  expect(results).toEqual({
    diag: [1, 2, 3, 4],
    fft: [10, -2, -2, -2],
    text: [
      ['a', 'b'],
      ['c', 'd'],
    ],
  });
});
