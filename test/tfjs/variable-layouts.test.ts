/** In which order a variable's numbers lie is nobody's business but the backend's: they stay the same. */
import * as tf from '@tensorflow/tfjs-core';
import type {OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {restoreLayouts, variableLayouts} from '../../src/tfjs/jit/variable-layouts.js';
import {startBackend} from './both.js';

let backend: OnnxruntimeBackend;
beforeAll(async () => {
  backend = await startBackend();
});

const shape = [2, 3, 4, 5];
const HWIO = [2, 3, 1, 0];
const setLayout = ({name}: tf.Variable, layout: number[]) => restoreLayouts(new Map([[name, layout]]));
const numbered = () => tf.tidy(() => tf.variable(tf.reshape(tf.range(0, 120), shape), true, 'numbered'));

test('a layout moves the numbers in memory and no others; what is computed is the same', () => {
  const v = numbered();
  const expected = [...v.dataSync()];
  setLayout(v, HWIO);
  const {layout, data} = backend.lazy(v);
  expect(layout).toEqual(HWIO);
  const [o, i, h, w] = [1, 2, 3, 4]; // of [O, I, H, W]
  expect(data![((h * 5 + w) * 3 + i) * 2 + o]).toBe(((o * 3 + i) * 4 + h) * 5 + w);
  expect([...v.dataSync()]).toEqual(expected);
  expect(tf.tidy(() => [...tf.add(v, 1).dataSync()])).toEqual(expected.map((n) => n + 1));
  v.dispose();
});

test('layouts are noted and restored', () => {
  const v = numbered();
  const plain = variableLayouts();
  expect(plain.get('numbered')).toBeUndefined();
  setLayout(v, HWIO);
  const moved = variableLayouts();
  expect(moved.get('numbered')).toEqual(HWIO);
  restoreLayouts(plain);
  expect(backend.lazy(v).layout).toBeUndefined();
  restoreLayouts(moved);
  expect(backend.lazy(v).layout).toEqual(HWIO);
  expect([...v.dataSync()]).toEqual(Array.from({length: 120}, (_, i) => i));
  v.dispose();
});

test('a tensor that shares the numbers keeps them', () => {
  const v = numbered();
  const copy = tf.clone(v);
  setLayout(v, HWIO);
  v.assign(tf.tidy(() => tf.add(v, 1)));
  expect([copy.dataSync()[0], v.dataSync()[0]]).toEqual([0, 1]);
  tf.dispose([v, copy]);
});
