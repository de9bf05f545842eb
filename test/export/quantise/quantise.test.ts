import {argmax} from '../../../src/core/compare-outputs.js';
import {random} from '../../../src/core/random.js';
import {float32, type Tensor} from '../../../src/core/tensor.js';
import {affineOf} from '../../../src/export/quantise/affine.js';
import {correctBiases} from '../../../src/export/quantise/correct-biases.js';
import {emitQuantised} from '../../../src/export/quantise/emit.js';
import {type Batches, channelMeans, logitsOfBatches, observe} from '../../../src/export/quantise/observe.js';
import {planUnits, select} from '../../../src/export/quantise/plan.js';
import {type QuantiseOptions, quantiseModel} from '../../../src/export/quantise/quantise.js';
import {checkModel} from '../../../src/onnx/check.js';
import {modelBytes} from '../../../src/onnx/encode.js';
import type {Model} from '../../../src/onnx/graph.js';
import {parseModel} from '../../../src/onnx/parse-text.js';
import {printModel} from '../../../src/onnx/text.js';
import {exactRange} from './exact-range.js';

const images = (seed: string, count: number): Tensor<'float32'> => {
  const r = random(seed);
  return float32(
    [count, 3, 8, 8],
    Float32Array.from({length: count * 192}, () => r.normal()),
  );
};
/** In batches of uneven size. */
const batchesOf = ({shape, data}: Tensor<'float32'>): Batches =>
  async function* () {
    for (let at = 0; at < shape[0]!; at += 13) {
      const n = Math.min(13, shape[0]! - at);
      yield float32([n, 3, 8, 8], data.slice(at * 192, (at + n) * 192));
    }
  };

/** A depthwise network; the channels before the depthwise layer differ by `spread`, which one scale for all cannot serve. */
function depthwise(spread: number): Model {
  const model = parseModel(`model opset 20, ir 9, producer "test" "0"
  graph g (%input: f32[N, 3, 8, 8]) -> (%logits)
    %w1 = f32[16, 3, 3, 3] ~1
    %b1 = f32[16] ~2
    %c1: f32[N, 16, 8, 8] = Conv(%input, %w1, %b1) {pads = [1, 1, 1, 1], kernel_shape = [3, 3]}
    %r1: f32[N, 16, 8, 8] = Relu(%c1)
    %w2 = f32[16, 1, 3, 3] ~3
    %b2 = f32[16] ~4
    %c2: f32[N, 16, 8, 8] = Conv(%r1, %w2, %b2) {pads = [1, 1, 1, 1], kernel_shape = [3, 3], group = 16}
    %r2: f32[N, 16, 8, 8] = Relu(%c2)
    %w3 = f32[32, 16, 1, 1] ~5
    %c3: f32[N, 32, 8, 8] = Conv(%r2, %w3) {kernel_shape = [1, 1]}
    %r3: f32[N, 32, 8, 8] = Relu(%c3)
    %g: f32[N, 32, 1, 1] = GlobalAveragePool(%r3)
    %f: f32[N, 32] = Flatten(%g)
    %w4 = f32[10, 32] ~6
    %b4 = f32[10] ~7
    %logits: f32[N, 10] = Gemm(%f, %w4, %b4) {transB = 1}`);
  const factor = (c: number) => spread ** ((c % 4) / 3);
  const scale = (name: string, perChannel: number, f: (c: number) => number) => {
    const value = model.graph.value(name)!;
    const {shape, data} = value.initializer!.read();
    const scaled = Float32Array.from(data as Float32Array, (v, i) => v * f(Math.floor(i / perChannel)));
    const constant = model.graph.initializer(`${name}.scaled`, float32(shape, scaled));
    model.graph.replaceUses(value, constant);
    model.graph.takeName(constant, value);
  };
  scale('w1', 27, factor);
  scale('b1', 1, factor);
  scale('w2', 9, (c) => 1 / factor(c));
  scale('w4', 32, () => 0.1); // moderate logits: saturated ones would not move
  scale('b4', 1, () => 0);
  model.graph.prune();
  return model;
}

