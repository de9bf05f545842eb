/** Kernels that work number by number, and their gradients. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {expectSame, fallbacksOf, forAll, gradientsOf, type Operand, shapeOf, startBackend} from './both.js';

beforeAll(startBackend);

type Unary = (x: tf.Tensor) => tf.Tensor;
/** Where a function is defined, or steep, its operand is moved. */
const positive = (x: tf.Tensor) => tf.add(tf.abs(x), 0.1);
const inside = (x: tf.Tensor) => tf.mul(tf.tanh(x), 0.9);
const anywhere: Record<string, Unary> = {
  abs: tf.abs,
  atan: tf.atan,
  asinh: tf.asinh,
  ceil: tf.ceil,
  clip: (x) => tf.clipByValue(x, -0.5, 0.75),
  cos: tf.cos,
  cosh: tf.cosh,
  elu: tf.elu,
  erf: tf.erf,
  exp: tf.exp,
  expm1: tf.expm1,
  floor: tf.floor,
  leakyRelu: (x) => tf.leakyRelu(x, 0.3),
  neg: tf.neg,
  relu: tf.relu,
  relu6: tf.relu6,
  round: tf.round,
  selu: tf.selu,
  sigmoid: tf.sigmoid,
  sign: tf.sign,
  sin: tf.sin,
  sinh: tf.sinh,
  softplus: tf.softplus,
  square: tf.square,
  step: (x) => tf.step(x, 0.25),
  tanh: tf.tanh,
};
const partial: Record<string, [Unary, (x: tf.Tensor) => tf.Tensor]> = {
  acos: [tf.acos, inside],
  acosh: [tf.acosh, (x) => tf.add(positive(x), 1)],
  asin: [tf.asin, inside],
  atanh: [tf.atanh, inside],
  log: [tf.log, positive],
  log1p: [tf.log1p, positive],
  reciprocal: [tf.reciprocal, positive],
  rsqrt: [tf.rsqrt, positive],
  sqrt: [tf.sqrt, positive],
  tan: [tf.tan, inside],
};
const unary: [string, Unary][] = [
  ...Object.entries(anywhere),
  ...Object.entries(partial).map(([name, [f, domain]]): [string, Unary] => [name, (x) => f(domain(x))]),
];

test.each(unary)('%s and its gradient', async (_, f) => {
  await forAll(
    shapeOf({min: 0, max: 5}),
    async (shape) => {
      await expectSame(f, [{shape}]);
      await expectSame(gradientsOf(f), [{shape}], {rtol: 1e-5, because: 'float32 and a formula of its own'});
    },
    8,
  );
});

test('special numbers: NaN, infinities, zeros, halves', async () => {
  const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 0.5, 1.5, 2.5, -0.5, -1.5, 7, -7];
  const names = 'abs ceil clip elu floor leakyRelu neg relu relu6 round sigmoid sign softplus square step tanh'.split(' ');
  for (const name of names) await expectSame(anywhere[name]!, [{shape: [12], values}], {rtol: 1e-6, because: 'float32'}, name);
  for (const f of [tf.isNaN, tf.isFinite, tf.isInf, tf.sqrt, tf.log])
    await expectSame(f, [{shape: [12], values}], {rtol: 1e-6, because: 'float32'}, f.name);
});

test('small numbers keep their digits in expm1 and log1p', async () => {
  const values = [1e-6, -1e-6, 3e-8, 1e-4, -0.4];
  await expectSame((x) => tf.div(tf.expm1(x), x), [{shape: [5], values}]);
  await expectSame((x) => tf.div(tf.log1p(x), x), [{shape: [5], values}]);
  await expectSame(tf.log1p, [{shape: [4], values: [Number.POSITIVE_INFINITY, -1, 1e30, 0.49]}]);
});

test('casts: what an integer cannot hold becomes 0', async () => {
  const values = [1.9, -1.9, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0.5, 1e6];
  for (const dtype of ['int32', 'bool'] as const) await expectSame((x) => tf.cast(x, dtype), [{shape: [8], values}]);
  for (const from of ['int32', 'bool'] as const)
    for (const to of ['float32', 'int32', 'bool'] as const)
      await expectSame((x) => tf.cast(x, to), [{shape: [2, 3], dtype: from}]);
});

/** Two shapes that broadcast: dimensions dropped in front or set to one on either side. */
const broadcasting = shapeOf({min: 0, max: 4}).chain((shape) =>
  fc
    .tuple(
      ...[0, 1].map(() =>
        fc.tuple(fc.integer({min: 0, max: shape.length}), fc.array(fc.boolean(), {minLength: 4, maxLength: 4})),
      ),
    )
    .map((sides) => {
      const [a, b] = sides.map(([from, ones], side) => {
        const kept = shape.map((d, i) => (ones[i] ? 1 : d)).slice(side === 0 ? 0 : from);
        return kept;
      }) as [number[], number[]];
      return {a, b};
    }),
);

