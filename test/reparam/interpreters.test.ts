/** One algebra, two interpreters: what ONNX nodes compute, folded by onnxruntime, against the loops of the definition. */
import fc from 'fast-check';
import {random} from '../../src/core/random.js';
import {float32, type Shape, type Tensor, toFloat64} from '../../src/core/tensor.js';
import {foldConstants} from '../../src/onnx/fold-constants.js';
import {Graph, type Value} from '../../src/onnx/graph.js';
import {graphOps} from '../../src/onnx/tensor-ops.js';
import {fuseBatchNorm, mergeOrepaBranches} from '../../src/reparam/algebra.js';
import {referenceOps} from '../../src/reparam/reference.js';
import type {TensorOps} from '../../src/reparam/tensor-ops.js';
import {expectClose} from '../close.js';

const because = 'computed in float64, rounded to float32 once';
const HALF_UNIT = 2 ** -24;

/** An expression, written once, over tensors by name. */
interface Expression {
  shapes: Readonly<Record<string, Shape>>;
  build<T>(ops: TensorOps<T>, x: Readonly<Record<string, T>>): T[];
}

function inputsOf({shapes}: Expression, seed: number): Record<string, Tensor<'float32'>> {
  const r = random(seed);
  const fill = (shape: Shape) => {
    const size = shape.reduce((n, d) => n * d, 1);
    return float32(
      shape,
      Float32Array.from({length: size}, () => 0.1 + 3 * r.uniform()),
    );
  };
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, fill(shape)]));
}

async function folded(e: Expression, inputs: Record<string, Tensor<'float32'>>): Promise<Tensor[]> {
  const graph = new Graph('expression');
  const values = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, graph.initializer(name, t)]));
  graph.outputs = e.build(
    graphOps(graph, () => 'layer'),
    values,
  );
  await foldConstants.run({
    graph,
    opset: 20,
    domains: new Map(),
    irVersion: 9,
    producer: {name: '', version: ''},
    metadata: new Map(),
  });
  expect(graph.nodes).toEqual([]);
  return graph.outputs.map((v: Value) => v.initializer!.read());
}

async function expectAgreement(e: Expression, seed: number): Promise<void> {
  const inputs = inputsOf(e, seed);
  const doubles = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, toFloat64(t)]));
  const expected = e.build(referenceOps, doubles);
  for (const [i, actual] of (await folded(e, inputs)).entries()) {
    expect(actual.shape).toEqual(expected[i]!.shape);
    expectClose(actual.data as Float32Array, expected[i]!.data, {rtol: 1.001 * HALF_UNIT, because});
  }
}

const broadcasting = {a: [2, 3, 1], b: [3, 4], c: []};
const operations: Record<string, Expression> = {
  add: {shapes: broadcasting, build: (ops, {a, b, c}) => [ops.add(a!, b!), ops.add(c!, a!)]},
  sub: {shapes: broadcasting, build: (ops, {a, b, c}) => [ops.sub(a!, b!), ops.sub(c!, a!)]},
  mul: {shapes: broadcasting, build: (ops, {a, b}) => [ops.mul(a!, b!), ops.mul(b!, ops.scalar(3))]},
  div: {shapes: broadcasting, build: (ops, {a, b}) => [ops.div(a!, b!), ops.div(b!, ops.scalar(3))]},
  sqrt: {shapes: {a: [5, 2]}, build: (ops, {a}) => [ops.sqrt(a!)]},
  matmul: {
    shapes: {a: [2, 1, 3, 4], b: [5, 4, 2], c: [4, 6]},
    build: (ops, {a, b, c}) => [ops.matmul(a!, b!), ops.matmul(a!, c!)],
  },
  reshape: {shapes: {a: [2, 6]}, build: (ops, {a}) => [ops.sqrt(ops.reshape(a!, [3, 1, 4]))]},
  transpose: {shapes: {a: [2, 3, 4]}, build: (ops, {a}) => [ops.transpose(a!, [2, 0, 1]), ops.transpose(a!, [0, 2, 1])]},
  unstack: {shapes: {a: [3, 2, 2]}, build: (ops, {a}) => ops.unstack(a!, 3)},
};

test.each(Object.entries(operations))('%s', (_, expression) => expectAgreement(expression, 1));

function orepa(out: number, input: number, groups: number): Expression {
  const perGroup = input / groups;
  return {
    shapes: {
      origin: [out, perGroup, 3, 3],
      avgConv: [out, perGroup, 1, 1],
      avgKernel: [3, 3],
      priorConv: [out, perGroup, 1, 1],
      prior: [out, 3, 3],
      identityConv: [input, perGroup, 1, 1],
      identity: [input, perGroup, 1, 1],
      sequentialConv: [out, perGroup, 3, 3],
      plain: [out, perGroup, 3, 3],
      separableDepthwise: [8 * input, 1, 3, 3],
      separablePointwise: [out, (8 * input) / groups, 1, 1],
      scales: [6, out],
      vectors: [4, out],
    },
    build(ops, x) {
      const scaled = <T>(tensor: T) => ({tensor, factor: 3});
      const parts = Object.fromEntries(Object.entries(x).map(([name, t]) => [name, scaled(t)]));
      const size = {out, in: input, groups, kernel: [3, 3] as const};
      const weight = mergeOrepaBranches(ops, parts as never, size);
      const [gamma, beta, mean, variance] = ops.unstack(x['vectors']!, 4).map((v) => ops.reshape(v, [out]));
      const fused = fuseBatchNorm(
        ops,
        {weight, bias: beta!},
        {gamma: gamma!, beta: beta!, mean: mean!, variance: variance!, eps: 1e-5},
        out,
      );
      return [weight, fused.weight, fused.bias];
    },
  };
}

test('merged branches and fused statistics, dense and depthwise', async () => {
  const size = fc.record({out: fc.integer({min: 1, max: 5}), input: fc.integer({min: 1, max: 5}), depthwise: fc.boolean()});
  await fc.assert(
    fc.asyncProperty(size, fc.nat(1e6), ({out, input, depthwise}, seed) =>
      expectAgreement(depthwise && out > 1 ? orepa(out, out, out) : orepa(out, input, 1), seed),
    ),
    {numRuns: 15, seed: 20260804},
  );
});
