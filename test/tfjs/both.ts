/** The same TensorFlow.js program on our backend and on TensorFlow.js's own cpu backend, which is the definition. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import type {Tolerance} from '../../src/core/compare.js';
import {random} from '../../src/core/random.js';
import {BACKEND_NAME, type OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {registerOnnxruntimeBackend} from '../../src/tfjs/backend/register.js';
import {expectClose} from '../close.js';

export const rounding: Tolerance = {rtol: 1e-5, because: 'float32, added in another order'};

let precision: 'float32' | 'float64' = 'float32';
/** What float32 tensors are computed in, in the rest of the file. */
export const computeIn = (wanted: typeof precision): void => {
  precision = wanted;
};

let started: Promise<OnnxruntimeBackend> | undefined;
/** For `beforeAll`. */
export const startBackend = () => (started ??= start());

async function start(): Promise<OnnxruntimeBackend> {
  (tf.findBackend('cpu') as unknown as {firstUse: boolean}).firstUse = false; // its advice to install another backend
  return registerOnnxruntimeBackend({precision, smallSteps: 'recorded'}); // so that every kernel is ours
}

export type Operand = {shape: number[]; dtype?: 'float32' | 'int32' | 'bool'; values?: ArrayLike<number>};
export type Program = (...tensors: tf.Tensor[]) => tf.Tensor | tf.Tensor[];

export interface Result {
  shape: number[];
  dtype: string;
  values: number[];
}

const sizeOf = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);

/** Standard normal floats, integers from -9 to 9, coin flips: the same for the same operand. */
function numbersOf({shape, dtype = 'float32', values}: Operand, seed: number): ArrayLike<number> {
  if (values) return values;
  const stream = random(seed);
  const next = () => (dtype === 'float32' ? stream.normal() : dtype === 'int32' ? stream.integer(19) - 9 : stream.integer(2));
  return Array.from({length: sizeOf(shape)}, next);
}

export async function runOn(backend: string, program: Program, operands: readonly Operand[]): Promise<Result[]> {
  await tf.setBackend(backend);
  return tf.tidy(() => {
    const tensors = operands.map((o, i) => tf.tensor([...Array.from(numbersOf(o, i + 1))], o.shape, o.dtype ?? 'float32'));
    return [program(...tensors)]
      .flat()
      .map(({shape, dtype, ...rest}, i, all) => ({shape, dtype, values: Array.from(all[i]!.dataSync()), ...(rest && {})}));
  });
}

/** Both backends give the same shapes, types and, within rounding, numbers. */
export async function expectSame(
  program: Program,
  operands: readonly Operand[],
  tolerance: Tolerance = rounding,
  what = '',
): Promise<void> {
  const ours = await runOn(BACKEND_NAME, program, operands);
  const theirs = await runOn('cpu', program, operands);
  expect(ours.map(({shape, dtype}) => ({shape, dtype}))).toEqual(theirs.map(({shape, dtype}) => ({shape, dtype})));
  for (const [i, {values}] of theirs.entries()) expectClose(ours[i]!.values, values, tolerance, `${what} result ${i}:`);
}

/** The gradients of a program by its float operands, for a random gradient of its result. */
export const gradientsOf =
  (program: (...tensors: tf.Tensor[]) => tf.Tensor): Program =>
  (...tensors) => {
    const y = program(...tensors);
    const dy = tf.tensor(Array.from(numbersOf({shape: y.shape}, 99)), y.shape);
    return tf.grads(program)(tensors, dy);
  };

/** Seeded: a failure prints the case, and is the same in every run. */
export async function forAll<T>(cases: fc.Arbitrary<T>, check: (value: T) => Promise<void>, numRuns = 40): Promise<void> {
  await fc.assert(fc.asyncProperty(cases, check), {seed: 20_240_607, numRuns});
}

/** Which kernels fell back to TensorFlow.js's cpu code while `body` ran. */
export async function fallbacksOf(body: () => Promise<void>): Promise<readonly string[]> {
  const backend = await startBackend();
  const before = new Set(backend.fallbackNotes);
  await body();
  return backend.fallbackNotes.filter((note) => !before.has(note));
}

export const shapeOf = (rank: {min: number; max: number}, largest = 4): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({min: 1, max: largest}), {minLength: rank.min, maxLength: rank.max});
