/** Captured steps write into memory that others have left: never into what somebody still reads. */
import * as tf from '@tensorflow/tfjs-core';
import type {OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {jit} from '../../src/tfjs/jit/jit.js';
import {startBackend} from './both.js';

let backend: OnnxruntimeBackend;
beforeAll(async () => {
  backend = await startBackend();
});

const arrayOf = (t: tf.Tensor) => backend.lazy(t).data!;
const size = 7; // of no other test

const upTo = Array.from({length: size}, (_, i) => i);
test.each<[title: string, next: (v: tf.Variable) => tf.Tensor, arrays: number, afterEleven: number[]]>([
  ['two that are read, one that is written', (v) => tf.reverse(v), 3, upTo.toReversed()],
  ['written where they are read', (v) => tf.add(v, 1), 2, upTo.map((n) => n + 11)],
])('variables of one size take turns in the same arrays: %s', (_, next, count, afterEleven) => {
  const [a, b] = [tf.variable(tf.range(0, size)), tf.variable(tf.range(0, size))];
  const growing = (v: tf.Variable) => jit(() => void v.assign(next(v)));
  const [stepA, stepB] = [growing(a), growing(b)];
  const arrays = new Set<unknown>();
  for (let i = 0; i < 11; i++) {
    stepA();
    stepB();
    if (i >= 4) for (const v of [a, b]) arrays.add(arrayOf(v));
  }
  expect([[...a.dataSync()], [...b.dataSync()]]).toEqual([afterEleven, afterEleven]);
  expect(arrays.size).toBe(count);
  tf.dispose([a, b]);
});

test('numbers of a variable that another tensor shares stay', () => {
  const v = tf.variable(tf.fill([size], 0));
  const step = jit(() => void v.assign(tf.add(v, 1)));
  for (let i = 0; i < 3; i++) step();
  const kept = tf.clone(v);
  for (let i = 0; i < 5; i++) step();
  expect([...kept.dataSync()]).toEqual(new Array(size).fill(3));
  expect([...v.dataSync()]).toEqual(new Array(size).fill(8));
  tf.dispose([v, kept]);
});

test('results stay while they are held, and are written over once they are recycled', () => {
  const square = jit((x: tf.Tensor) => tf.square(x));
  const of = (n: number) => tf.tidy(() => square(tf.fill([size], n)));
  const held = [1, 2, 3, 4].map(of);
  expect(held.map((t) => t.dataSync()[0])).toEqual([1, 4, 9, 16]);
  const array = arrayOf(held[3]!);
  const waiting = tf.add(held[3]!, 1); // not computed yet
  backend.recycle([held[3]!]);
  const next = of(5);
  expect(arrayOf(next)).toBe(array);
  expect(waiting.dataSync()[0]).toBe(17);
  tf.dispose([...held.slice(0, 3), waiting, next]);
});

test('what a second handle shares is not recycled', () => {
  const twice = jit((x: tf.Tensor) => tf.mul(x, 2));
  const of = (n: number) => tf.tidy(() => twice(tf.fill([size], n)));
  for (const t of [of(1), of(1)]) t.dispose();
  const first = of(4);
  const shared = tf.reshape(first, [size, 1]);
  backend.recycle([first]);
  const next = of(6);
  expect(shared.dataSync()[0]).toBe(8);
  expect(next.dataSync()[0]).toBe(12);
  tf.dispose([shared, next]);
});