/** How often a model answers as the float32 network does: labels that it gets right to 100 %. */
async function checker(model: Model): Promise<NonNullable<QuantiseOptions['check']>> {
  const batches = batchesOf(images('check', 200));
  const answers = async (m: Model) => {
    const {data, classes} = await logitsOfBatches(m, batches);
    return Array.from({length: data.length / classes}, (_, i) => argmax(data.subarray(i * classes, (i + 1) * classes)));
  };
  const labels = await answers(model);
  return async (candidate) => {
    const given = await answers(candidate);
    return (100 * given.filter((a, i) => a === labels[i]).length) / labels.length;
  };
}

const calibration = batchesOf(images('calibration', 64));

test('distributions and means do not depend on how the images come', async () => {
  const model = depthwise(10);
  const all = images('calibration', 64);
  const values = ['input', 'r1', 'g'].map((name) => model.graph.value(name)!);
  const once = async function* () {
    yield all;
  };
  const [a, b] = [await observe(model, values, calibration), await observe(model, values, once)];
  for (const v of values) expect(a.get(v)).toEqual(b.get(v));
  const [means, meansOnce] = [
    await channelMeans(model, ['c2', 'logits'], calibration),
    await channelMeans(model, ['c2', 'logits'], once),
  ];
  for (const [name, mean] of means) for (const [c, m] of mean.entries()) expect(m).toBeCloseTo(meansOnce.get(name)![c]!, 3);
});

test('a corrected bias puts the mean of each channel back', async () => {
  const model = depthwise(1);
  const units = planUnits(model.graph);
  const selection = select(model.graph, units, new Set());
  const histograms = await observe(model, [...selection.quantised], calibration);
  const affine = new Map(
    [...histograms].map(([v, {min, max}]) => [v, affineOf({low: min / 2, high: max / 2}, 'asymmetric')] as const),
  );
  const biases = await correctBiases(model, selection, {affine}, calibration);
  const error = async (corrected: typeof biases) => {
    const quantised = emitQuantised(model, selection, {affine, biases: corrected});
    const [want, have] = [await channelMeans(model, ['c1'], calibration), await channelMeans(quantised, ['c1'], calibration)];
    return want.get('c1')!.reduce((n, m, c) => Math.max(n, Math.abs(m - have.get('c1')![c]!)), 0);
  };
  const [before, after] = [await error(new Map()), await error(biases)];
  expect(after).toBeLessThan(1e-3); // the rounding of a bias, and sums in float32
  expect(before).toBeGreaterThan(20 * after); // the ranges cut half of each side off
});

test('a network in which one scale serves nobody: equalised, it answers as in float32', async () => {
  const model = depthwise(50);
  const {weightRange} = await exactRange();
  const text = printModel(model);
  const check = await checker(model);
  const {model: int8, report} = await quantiseModel(model, {calibration, check, maxDrop: 3, weightRange});
  expect(printModel(model)).toBe(text);
  expect(checkModel(int8)).toEqual([]);
  expect(report.equalised).toBe(2);
  expect(report.accuracy).toMatchObject({float32: 100, ok: true});
  expect(report.accuracy!.int8).toBe(await check(int8));
  expect(report.images).toBe(64);
  expect(report.inFloat32).toEqual([]);
  const tried = (pattern: RegExp) => report.steps.filter((s) => pattern.test(s.tried)).map((s) => s.divergence);
  expect(tried(/ranges by/)).toHaveLength(4);
  expect(Math.min(...tried(/equalised/))).toBeLessThan(0.2 * Math.min(...tried(/ranges by/)));
  expect(report.agreement.divergence).toBe(Math.min(...report.steps.map((s) => s.divergence)));
});

