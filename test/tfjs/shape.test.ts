/** Kernels that rearrange and choose, and their gradients. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {expectSame, fallbacksOf, forAll, gradientsOf, type Operand, type Program, shapeOf, startBackend} from './both.js';

beforeAll(startBackend);

const dtypes = fc.constantFrom('float32' as const, 'int32' as const, 'bool' as const);
const shuffled = (n: number) => fc.shuffledSubarray([...Array(n).keys()], {minLength: n, maxLength: n});

/**
 * A tensor that lies in another order than its dimensions are named: every kernel gets one, as convolutions leave them behind.
 */
const laid = shapeOf({min: 1, max: 5}).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    perm: shuffled(shape.length),
    dtype: dtypes,
    draw: fc.infiniteStream(fc.nat({max: 1000})),
  }),
);
type Laid = typeof laid extends fc.Arbitrary<infer T> ? T : never;

const take = (stream: Laid['draw'], below: number): number => (stream.next().value as number) % Math.max(1, below);
/** Runs on transposed x, whose shape is `turned`. */
const turnedProgram =
  ({perm}: Laid, program: (x: tf.Tensor) => tf.Tensor | tf.Tensor[]): Program =>
  (x) =>
    program(tf.transpose(x!, perm));
const turned = ({shape, perm}: Laid) => perm.map((p) => shape[p]!);

async function check(c: Laid, program: (x: tf.Tensor) => tf.Tensor | tf.Tensor[]): Promise<void> {
  const operand: Operand = {shape: c.shape, dtype: c.dtype};
  await expectSame(turnedProgram(c, program), [operand]);
  if (c.dtype !== 'float32') return;
  const first = (x: tf.Tensor) => [program(tf.transpose(x, c.perm))].flat()[0]!;
  await expectSame(gradientsOf(first), [operand]);
}

test('transpose, reshape, expandDims, squeeze', async () => {
  await forAll(laid, async (c) => {
    const shape = turned(c);
    await check(c, (x) => tf.transpose(x));
    await check(c, (x) => tf.reshape(x, [-1, shape.at(-1)!]));
    const at = take(c.draw, shape.length + 1);
    await check(c, (x) => tf.expandDims(x, at));
    await check(c, (x) => tf.squeeze(x));
  });
});

test('slice, split, unstack, reverse', async () => {
  await forAll(laid, async (c) => {
    const shape = turned(c);
    const begin = shape.map((d) => take(c.draw, d));
    const size = shape.map((d, i) => 1 + take(c.draw, d - begin[i]!));
    await check(c, (x) => tf.slice(x, begin, size));
    const axis = take(c.draw, shape.length);
    const half = Math.floor(shape[axis]! / 2);
    if (half > 0) await check(c, (x) => tf.split(x, [half, shape[axis]! - half], axis));
    await check(c, (x) => tf.unstack(x, axis));
    if (shape.length <= 4) await check(c, (x) => tf.reverse(x, axis));
  });
});

test('stridedSlice, forwards and backwards', async () => {
  await forAll(laid, async (c) => {
    const shape = turned(c);
    const strides = shape.map(() => [1, 2, 3, -1, -2][take(c.draw, 5)]!);
    const begin = shape.map((d, i) => (strides[i]! > 0 ? 0 : d - 1));
    const end = shape.map((d, i) => (strides[i]! > 0 ? d : -d - 1));
    await expectSame(
      turnedProgram(c, (x) => tf.stridedSlice(x, begin, end, strides)),
      [c],
    );
    await expectSame(
      turnedProgram(c, (x) => tf.stridedSlice(x, [0], [1], [1], 0, 0, 0, 0, 1)),
      [c],
    );
  });
});

