import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {bufferSource} from '../../../src/core/bytes.js';
import {random} from '../../../src/core/random.js';
import {float32, float64, toFloat64} from '../../../src/core/tensor.js';
import {affineOf, dequantise, type QuantParameters, quantise, type WeightRange} from '../../../src/export/quantise/affine.js';
import {emitQuantised} from '../../../src/export/quantise/emit.js';
import {planUnits, select} from '../../../src/export/quantise/plan.js';
import {checkModel} from '../../../src/onnx/check.js';
import {decodeModel} from '../../../src/onnx/decode.js';
import {modelBytes} from '../../../src/onnx/encode.js';
import type {Model, Value} from '../../../src/onnx/graph.js';
import {parseModel} from '../../../src/onnx/parse-text.js';
import {openSession, type SessionOptions} from '../../../src/onnx/session.js';
import {convolve} from '../../reparam/naive.js';
import {exactRange} from './exact-range.js';

/** A residual block, a pool, a padded shortcut, a classifier: every operator of the table that a student has. */
const residual = () =>
  parseModel(`model opset 17, ir 8, producer "test" "0"
  graph g (%x: f32[N, 3, 8, 8]) -> (%logits)
    %w1 = f32[4, 3, 3, 3] ~1
    %b1 = f32[4] ~2
    %c1: f32[N, 4, 8, 8] = Conv(%x, %w1, %b1) {pads = [1, 1, 1, 1], kernel_shape = [3, 3]}
    %r1: f32[N, 4, 8, 8] = Relu(%c1)
    %p: f32[N, 4, 4, 4] = MaxPool(%r1) {kernel_shape = [2, 2], strides = [2, 2]}
    %w2 = f32[4, 1, 3, 3] ~3
    %c2: f32[N, 4, 4, 4] = Conv(%p, %w2) {pads = [1, 1, 1, 1], kernel_shape = [3, 3], group = 4}
    %a: f32[N, 4, 4, 4] = Add(%c2, %p)
    %r2: f32[N, 4, 4, 4] = Relu(%a)
    %g: f32[N, 4, 1, 1] = GlobalAveragePool(%r2)
    %f: f32[N, 4] = Flatten(%g)
    %w3 = f32[5, 4] ~4
    %b3 = f32[5] ~5
    %logits: f32[N, 5] = Gemm(%f, %w3, %b3) {transB = 1}`);

function affines(values: Iterable<Value>, sameScale: ReadonlyMap<Value, Value>): Map<Value, QuantParameters> {
  const positive = new Set(['r1', 'r2', 'p', 'g', 'f']);
  return new Map(
    [...values]
      .filter((v) => !sameScale.has(v))
      .map((v, i) => [v, affineOf({low: positive.has(v.name) ? 0 : -3 - i, high: 4 + i}, 'asymmetric')]),
  );
}
function quantised(
  model: Model,
  excluded: readonly string[] = [],
  weightRange?: WeightRange,
): {model: Model; affine: Map<Value, QuantParameters>} {
  const units = planUnits(model.graph);
  const selection = select(model.graph, units, new Set(units.filter(({node}) => excluded.includes(node.name))));
  const affine = affines(select(model.graph, units, new Set()).quantised, selection.sameScale);
  return {model: emitQuantised(model, selection, {affine, biases: new Map(), weightRange}), affine};
}
const operators = ({graph}: Model) => graph.nodes.map((n) => n.opType);
const count = (types: readonly string[], wanted: string) => types.filter((t) => t === wanted).length;

const run = async (model: Model, x: Float32Array, options: SessionOptions) => {
  const session = await openSession(modelBytes(model), {threads: 1, ...options});
  const results = await session.run(new Map([['x', float32([x.length / 192, 3, 8, 8], x)]]));
  await session.close();
  return results.get(model.graph.outputs[0]!.name)!.data as Float32Array;
};
const images = (n: number) => {
  const r = random('images');
  return Float32Array.from({length: n * 192}, () => r.normal());
};