test('the same images, the same bytes', async () => {
  const run = async () => modelBytes((await quantiseModel(depthwise(30), {calibration, method: 'mse'})).model);
  expect(Buffer.compare(await run(), await run())).toBe(0);
});

test('a gate that integers cannot meet: layers stay in float32 until it is met, and the report shows the way', async () => {
  const model = depthwise(1);
  const float = await checker(model);
  /** Answers right only with c3 in float32. */
  const check = async (candidate: Model) => {
    const c3 = candidate.graph.nodes.find((n) => n.name === 'c3')!;
    return c3.inputs[1]!.initializer ? float(candidate) : 0;
  };
  const {model: mixed, report} = await quantiseModel(model, {calibration, check, maxDrop: 5, method: 'minmax'});
  expect(report.inFloat32).toContain('c3');
  expect(report.accuracy!.ok).toBe(true);
  expect(report.accuracy!.int8).toBe(await check(mixed));
  expect(report.sensitivities.map((s) => s.name).sort()).toEqual(['c1', 'c2', 'c3', 'logits']);
  expect(report.sensitivities[0]).toMatchObject({macs: expect.any(Number), operator: expect.any(String)});
  expect(report.steps.filter((s) => s.drop !== undefined && s.drop > 5).length).toBeGreaterThan(0);
  expect(checkModel(mixed)).toEqual([]);
});

test('a gate that nothing can meet is not met, and the model that comes closest is given', async () => {
  let calls = 0;
  const check = async () => (calls++ === 0 ? 100 : 50);
  const {report} = await quantiseModel(depthwise(1), {calibration, check, maxDrop: 5, method: 'minmax'});
  expect(report.accuracy).toMatchObject({float32: 100, int8: 50, drop: 50, ok: false});
});

test('operators without integer kernels, and what rearranges their results, stay in float32 between integers', async () => {
  const model = parseModel(`model opset 20, ir 9, producer "test" "0"
  graph g (%input: f32[N, 3, 8, 8]) -> (%logits)
    %w1 = f32[16, 3, 3, 3] ~1
    %c: f32[N, 16, 8, 8] = Conv(%input, %w1) {pads = [1, 1, 1, 1], kernel_shape = [3, 3]}
    %shape = i64[3] {0, 16, 64}
    %r: f32[N, 16, 64] = Reshape(%c, %shape)
    %t: f32[N, 64, 16] = Transpose(%r) {perm = [0, 2, 1]}
    %gamma = f32[16] ~+2
    %n: f32[N, 64, 16] = LayerNormalization(%t, %gamma)
    %u: f32[N, 16, 64] = Transpose(%n) {perm = [0, 2, 1]}
    %v: f32[N, 64, 16] = Transpose(%u) {perm = [0, 2, 1]}
    %w2 = f32[16, 16] ~3
    %m: f32[N, 64, 16] = MatMul(%v, %w2)
    %h: f32[N, 64, 16] = Gelu(%m)
    %flat: f32[N, 1024] = Flatten(%h)
    %w3 = f32[1024, 10] ~4
    %logits: f32[N, 10] = Gemm(%flat, %w3)`);
  const {model: int8, report} = await quantiseModel(model, {calibration});
  expect(checkModel(int8)).toEqual([]);
  expect(report.quantised).toBeGreaterThanOrEqual(5); // three products, and what rearranges their integers
  expect(report.agreement.sameTop1).toBeGreaterThan(90);
});

test('no images, and activations that are no numbers, are refused', async () => {
  const none = async function* () {};
  await expect(quantiseModel(depthwise(1), {calibration: none})).rejects.toMatchObject({code: 'EXPORT_REFUSED'});
  const infinite = images('infinite', 2);
  infinite.data[5] = Number.POSITIVE_INFINITY;
  const refused = quantiseModel(depthwise(1), {calibration: batchesOf(infinite)});
  await expect(refused).rejects.toMatchObject({code: 'EXPORT_REFUSED', at: 'input'});
});