test('concat, stack, tile, pads, broadcastTo', async () => {
  await forAll(
    laid,
    async (c) => {
      const shape = turned(c);
      const axis = take(c.draw, shape.length);
      await check(c, (x) =>
        tf.concat(
          [
            x,
            x,
            tf.slice(
              x,
              shape.map(() => 0),
              shape.with(axis, 1),
            ),
          ],
          axis,
        ),
      );
      const at = take(c.draw, shape.length + 1);
      await check(c, (x) => tf.stack([x, x], at));
      const paddings = shape.map((): [number, number] => [take(c.draw, 3), take(c.draw, 3)]);
      await check(c, (x) => tf.pad(x, paddings, c.dtype === 'bool' ? 1 : 2));
      if (shape.length <= 4)
        await check(c, (x) =>
          tf.tile(
            x,
            shape.map((_, i) => 1 + (i % 2)),
          ),
        );
      await expectSame(
        turnedProgram(c, (x) => tf.broadcastTo(x, [2, ...shape])),
        [c],
      );
      const mirrored = shape.map((d): [number, number] => [take(c.draw, d), take(c.draw, d)]);
      for (const mode of ['reflect', 'symmetric'] as const)
        await expectSame(
          turnedProgram(c, (x) => tf.mirrorPad(x, mirrored, mode)),
          [c],
        );
    },
    60,
  );
});

test('gather, gatherND, scatterND, oneHot and gradients', async () => {
  await forAll(laid, async (c) => {
    const shape = turned(c);
    const axis = take(c.draw, shape.length);
    const indices = Array.from({length: 3}, () => take(c.draw, shape[axis]!));
    await expectSame(
      turnedProgram(c, (x) => tf.gather(x, tf.tensor1d(indices, 'int32'), axis)),
      [c],
    );
    if (c.dtype === 'float32')
      await expectSame(
        gradientsOf((x) => tf.gather(x, tf.tensor1d(indices, 'int32'), axis)),
        [{shape}],
      );
    const rows = Array.from({length: 4}, () => [take(c.draw, shape[0]!)]);
    await expectSame(
      turnedProgram(c, (x) => tf.gatherND(x, tf.tensor2d(rows, [4, 1], 'int32'))),
      [c],
    );
    if (c.dtype !== 'bool')
      await expectSame(
        (u) => tf.scatterND(tf.tensor2d(rows, [4, 1], 'int32'), u as never, shape as never),
        [{shape: [4, ...shape.slice(1)], dtype: c.dtype}],
      );
  });
  const labels: Operand = {shape: [2, 4], dtype: 'int32', values: [0, 1, 2, 3, -1, 7, 4, 0]};
  await expectSame((x) => tf.oneHot(x as tf.Tensor1D, 5), [labels]);
  await expectSame((x) => tf.oneHot(x as tf.Tensor1D, 5, 0.75, -0.25, 'float32'), [labels]);
  await expectSame(
    (x, ids) => tf.unsortedSegmentSum(x, ids as tf.Tensor1D, 3),
    [{shape: [4, 2]}, {shape: [4], dtype: 'int32', values: [0, 2, -1, 3]}],
  );
});

test('fill and what is like it', async () => {
  await forAll(fc.tuple(shapeOf({min: 0, max: 4}), dtypes, fc.integer({min: 0, max: 1})), async ([shape, dtype, value]) => {
    await expectSame(() => tf.fill(shape, value, dtype), []);
    await expectSame((x) => [tf.zerosLike(x), tf.onesLike(x)], [{shape, dtype}]);
  });
  await expectSame(() => tf.fill([3], 16_777_217, 'int32'), []); // more digits than a float has
  await expectSame(() => [tf.range(0, 5), tf.linspace(0, 1, 4), tf.eye(3)], []);
});

test('empty tensors run on the cpu', async () => {
  await expectSame((x) => tf.concat([tf.slice(x, [0, 0], [2, 0]), x], 1), [{shape: [2, 3]}]);
  await expectSame((x) => tf.sum(tf.slice(x, [0, 0], [0, 3]), 0), [{shape: [2, 3]}]);
});

test('nothing of this left onnxruntime', async () => {
  const notes = await fallbacksOf(async () => {
    await expectSame(
      gradientsOf((x) =>
        tf.pad(tf.concat([x, tf.reverse(tf.tile(x, [2, 1]), 0)], 0), [
          [1, 0],
          [0, 2],
        ]),
      ),
      [{shape: [2, 3]}],
    );
    await expectSame(
      gradientsOf((x) => tf.stack(tf.unstack(tf.gather(x, tf.tensor1d([1, 0], 'int32')), 1))),
      [{shape: [2, 3]}],
    );
  });
  expect(notes).toEqual([]);
});
