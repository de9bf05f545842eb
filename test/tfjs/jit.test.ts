import * as tf from '@tensorflow/tfjs-core';
import {registerOnnxruntimeBackend} from '../../src/tfjs/backend/register.js';
import {jit} from '../../src/tfjs/jit/jit.js';

beforeAll(async () => {
  await registerOnnxruntimeBackend({smallSteps: 'recorded'}); // so that every step has the same bits
});

const points = () =>
  tf.tensor2d([
    [1, 2],
    [3, 4],
    [-1, 0.5],
  ]);
const numbersOf = (t: tf.Tensor | null) => {
  const numbers = [...t!.dataSync()];
  t!.dispose();
  return numbers;
};

/** Losses of a least-squares fit; `wrap` decides how a step is run. */
function losses(
  steps: number,
  wrap: <F extends (x: tf.Tensor) => tf.Scalar | null>(step: F) => (x: tf.Tensor) => tf.Scalar | null,
): number[] {
  const w = tf.variable(
    tf.tensor2d([
      [0.1, 0.2],
      [0.3, 0.4],
    ]),
  );
  const optimizer = tf.train.momentum(0.02, 0.9);
  const loss = (x: tf.Tensor) =>
    tf.mean(tf.square(tf.sub(tf.matMul(x as tf.Tensor2D, w as unknown as tf.Tensor2D), 1))) as tf.Scalar;
  const step = wrap((x: tf.Tensor) => optimizer.minimize(() => loss(x), true, [w]));
  const values = Array.from({length: steps}, () => {
    const x = points();
    const [value] = numbersOf(step(x));
    x.dispose();
    return value!;
  });
  w.dispose();
  return values;
}

test('a replayed step computes what the step computes', () => {
  expect(losses(8, (step) => jit(step) as never)).toEqual(losses(8, (step) => step));
});

test('the first call runs, the second is recorded, later ones are replayed; another shape is recorded on its own', () => {
  const twice = jit((x: tf.Tensor) => tf.mul(x, 2));
  const call = (...values: number[]) => {
    const x = tf.tensor1d(values);
    const result = numbersOf(twice(x) as tf.Tensor);
    x.dispose();
    return [result, twice.recordings];
  };
  expect(call(1, 2)).toEqual([[2, 4], 0]);
  expect(call(3, 4)).toEqual([[6, 8], 1]);
  expect(call(5, 6)).toEqual([[10, 12], 1]);
  expect(call(1)).toEqual([[2], 1]);
  expect(call(2)).toEqual([[4], 2]);
  expect(call(7, 8)).toEqual([[14, 16], 2]);
});

test('several results and variables of several shapes', () => {
  const total = tf.variable(tf.zeros([2]));
  const add = jit((x: tf.Tensor) => {
    total.assign(tf.add(total, x));
    return [tf.sum(x), tf.reshape(x, [1, 2])];
  });
  for (let i = 1; i <= 4; i++) {
    const x = tf.tensor1d([i, 10 * i]);
    const [sum, row] = add(x) as tf.Tensor[];
    expect([row!.shape, numbersOf(sum!), numbersOf(row!)]).toEqual([[1, 2], [11 * i], [i, 10 * i]]);
    x.dispose();
  }
  expect([...total.dataSync()]).toEqual([10, 100]);
  total.dispose();
});

test('arguments and variables that the step reshapes are still inputs', () => {
  const w = tf.variable(tf.tensor1d([1, 2, 3, 4]));
  const step = jit((x: tf.Tensor) => {
    const y = tf.matMul(tf.reshape(x, [2, 2]) as tf.Tensor2D, tf.reshape(w, [2, 2]) as tf.Tensor2D);
    w.assign(tf.add(w, 1));
    return y;
  });
  for (let i = 0; i < 5; i++) {
    const x = tf.reshape(tf.tensor2d([[1, i, 0, 1]]), [4]);
    const [a, b, c, d] = [1 + i, 2 + i, 3 + i, 4 + i] as const;
    expect(numbersOf(step(x) as tf.Tensor)).toEqual([a + i * c, b + i * d, c, d]);
    x.dispose();
  }
  expect(step.recordings).toBe(1);
  w.dispose();
});

test('a variable that was assigned a tensor which still lives: the tensor keeps its numbers', () => {
  const w = tf.variable(tf.scalar(0));
  const step = jit((x: tf.Tensor) => {
    w.assign(tf.add(w, x));
  });
  const one = tf.scalar(1);
  for (let i = 0; i < 3; i++) step(one);
  const start = tf.scalar(10);
  w.assign(start);
  for (let i = 0; i < 3; i++) step(one);
  expect([numbersOf(start), [...w.dataSync()]]).toEqual([[10], [13]]);
  tf.dispose([w, one]);
});

