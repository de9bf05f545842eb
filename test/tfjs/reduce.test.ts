/** Reductions, products of matrices, softmax, batch norm, and their gradients. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {expectSame, fallbacksOf, forAll, gradientsOf, shapeOf, startBackend} from './both.js';

beforeAll(startBackend);

type Reduce = (x: tf.Tensor, axes: number[], keepDims: boolean) => tf.Tensor;
const someAxes = shapeOf({min: 1, max: 4}).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    axes: fc.subarray(shape.map((_, d) => d)),
    keepDims: fc.boolean(),
    negative: fc.boolean(),
  }),
);
const reductions: Record<string, Reduce> = {
  sum: tf.sum,
  mean: tf.mean,
  max: tf.max,
  min: tf.min,
  prod: tf.prod,
  logSumExp: tf.logSumExp,
};

test.each(Object.entries(reductions))('%s over any axes and its gradient', async (_, reduce) => {
  await forAll(someAxes, async ({shape, axes, keepDims, negative}) => {
    const along = axes.map((a) => (negative ? a - shape.length : a));
    const program = (x: tf.Tensor) => reduce(x, along, keepDims);
    await expectSame(program, [{shape}]);
    if (reduce !== tf.prod) await expectSame(gradientsOf(program), [{shape}]); // that of prod needs chained operators
    if (reduce !== tf.logSumExp) await expectSame(program, [{shape, dtype: 'int32'}]);
  });
});

test('of bools: sum, all, any', async () => {
  await forAll(someAxes, async ({shape, axes, keepDims}) => {
    for (const f of [tf.sum, tf.all, tf.any]) await expectSame((x) => f(x, axes, keepDims), [{shape, dtype: 'bool'}]);
  });
});

test('one NaN makes a maximum NaN, and is passed over by argMax', async () => {
  const values = [1, Number.NaN, 3, 4, 7, 6];
  for (const f of [tf.max, tf.min]) for (const axis of [0, 1]) await expectSame((x) => f(x, axis), [{shape: [2, 3], values}]);
  for (const f of [tf.argMax, tf.argMin])
    for (const axis of [0, 1]) await expectSame((x) => f(x, axis), [{shape: [2, 3], values}]);
});

test('argMax, argMin, cumsum, topk along any axis', async () => {
  await forAll(fc.tuple(someAxes, fc.nat(), fc.boolean(), fc.boolean()), async ([{shape}, at, exclusive, reverse]) => {
    const axis = at % shape.length;
    for (const dtype of ['float32', 'int32'] as const) {
      await expectSame((x) => [tf.argMax(x, axis), tf.argMin(x, axis)], [{shape, dtype}]);
      await expectSame((x) => tf.cumsum(x, axis, exclusive, reverse), [{shape, dtype}]);
    }
    // along another axis TensorFlow.js gives a gradient of another shape
    await expectSame(
      gradientsOf((x) => tf.cumsum(x, shape.length - 1, exclusive, reverse)),
      [{shape}],
    );
    await expectSame((x) => Object.values(tf.topk(x, 1 + (at % shape.at(-1)!))), [{shape}]);
  });
});

const matrices = fc.record({
  batch: fc.array(fc.integer({min: 1, max: 3}), {maxLength: 2}),
  dropped: fc.nat({max: 2}),
  sizes: fc.tuple(...[1, 2, 3].map(() => fc.integer({min: 1, max: 6}))),
  transposeA: fc.boolean(),
  transposeB: fc.boolean(),
});

test('matMul: transposed, in batches, broadcast, and its gradients', async () => {
  await forAll(matrices, async ({batch, sizes: [m, k, n], transposeA, transposeB}) => {
    const a = [...batch, ...(transposeA ? [k, m] : [m, k])] as number[];
    const b = [...batch, ...(transposeB ? [n, k] : [k, n])] as number[];
    const program = (x: tf.Tensor, y: tf.Tensor) => tf.matMul(x, y, transposeA, transposeB);
    await expectSame(program as never, [{shape: a}, {shape: b}]);
    await expectSame(gradientsOf(program as never), [{shape: a}, {shape: b}]);
    await expectSame(program as never, [{shape: a}, {shape: b.slice(-2)}]);
    await expectSame(program as never, [
      {shape: a, dtype: 'int32'},
      {shape: b, dtype: 'int32'},
    ]);
  });
});

test('of transposed matrices: nothing moves', async () => {
  const program = (x: tf.Tensor, y: tf.Tensor) => tf.matMul(tf.transpose(x), tf.transpose(y), false, true);
  await expectSame(program as never, [{shape: [3, 4]}, {shape: [3, 5]}]);
});

const activations = ['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu', 'prelu'] as const;

test.each(activations)('fused matMul with %s', async (activation) => {
  await forAll(
    matrices,
    async ({batch, sizes: [m, k, n], transposeA, transposeB}) => {
      const a = [...batch, ...(transposeA ? [k, m] : [m, k])] as number[];
      const b = [...batch, ...(transposeB ? [n, k] : [k, n])] as number[];
      const program = (x: tf.Tensor, y: tf.Tensor, bias: tf.Tensor, slopes: tf.Tensor) =>
        tf.fused.matMul({
          a: x,
          b: y,
          transposeA,
          transposeB,
          bias,
          activation,
          leakyreluAlpha: 0.3,
          ...(activation === 'prelu' && {preluActivationWeights: slopes}),
        });
      await expectSame(program as never, [{shape: a}, {shape: b}, {shape: [n!]}, {shape: [n!]}]);
    },
    15,
  );
});

test('einsum, dot, outerProduct, norm', async () => {
  await expectSame((x, y) => tf.einsum('bij,bkj->bik', x, y), [{shape: [2, 3, 4]}, {shape: [2, 5, 4]}]);
  await expectSame((x, y) => tf.einsum('abc,abd->acbd', x, y), [{shape: [2, 3, 4]}, {shape: [2, 3, 5]}]);
  await expectSame((x, y) => tf.dot(x, y), [{shape: [3]}, {shape: [3]}]);
  for (const order of [1, 2, 'euclidean', Number.POSITIVE_INFINITY] as const)
    await expectSame(
      gradientsOf((x) => tf.norm(x, order, 1)),
      [{shape: [3, 4]}],
    );
});

test('softmax, logSoftmax and their gradients', async () => {
  await forAll(shapeOf({min: 1, max: 4}), async (shape) => {
    for (const f of [tf.softmax, tf.logSoftmax]) {
      await expectSame((x) => f(x), [{shape}]);
      await expectSame(
        gradientsOf((x) => f(x)),
        [{shape}],
      );
    }
  });
});

test('batch norm and its gradients', async () => {
  const layouts = fc.record({shape: fc.array(fc.integer({min: 1, max: 4}), {minLength: 4, maxLength: 4}), full: fc.boolean()});
  await forAll(layouts, async ({shape, full}) => {
    const program = (x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, offset: tf.Tensor, scale: tf.Tensor) =>
      tf.batchNorm(
        x as tf.Tensor4D,
        mean as tf.Tensor1D,
        tf.add(tf.square(variance), 0.2) as tf.Tensor1D,
        offset as tf.Tensor1D,
        scale as tf.Tensor1D,
        1e-3,
      );
    const statistics = [1, 2, 3, 4].map(() => ({shape: full ? shape : shape.slice(-1)}));
    await expectSame(program as never, [{shape}, ...statistics]);
    await expectSame(gradientsOf(program as never), [{shape}, ...statistics], {rtol: 2e-5, because: 'float32, a long formula'});
  });
});

test('nothing of this left onnxruntime', async () => {
  const notes = await fallbacksOf(async () => {
    for (const reduce of [tf.sum, tf.mean, tf.max, tf.min, tf.logSumExp])
      await expectSame(
        gradientsOf((x) => reduce(x, [1], true)),
        [{shape: [2, 3, 4]}],
      );
    await expectSame(gradientsOf(tf.matMul as never), [{shape: [2, 3, 4]}, {shape: [2, 4, 2]}]);
    await expectSame(
      gradientsOf((x) => tf.logSoftmax(x)),
      [{shape: [2, 3]}],
    );
  });
  expect(notes).toEqual([]);
});