test('every operator gets its integers, ReLU is gone, the logits stay float32, names stay', () => {
  const original = residual();
  const {model} = quantised(original);
  expect(checkModel(model)).toEqual([]);
  const types = operators(model);
  expect(count(types, 'Relu')).toBe(0);
  expect(count(types, 'QuantizeLinear')).toBe(7); // x, r1, p, c2, r2, g, f
  expect(count(types, 'DequantizeLinear')).toBe(7 + 3 + 2); // and three weights, two biases
  expect(model.graph.outputs.map((v) => v.name)).toEqual(['logits']);
  expect(model.graph.nodes.map((n) => n.name)).toEqual(expect.arrayContaining(['c1', 'p', 'c2', 'a', 'g', 'f', 'logits']));
  expect(model.graph.initializers.filter((v) => v.dtype === 'float32' && v.name.startsWith('s')).length).toBeLessThan(7); // shared
  const decoded = decodeModel(bufferSource(modelBytes(model), 'quantised'));
  expect(checkModel(decoded)).toEqual([]);
  expect(operators(original)).toEqual([
    'Conv',
    'Relu',
    'MaxPool',
    'Conv',
    'Add',
    'Relu',
    'GlobalAveragePool',
    'Flatten',
    'Gemm',
  ]);
});

test('onnxruntime makes integer kernels of all of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-int8-'));
  try {
    const path = join(folder, 'optimised.onnx');
    const session = await openSession(modelBytes(quantised(residual()).model), {optimizedModelPath: path});
    await session.close();
    const types = operators(decodeModel(bufferSource(readFileSync(path), path)));
    expect(types.filter((t) => t === 'Conv' || t === 'Gemm' || t === 'Add' || t === 'GlobalAveragePool')).toEqual([]);
    expect([count(types, 'QLinearConv'), count(types, 'QLinearAdd'), count(types, 'QGemm')]).toEqual([2, 1, 1]);
  } finally {
    rmSync(folder, {recursive: true});
  }
});

test('the numbers are those of rounding by hand: float64 products of integers between quantise and dequantise', async () => {
  const original = residual();
  const {weightRange, level} = await exactRange();
  const {model, affine} = quantised(original, [], weightRange);
  const value = (name: string) => original.graph.value(name)!;
  const weight = (name: string) => {
    const {shape, data} = toFloat64(value(name).initializer!.read());
    const per = data.length / shape[0]!;
    const scale = (o: number) => Math.fround(Math.max(...data.slice(o * per, (o + 1) * per).map(Math.abs)) / level);
    return float64(
      shape,
      data.map((w, i) => Math.round(w / scale(Math.floor(i / per))) * scale(Math.floor(i / per))),
    );
  };
  const through = (name: string, x: Float64Array) =>
    x.map((v) => dequantise(quantise(v, affine.get(value(name))!), affine.get(value(name))!));
  const x = images(1);
  const c1 = convolve(
    float64([3, 8, 8], through('x', Float64Array.from(x))),
    weight('w1'),
    toFloat64(value('b1').initializer!.read()),
    {pad: 1},
  );
  const r1 = through('r1', c1.data);
  const p = new Float64Array(64).map((_, i) => {
    const at = Math.floor(i / 16) * 64 + Math.floor((i % 16) / 4) * 16 + (i % 4) * 2;
    return Math.max(r1[at]!, r1[at + 1]!, r1[at + 8]!, r1[at + 9]!);
  });
  const c2 = through('c2', convolve(float64([4, 4, 4], p), weight('w2'), undefined, {pad: 1, groups: 4}).data);
  const r2 = through(
    'r2',
    c2.map((v, i) => v + p[i]!),
  );
  const g = through(
    'g',
    new Float64Array(4).map((_, c) => r2.slice(c * 16, c * 16 + 16).reduce((a, b) => a + b, 0) / 16),
  );
  const w3 = weight('w3').data;
  const b3 = toFloat64(value('b3').initializer!.read()).data;
  const logits = b3.map((b, o) => b + g.reduce((n, v, i) => n + v * w3[o * 4 + i]!, 0));
  const step = affine.get(value('g'))!.scale;
  for (const optimize of ['disabled', 'all'] as const) {
    const actual = await run(model, x, {optimize});
    // A sum that lies on the edge between two levels may fall to either side; behind the pool that is a level of g times a weight.
    for (const [o, logit] of logits.entries())
      expect(Math.abs(actual[o]! - logit)).toBeLessThan(1.1 * step * Math.max(...w3.map(Math.abs)));
  }
});

