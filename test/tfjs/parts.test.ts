/** Parts of long tensors: slices that are inputs on the same memory, and results that are joined by writing each where it belongs. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import type {OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {jit} from '../../src/tfjs/jit/jit.js';
import {jitSteps} from '../../src/tfjs/jit/jit-steps.js';
import {forAll, startBackend} from './both.js';

let backend: OnnxruntimeBackend;
beforeAll(async () => {
  backend = await startBackend();
});

const upTo = (n: number) => Array.from({length: n}, (_, i) => i);
const numbersOf = (t: tf.Tensor) => [...t.dataSync()];
const arrayOf = (t: tf.Tensor) => backend.lazy(t).data!;

describe('slices', () => {
  test('those that lie in one piece share the memory, the others are computed', () => {
    const x = tf.tensor(upTo(24), [2, 3, 4]);
    const cases: [begin: number[], size: number[], isPart: boolean][] = [
      [[1, 0, 0], [1, 3, 4], true],
      [[0, 1, 0], [1, 2, 4], true],
      [[1, 2, 1], [1, 1, 2], true],
      [[0, 0, 0], [2, 3, 4], true],
      [[0, 1, 0], [2, 2, 4], false],
      [[1, 0, 1], [1, 3, 2], false],
    ];
    for (const [begin, size, isPart] of cases) {
      const part = tf.slice(x, begin, size);
      expect(backend.lazy(part).producer === undefined).toBe(isPart);
      const expected = upTo(24).filter((n) => {
        const at = [Math.floor(n / 12), Math.floor(n / 4) % 3, n % 4];
        return at.every((v, d) => v >= begin[d]! && v < begin[d]! + size[d]!);
      });
      expect(numbersOf(part)).toEqual(expected);
      if (isPart) expect(arrayOf(part).buffer).toBe(arrayOf(x).buffer);
      part.dispose();
    }
  });

  test('of any shape, of slices too, as on the cpu', async () => {
    const shapes = fc.array(fc.integer({min: 1, max: 4}), {minLength: 1, maxLength: 4});
    const fractions = fc.array(fc.tuple(fc.nat(), fc.nat()), {minLength: 4, maxLength: 4});
    await forAll(fc.tuple(shapes, fractions, fractions), async ([shape, first, second]) => {
      const cut = (t: tf.Tensor, places: readonly (readonly [number, number])[]) => {
        const begin = t.shape.map((n, d) => places[d]![0] % n);
        return tf.slice(
          t,
          begin,
          t.shape.map((n, d) => 1 + (places[d]![1] % (n - begin[d]!))),
        );
      };
      const results = [];
      for (const name of ['onnxruntime', 'cpu']) {
        await tf.setBackend(name);
        const x = tf.tensor(upTo(shape.reduce((n, d) => n * d, 1)), shape);
        results.push(numbersOf(tf.add(tf.reshape(cut(cut(x, first), second), [-1]), 1)));
      }
      expect(results[0]).toEqual(results[1]);
      await tf.setBackend('onnxruntime');
    });
  });

  test('a step reads parts of a variable that another step writes', () => {
    const v = tf.variable(tf.tensor(upTo(12)));
    const read = jit(() => tf.matMul(tf.reshape(tf.slice(v, [2], [4]), [2, 2]), tf.reshape(tf.slice(v, [6], [4]), [2, 2])), {
      makesNoVariables: true,
    });
    const write = jit(() => void v.assign(tf.add(v, 1)), {makesNoVariables: true});
    for (let i = 0; i < 5; i++) {
      const [a, b, c, d] = [2, 3, 4, 5].map((n) => n + i) as [number, number, number, number];
      const [e, f, g, h] = [6, 7, 8, 9].map((n) => n + i) as [number, number, number, number];
      const product = read() as tf.Tensor;
      expect(numbersOf(product)).toEqual([a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h]);
      product.dispose();
      write();
    }
    expect(read.recordings).toBe(1);
  });

  test('a part that is kept stays what it was, whatever becomes of the whole', () => {
    const v = tf.variable(tf.tensor(upTo(9)));
    const step = jit(() => void v.assign(tf.add(v, 1)), {makesNoVariables: true});
    for (let i = 0; i < 3; i++) step();
    const part = tf.slice(v, [4], [3]);
    for (let i = 0; i < 3; i++) step();
    expect(numbersOf(part)).toEqual([7, 8, 9]);
    expect(numbersOf(v)).toEqual(upTo(9).map((n) => n + 6));
    const again = tf.slice(v, [4], [3]);
    v.dispose();
    expect(numbersOf(again)).toEqual([10, 11, 12]);
  });

  test('several steps in one run carry the whole', () => {
    const v = tf.variable(tf.tensor(upTo(6)));
    const step = (x: tf.Tensor) => {
      const sum = tf.add(tf.sum(tf.slice(v, [1], [2])), tf.sum(x));
      v.assign(tf.add(v, 1));
      return sum;
    };
    const many = jitSteps(step as never) as (x: tf.Tensor) => tf.Tensor;
    const batches = tf.tensor([0, 10, 20, 30], [4, 1]);
    expect(numbersOf(many(batches))).toEqual([3, 15, 27, 39]);
    expect(numbersOf(many(batches))).toEqual([11, 23, 35, 47]);
  });
});

describe('results that are joined', () => {
  /** Long enough to be written part by part. */
  const long = 1 << 16;
  const program = (x: tf.Tensor, y: tf.Tensor): tf.Tensor => {
    const [sum, product] = [tf.add(x, y), tf.mul(x, y)];
    const turned = tf.transpose(tf.reshape(sum, [-1, 4]));
    return tf.concat([
      sum, // an intermediate value that is used again
      tf.reshape(turned, [-1]),
      tf.reshape(product, [-1]),
      tf.reshape(product, [-1]), // twice the same
      x, // an argument
      tf.fill([5], 7), // a constant
      tf.reshape(tf.slice(y, [3], [8]), [8]),
    ] as tf.Tensor1D[]);
  };

  test('are what they are on the cpu, in every run', async () => {
    const numbers = (seed: number) => Float32Array.from({length: long}, (_, i) => Math.fround(Math.sin(seed + i)));
    const step = jit((x: tf.Tensor, y: tf.Tensor) => [program(x, y), tf.sum(x)], {makesNoVariables: true});
    for (let seed = 0; seed < 3; seed++) {
      await tf.setBackend('cpu');
      const expected = [...program(tf.tensor1d(numbers(seed)), tf.tensor1d(numbers(seed + 9))).dataSync()];
      await tf.setBackend('onnxruntime');
      const [x, y] = [tf.tensor1d(numbers(seed)), tf.tensor1d(numbers(seed + 9))];
      const [all, sum] = step(x, y) as [tf.Tensor, tf.Tensor];
      expect(numbersOf(all)).toEqual(expected);
      backend.recycle([all, sum]); // the next run writes there
      tf.dispose([x, y]);
    }
    expect(step.recordings).toBe(1);
  });
});