test('a constant that was disposed since, like an old learning rate, leads to a new recording', () => {
  let factor: tf.Scalar = tf.scalar(2);
  const scaled = jit((x: tf.Tensor) => tf.mul(x, factor));
  const x = tf.tensor1d([1]);
  const values = [1, 2, 3, 4, 5].map((i) => {
    if (i === 4) {
      factor.dispose();
      factor = tf.scalar(5);
    }
    return numbersOf(scaled(x) as tf.Tensor)[0];
  });
  expect([values, scaled.recordings]).toEqual([[2, 2, 2, 5, 5], 2]);
});

test('a disposed constant of another shape than the step has it in leads to a new recording, too', () => {
  const column = (a: number, b: number) => {
    const t = tf.tensor2d([[a], [b]]);
    tf.tidy(() => tf.neg(t).dataSync()); // the backend meets it in this shape first
    return t;
  };
  let scale = column(1, 2);
  const scaled = jit((x: tf.Tensor) => tf.mul(x, tf.reshape(scale, [2])));
  const call = () => tf.tidy(() => numbersOf(scaled(tf.tensor1d([3, 5])) as tf.Tensor));
  expect([call(), call()]).toEqual([
    [3, 10],
    [3, 10],
  ]);
  scale.dispose();
  scale = column(10, 20);
  expect([call(), scaled.recordings]).toEqual([[30, 100], 2]);
  scale.dispose();
});

test('a function that makes no variables is recorded at its first call', () => {
  const sum = tf.variable(tf.tensor1d([0, 0]));
  const add = jit(
    (x: tf.Tensor) => {
      sum.assign(tf.add(sum, x));
      return tf.mul(sum, 10);
    },
    {makesNoVariables: true},
  );
  const call = () => tf.tidy(() => [numbersOf(add(tf.tensor1d([1, 2])) as tf.Tensor), [...sum.dataSync()], add.recordings]);
  expect([call(), call()]).toEqual([
    [[10, 20], [1, 2], 1],
    [[20, 40], [2, 4], 1],
  ]);
  sum.dispose();
  const slots: tf.Variable[] = [];
  const making = jit((x: tf.Tensor) => void slots.push(tf.variable(x)), {makesNoVariables: true});
  expect(() => tf.tidy(() => making(tf.tensor1d([1])))).toThrow(/variable/);
  tf.dispose(slots);
});

test('a step may return what is not its own: an argument, a variable, a tensor from outside', () => {
  const [v, outside] = [tf.variable(tf.tensor1d([1, 2])), tf.tensor1d([3, 4])];
  const step = jit((x: tf.Tensor) => [x, v, outside, tf.add(x, v)]);
  const x = tf.tensor1d([5, 6]);
  for (let i = 0; i < 4; i++) {
    const results = step(x) as tf.Tensor[];
    expect(results.map((t) => [...t.dataSync()])).toEqual([
      [5, 6],
      [1, 2],
      [3, 4],
      [6, 8],
    ]);
    if (step.recordings > 0) tf.dispose(results); // the first call gives the tensors themselves
  }
  expect([x, v, outside].map((t) => t.isDisposed)).toEqual([false, false, false]);
  expect([x, v, outside].map((t) => [...t.dataSync()])).toEqual([
    [5, 6],
    [1, 2],
    [3, 4],
  ]);
  tf.dispose([x, v, outside]);
});

test('1,000 steps leave nothing behind', () => {
  const w = tf.variable(tf.ones([64, 64]));
  const optimizer = tf.train.adam(0.001);
  const step = jit((x: tf.Tensor) =>
    optimizer.minimize(() => tf.mean(tf.square(tf.matMul(x as tf.Tensor2D, w as unknown as tf.Tensor2D))) as tf.Scalar, true, [
      w,
    ]),
  );
  const run = (steps: number) => {
    for (let i = 0; i < steps; i++) {
      const x = tf.ones([8, 64]);
      (step(x) as tf.Tensor).dispose();
      x.dispose();
    }
    return {tensors: tf.memory().numTensors, data: tf.engine().backend.numDataIds(), bytes: tf.memory().numBytes};
  };
  const before = run(5);
  expect(run(1000)).toEqual(before);
  expect(step.recordings).toBeLessThanOrEqual(2); // once more where a slot has found its layout
});