test('layers can stay in float32, each alone and all', async () => {
  const original = residual();
  const x = images(4);
  const expected = await run(original, x, {});
  for (const excluded of [['c1'], ['c2'], ['a'], ['logits'], ['c1', 'c2', 'logits']]) {
    const {model} = quantised(original, excluded);
    expect(checkModel(model)).toEqual([]);
    for (const name of excluded) {
      const node = model.graph.nodes.find((n) => n.name === name)!;
      expect([name, node.inputs[1]?.producer?.opType]).toEqual([name, name === 'a' ? 'DequantizeLinear' : undefined]);
    }
    if (excluded.length === 3) {
      expect(operators(model)).toEqual(operators(original));
      expect(await run(model, x, {})).toEqual(expected);
    }
  }
});

test('a Clip is absorbed where the range ends inside its bounds, and stays where it does not; symmetric ranges keep the ReLU', () => {
  const clipped = (high: number) =>
    parseModel(`graph g (%x: f32[N, 3, 8, 8]) -> (%y)
    %w = f32[4, 3, 1, 1] ~1
    %c: f32[N, 4, 8, 8] = Conv(%x, %w) {kernel_shape = [1, 1]}
    %low = f32[] {0}
    %high = f32[] {${high}}
    %r: f32[N, 4, 8, 8] = Clip(%c, %low, %high)
    %y: f32[N, 4, 1, 1] = GlobalAveragePool(%r)`);
  const emit = (model: Model, scheme: 'asymmetric' | 'symmetric') => {
    const units = planUnits(model.graph);
    const selection = select(model.graph, units, new Set());
    const affine = new Map(
      [...selection.quantised].map((v) => [v, affineOf({low: v.name === 'x' ? -3 : 0, high: 6}, scheme)] as const),
    );
    return operators(emitQuantised(model, selection, {affine, biases: new Map()}));
  };
  expect(count(emit(clipped(6), 'asymmetric'), 'Clip')).toBe(0);
  expect(count(emit(clipped(5), 'asymmetric'), 'Clip')).toBe(1);
  expect(count(emit(clipped(6), 'symmetric'), 'Clip')).toBe(1);
});

test('names that the original has already are not taken', () => {
  const model = parseModel(`graph g (%x: f32[N, 3, 8, 8]) -> (%y)
    %x.q = f32[4, 3, 1, 1] ~1
    %x.dq: f32[N, 4, 8, 8] = Conv(%x, %x.q) {kernel_shape = [1, 1]}
    %y: f32[N, 4, 1, 1] = GlobalAveragePool(%x.dq)`);
  expect(checkModel(quantised(model).model)).toEqual([]);
});

test('an output of the graph is float32 under its own name, with its activation, even if integers are made of it too', async () => {
  const model = parseModel(`graph g (%x: f32[N, 3, 8, 8]) -> (%r, %y)
    %w1 = f32[4, 3, 1, 1] ~1
    %c: f32[N, 4, 8, 8] = Conv(%x, %w1) {kernel_shape = [1, 1]}
    %r: f32[N, 4, 8, 8] = Relu(%c)
    %w2 = f32[2, 4, 1, 1] ~2
    %y: f32[N, 2, 8, 8] = Conv(%r, %w2) {kernel_shape = [1, 1]}`);
  const {model: int8} = quantised(model);
  expect(checkModel(int8)).toEqual([]);
  expect(int8.graph.outputs.map((v) => v.name)).toEqual(['r', 'y']);
  expect(int8.graph.outputs.map((v) => v.producer!.opType)).toEqual(['Relu', 'Conv']);
  expect((await run(int8, images(1), {})).every((v) => v >= 0)).toBe(true);
});
