/** Convolutions, pools and their gradients, over sizes, strides, paddings and dilations. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {expectSame, fallbacksOf, forAll, gradientsOf, type Operand, rounding, startBackend} from './both.js';

beforeAll(startBackend);

type Pad = 'same' | 'valid' | number | [[number, number], [number, number], [number, number], [number, number]];
const pair = (most: number) => fc.tuple(fc.integer({min: 1, max: most}), fc.integer({min: 1, max: most}));
const explicit = fc.array(fc.integer({min: 0, max: 2}), {minLength: 4, maxLength: 4});

interface Geometry {
  image: [number, number];
  kernel: [number, number];
  strides: [number, number];
  dilations: [number, number];
  pad: Pad;
  batch: number;
  channels: number;
  filters: number;
}

/** Strides or dilations, not both: TensorFlow.js's rule. Windows fit into the image. */
const geometry = (mostDilation = 1): fc.Arbitrary<Geometry> =>
  fc
    .record({
      extra: pair(5),
      kernel: pair(3),
      strides: pair(3),
      dilations: pair(mostDilation),
      pad: fc.oneof(
        fc.constantFrom<Pad>('same', 'valid', 0, 1),
        explicit.map(
          ([a, b, c, d]): Pad => [
            [0, 0],
            [a!, b!],
            [c!, d!],
            [0, 0],
          ],
        ),
      ),
      batch: fc.integer({min: 1, max: 3}),
      channels: fc.integer({min: 1, max: 4}),
      filters: fc.integer({min: 1, max: 4}),
    })
    .map(({extra, kernel: [h, w], strides: [down, right], dilations, ...rest}) => {
      // for padding in numbers TensorFlow.js takes the height's kernel and stride for both dimensions
      const isSquare = typeof rest.pad === 'number';
      const kernel: [number, number] = [h, isSquare ? h : w];
      const strides: [number, number] = [down, isSquare ? down : right];
      const isDilated = dilations.some((d) => d > 1);
      const spread = isSquare ? ([dilations[0], dilations[0]] as [number, number]) : dilations;
      const image = kernel.map((k, i) => (k - 1) * spread[i]! + extra[i]!) as [number, number];
      return {...rest, image, kernel, dilations: spread, strides: isDilated ? [1, 1] : strides};
    });

const images = ({batch, image, channels}: Geometry): Operand => ({shape: [batch, ...image, channels]});
const rounded = ({pad}: Geometry) => (typeof pad === 'string' ? undefined : 'floor');
const inNchw = <T>([n, h, w, c]: [T, T, T, T]): [T, T, T, T] => [n, c, h, w];

const conv = (geometryOf: Geometry, format: 'NHWC' | 'NCHW' = 'NHWC') => {
  const {strides, dilations} = geometryOf;
  const pad = typeof geometryOf.pad === 'object' && format === 'NCHW' ? inNchw(geometryOf.pad) : geometryOf.pad;
  return (x: tf.Tensor, w: tf.Tensor) =>
    tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, strides, pad, format, dilations, rounded(geometryOf));
};

test('conv2d and both gradients', async () => {
  await forAll(
    geometry(),
    async (g) => {
      const operands = [images(g), {shape: [...g.kernel, g.channels, g.filters]}];
      await expectSame(conv(g), operands);
      await expectSame(gradientsOf(conv(g)), operands);
    },
    150,
  );
});

test('conv2d with dilations', async () => {
  await forAll(geometry(3), (g) => expectSame(conv(g), [images(g), {shape: [...g.kernel, g.channels, g.filters]}]));
});

test('conv2d in NCHW and both gradients', async () => {
  await forAll(geometry(), async (g) => {
    const operands = [
      {shape: inNchw(images(g).shape as [number, number, number, number])},
      {shape: [...g.kernel, g.channels, g.filters]},
    ];
    await expectSame(gradientsOf(conv(g, 'NCHW')), operands);
  });
});

test('conv2dTranspose and its gradients', async () => {
  await forAll(geometry(), async (g) => {
    if (typeof g.pad === 'object') return;
    const {batch, image, channels, filters, kernel, strides} = g;
    const forward = tf.tidy(() =>
      tf.conv2d(
        tf.zeros<tf.Rank.R4>([batch, ...image, channels]),
        tf.zeros<tf.Rank.R4>([...kernel, channels, filters]),
        strides,
        g.pad as 'same',
      ),
    );
    const program = (y: tf.Tensor, w: tf.Tensor) =>
      tf.conv2dTranspose(y as tf.Tensor4D, w as tf.Tensor4D, [batch, ...image, channels], strides, g.pad as 'same');
    await expectSame(gradientsOf(program), [{shape: forward.shape}, {shape: [...kernel, channels, filters]}]);
    forward.dispose();
  });
});

const depthwise =
  ({strides, pad, dilations, ...g}: Geometry) =>
  (x: tf.Tensor, w: tf.Tensor) =>
    tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, strides, pad, 'NHWC', dilations, rounded({pad, ...g} as Geometry));

test('depthwiseConv2d and both gradients', async () => {
  await forAll(
    geometry(),
    async (g) => {
      const operands = [images(g), {shape: [...g.kernel, g.channels, Math.min(g.filters, 2)]}];
      await expectSame(depthwise(g), operands);
      await expectSame(gradientsOf(depthwise(g)), operands);
    },
    100,
  );
});