type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;
const arithmetic: Record<string, Binary> = {
  add: tf.add,
  sub: tf.sub,
  mul: tf.mul,
  div: (a, b) => tf.div(a, tf.add(tf.square(b), 0.5)),
  maximum: tf.maximum,
  minimum: tf.minimum,
  squaredDifference: tf.squaredDifference,
  pow: (a, b) => tf.pow(positive(a), b),
};

/** Their gradients in TensorFlow.js do not sum over what was broadcast. */
const alikeOnly = new Set(['maximum', 'minimum', 'squaredDifference']);

test.each(Object.entries(arithmetic))('%s of floats that broadcast, and its gradients', async (name, f) => {
  await forAll(broadcasting, async (shapes) => {
    let {a, b} = shapes;
    await expectSame(f as never, [{shape: a}, {shape: b}]);
    if (alikeOnly.has(name)) b = a;
    await expectSame(gradientsOf(f as never), [{shape: a}, {shape: b}]);
  });
});

const withTypes = fc.record({
  shapes: broadcasting,
  left: fc.constantFrom('float32' as const, 'int32' as const),
  right: fc.constantFrom('float32' as const, 'int32' as const),
});
const integral: Record<string, Binary> = {
  add: tf.add,
  sub: tf.sub,
  mul: tf.mul,
  maximum: tf.maximum,
  minimum: tf.minimum,
  mod: (a, b) => tf.mod(a, tf.add(tf.abs(b), 1)),
  modNegative: (a, b) => tf.mod(a, tf.sub(tf.neg(tf.abs(b)), 1)),
  floorDiv: tf.floorDiv,
  div: (a, b) => tf.div(a, tf.add(tf.abs(b), 1)),
  equal: tf.equal,
  notEqual: tf.notEqual,
  less: tf.less,
  lessEqual: tf.lessEqual,
  greater: tf.greater,
  greaterEqual: tf.greaterEqual,
};

test.each(Object.entries(integral))('%s of any types', async (_, f) => {
  await forAll(withTypes, ({shapes, left, right}) =>
    expectSame(f as never, [
      {shape: shapes.a, dtype: left},
      {shape: shapes.b, dtype: right},
    ]),
  );
});

test('integers divided by zero do not stop the program', async () => {
  const operands: Operand[] = [
    {shape: [4], dtype: 'int32', values: [1, -1, 0, 7]},
    {shape: [4], dtype: 'int32', values: [0, 0, 0, 2]},
  ];
  await expectSame(tf.floorDiv as never, operands);
  await expectSame(tf.mod as never, operands);
});

test('logic', async () => {
  const pair: Operand[] = [
    {shape: [3, 4], dtype: 'bool'},
    {shape: [4], dtype: 'bool'},
  ];
  for (const f of [tf.logicalAnd, tf.logicalOr, tf.logicalXor, tf.equal, tf.greater, tf.mul])
    await expectSame(f as never, pair);
  await expectSame(tf.logicalNot as never, pair.slice(0, 1));
});

/** A condition that is no function of the operands: TensorFlow.js has no gradient of a comparison. */
const positions = (shape: number[]) =>
  tf.tensor(
    Array.from({length: shape.reduce((n, d) => n * d, 1)}, (_, i) => i % 3 === 0),
    shape,
    'bool',
  );

test('choices and their gradients', async () => {
  await forAll(shapeOf({min: 1, max: 4}), async (shape) => {
    await expectSame((a, b) => tf.where(tf.greater(a, 0), a, b), [{shape}, {shape}]);
    await expectSame(
      gradientsOf((a, b) => tf.where(positions(shape), tf.square(a), b)),
      [{shape}, {shape}],
    );
    await expectSame(
      (c, a, b) => tf.where(c as never, a, b),
      [
        {shape, dtype: 'bool'},
        {shape, dtype: 'int32'},
        {shape, dtype: 'int32'},
      ],
    );
  });
});

test('prelu, sums of many and their gradients', async () => {
  await forAll(shapeOf({min: 1, max: 4}), async (shape) => {
    await expectSame(gradientsOf(tf.prelu as never), [{shape}, {shape}]);
    await expectSame(
      gradientsOf((a, b, c) => tf.addN([a, b, c])),
      [{shape}, {shape}, {shape}],
    );
  });
  await expectSame(
    (a, b) => tf.addN([a, b]),
    [
      {shape: [3], dtype: 'int32'},
      {shape: [3], dtype: 'int32'},
    ],
  );
});

test('nothing of this left onnxruntime', async () => {
  const notes = await fallbacksOf(async () => {
    for (const [, f] of unary) await expectSame(gradientsOf(f), [{shape: [2, 3]}]);
    for (const f of Object.values(arithmetic)) await expectSame(gradientsOf(f as never), [{shape: [2, 3]}, {shape: [2, 3]}]);
  });
  expect(notes).toEqual([]);
});