test('depthwiseConv2d with dilations', async () => {
  await forAll(geometry(3), (g) => expectSame(depthwise(g), [images(g), {shape: [...g.kernel, g.channels, 2]}]));
});

test('pools and their gradients', async () => {
  await forAll(
    geometry(),
    async (g) => {
      const pad = typeof g.pad === 'number' && g.pad >= Math.min(...g.kernel) ? 0 : g.pad;
      if (typeof pad === 'object') return;
      const rounding = typeof pad === 'string' ? undefined : ('floor' as const);
      for (const pool of [tf.maxPool, tf.avgPool]) {
        const program = (x: tf.Tensor) => pool(x as tf.Tensor4D, g.kernel, g.strides, pad, rounding);
        await expectSame(program, [images(g)]);
        await expectSame(gradientsOf(program), [images(g)]);
      }
    },
    100,
  );
});

test('among equal numbers the first of a window gets the gradient', async () => {
  await forAll(geometry(), async (g) => {
    const program = (x: tf.Tensor) => tf.maxPool(tf.round(tf.mul(tf.tanh(x), 1.4)) as tf.Tensor4D, g.kernel, g.strides, 'same');
    const onRounded = gradientsOf((x) => tf.maxPool(x as tf.Tensor4D, g.kernel, g.strides, 'same'));
    await expectSame(program, [images(g)]);
    await expectSame((x) => onRounded(tf.round(tf.mul(tf.tanh(x), 1.4))), [images(g)]);
  });
});

const activations = fc.constantFrom('linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu', 'prelu') as fc.Arbitrary<'prelu'>;

test('fused convolutions with bias and activation', async () => {
  await forAll(
    fc.record({g: geometry(), activation: activations, withBias: fc.boolean()}),
    async ({g, activation, withBias}) => {
      const common = {
        strides: g.strides,
        pad: g.pad,
        activation,
        leakyreluAlpha: 0.3,
        ...(rounded(g) && {dimRoundingMode: 'floor' as const}),
      };
      const extra = (bias: tf.Tensor, slopes: tf.Tensor) => ({
        ...(withBias && {bias}),
        ...(activation === 'prelu' && {preluActivationWeights: slopes}),
      });
      const program =
        (kind: 'conv2d' | 'depthwiseConv2d') => (x: tf.Tensor, filter: tf.Tensor, bias: tf.Tensor, slopes: tf.Tensor) =>
          tf.fused[kind]({x, filter, ...common, ...extra(bias, slopes)} as never);
      const vectors = (n: number) => [{shape: [n]}, {shape: [n]}];
      await expectSame(program('conv2d') as never, [
        images(g),
        {shape: [...g.kernel, g.channels, g.filters]},
        ...vectors(g.filters),
      ]);
      await expectSame(program('depthwiseConv2d') as never, [
        images(g),
        {shape: [...g.kernel, g.channels, 1]},
        ...vectors(g.channels),
      ]);
    },
  );
});

test('a block of a network, where orders of dimensions meet', async () => {
  const block = (x: tf.Tensor, w1: tf.Tensor, w2: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) => {
    const conv1 = tf.conv2d(x as tf.Tensor4D, w1 as tf.Tensor4D, 1, 'same');
    const {mean, variance} = tf.moments(conv1, [0, 1, 2]);
    const normal = tf.relu(
      tf.batchNorm(conv1, mean as tf.Tensor1D, variance as tf.Tensor1D, beta as tf.Tensor1D, gamma as tf.Tensor1D, 1e-3),
    );
    const conv2 = tf.add(tf.conv2d(normal as tf.Tensor4D, w2 as tf.Tensor4D, 1, 'same'), x);
    const pooled = tf.mean(tf.maxPool(conv2 as tf.Tensor4D, 2, 2, 'valid'), [1, 2]);
    return tf.logSoftmax(tf.concat([pooled, tf.max(tf.transpose(conv2, [0, 3, 1, 2]), [2, 3])], 1));
  };
  const operands = [{shape: [2, 6, 6, 3]}, {shape: [3, 3, 3, 5]}, {shape: [3, 3, 5, 3]}, {shape: [5]}, {shape: [5]}];
  await expectSame(block as never, operands);
  await expectSame(gradientsOf(block as never), operands, {
    ...rounding,
    rtol: 3e-5,
    because: 'two normalised convolutions deep',
  });
});

test('nothing of this left onnxruntime', async () => {
  const g: Geometry = {
    image: [7, 6],
    kernel: [3, 2],
    strides: [2, 1],
    dilations: [1, 1],
    pad: 'same',
    batch: 2,
    channels: 3,
    filters: 4,
  };
  const notes = await fallbacksOf(async () => {
    await expectSame(gradientsOf(conv(g)), [images(g), {shape: [3, 2, 3, 4]}]);
    await expectSame(gradientsOf(depthwise(g)), [images(g), {shape: [3, 2, 3, 2]}]);
    for (const pool of [tf.maxPool, tf.avgPool])
      await expectSame(
        gradientsOf((x) => pool(x as tf.Tensor4D, g.kernel, g.strides, 'same')),
        [images(g)],
      );
  });
  expect(notes).toEqual([]);
});
