import {type Random, random} from '../../../src/core/random.js';
import {elementCount, float32, float64, type Tensor, toFloat64} from '../../../src/core/tensor.js';
import {
  columnMaxima,
  equalise,
  equalisingFactors,
  inputChannelOf,
  layerPairs,
  rescale,
} from '../../../src/export/quantise/equalise.js';
import {channelPeaks} from '../../../src/export/quantise/observe.js';
import {planUnits} from '../../../src/export/quantise/plan.js';
import {checkModel} from '../../../src/onnx/check.js';
import type {Model, Value} from '../../../src/onnx/graph.js';
import {parseModel} from '../../../src/onnx/parse-text.js';
import {evaluate} from '../../onnx/same-function.js';
import {convolve, type T} from '../../reparam/naive.js';

/** Pointwise, depthwise, grouped and dense layers in turn, as MobileNet and RepVGG-like networks chain them. */
const chain = (r: Random) => {
  const groups = 2;
  const [a, b] = [2 * (1 + r.integer(3)), 2 * (1 + r.integer(3))];
  return `model opset 17, ir 8, producer "test" "0"
  graph g (%x: f32[N, 3, 6, 6]) -> (%y)
    %w1 = f32[${a}, 3, 1, 1] ~${r.integer(1000)}
    %b1 = f32[${a}] ~${r.integer(1000)}
    %c1: f32[N, ${a}, 6, 6] = Conv(%x, %w1, %b1) {kernel_shape = [1, 1]}
    %r1: f32[N, ${a}, 6, 6] = Relu(%c1)
    %w2 = f32[${a}, 1, 3, 3] ~${r.integer(1000)}
    %b2 = f32[${a}] ~${r.integer(1000)}
    %c2: f32[N, ${a}, 6, 6] = Conv(%r1, %w2, %b2) {kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = ${a}}
    %r2: f32[N, ${a}, 6, 6] = Relu(%c2)
    %w3 = f32[${b}, ${a / groups}, 3, 3] ~${r.integer(1000)}
    %c3: f32[N, ${b}, 6, 6] = Conv(%r2, %w3) {kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = ${groups}}
    %w4 = f32[5, ${b}, 1, 1] ~${r.integer(1000)}
    %b4 = f32[5] ~${r.integer(1000)}
    %y: f32[N, 5, 6, 6] = Conv(%c3, %w4, %b4) {kernel_shape = [1, 1]}`;
};

const numbersOf = (v: Value): T => toFloat64(v.initializer!.read());
/** What the chain computes, in float64, with some of its constants replaced. */
function compute({graph}: Model, x: T, replaced: ReadonlyMap<Value, Tensor<'float64'>>): T {
  const values = new Map<Value, T>([[graph.inputs[0]!, x]]);
  for (const node of graph.nodes) {
    const input = values.get(node.inputs[0]!)!;
    if (node.opType === 'Relu')
      values.set(
        node.output,
        float64(
          input.shape,
          input.data.map((v) => Math.max(0, v)),
        ),
      );
    else {
      const [weight, bias] = node.inputs.slice(1).map((v) => v && (replaced.get(v) ?? numbersOf(v)));
      const sliding = {pad: node.numbers('pads')[0] ?? 0, groups: node.number('group', 1)};
      values.set(node.output, convolve(input, weight!, bias, sliding));
    }
  }
  return values.get(graph.outputs[0]!)!;
}

test('rescaled layers compute the same: 1e-12 in float64, for any positive factors', () => {
  for (let seed = 0; seed < 25; seed++) {
    const r = random(`equalise/${seed}`);
    const model = parseModel(chain(r));
    const pairs = layerPairs(model.graph);
    expect(pairs.map(({first, second}) => [first.node.name, second.node.name])).toEqual([
      ['c1', 'c2'],
      ['c2', 'c3'],
      ['c3', 'y'],
    ]);
    const changed = new Map<Value, Tensor<'float64'>>();
    for (const pair of pairs) {
      const channels = pair.first.weight!.value.initializer.shape[0]!;
      const factors = Float64Array.from({length: channels}, () => 10 ** (r.uniform() * 8 - 4));
      for (const [v, t] of rescale(pair, (v) => changed.get(v) ?? numbersOf(v), factors)) changed.set(v, t);
    }
    const x = float64(
      [3, 6, 6],
      Float64Array.from({length: 108}, () => r.normal()),
    );
    const [before, after] = [compute(model, x, new Map()), compute(model, x, changed)];
    const largest = before.data.reduce((n, v) => Math.max(n, Math.abs(v)), 0);
    for (const [i, v] of before.data.entries()) expect(Math.abs(after.data[i]! - v)).toBeLessThan(1e-12 * largest);
  }
});

test('a layer that is read twice, a Clip, or an output of the graph is left alone', () => {
  const text = (activation: string, rest: string, outputs = '%y') => `graph g (%x: f32[N, 3, 6, 6]) -> (${outputs})
    %w1 = f32[4, 3, 1, 1] ~1
    %low = f32[] {0}
    %high = f32[] {6}
    %c1: f32[N, 4, 6, 6] = Conv(%x, %w1) {kernel_shape = [1, 1]}
    %r1: f32[N, 4, 6, 6] = ${activation}
    %w2 = f32[4, 4, 1, 1] ~2
    %c2: f32[N, 4, 6, 6] = Conv(%r1, %w2) {kernel_shape = [1, 1]}
    %y: f32[N, 4, 6, 6] = ${rest}`;
  const pairs = (...parts: Parameters<typeof text>) => layerPairs(parseModel(text(...parts)).graph).length;
  expect(pairs('Relu(%c1)', 'Relu(%c2)')).toBe(1);
  expect(pairs('Clip(%c1, %low, %high)', 'Relu(%c2)')).toBe(0);
  expect(pairs('Relu(%c1)', 'Add(%c2, %r1)')).toBe(0);
  expect(pairs('Relu(%c1)', 'Add(%c2, %c1)')).toBe(0);
  expect(pairs('Relu(%c1)', 'Relu(%c2)', '%y, %r1')).toBe(0);
});

test('the input channel of a weight is the one that its definition says', () => {
  const model = parseModel(`graph g (%x: f32[N, 6, 3, 3]) -> (%y)
    %w = f32[4, 3, 2, 2] ~1
    %y: f32[N, 4, 2, 2] = Conv(%x, %w) {kernel_shape = [2, 2], group = 2}`);
  const channelOf = inputChannelOf(planUnits(model.graph)[0]!);
  let at = 0;
  for (let o = 0; o < 4; o++)
    for (let i = 0; i < 3; i++) for (let k = 0; k < 4; k++) expect(channelOf(at++)).toBe(Math.floor(o / 2) * 3 + i);
});

/** Every other channel of the first layer is ten times smaller. */
function unevenChain(r: Random): Model {
  const model = parseModel(chain(r));
  for (const [name, per] of [
    ['w1', 3],
    ['b1', 1],
  ] as const) {
    const value = model.graph.value(name)!;
    const {shape, data} = numbersOf(value);
    const spread = data.map((v, i) => v * 10 ** -(Math.floor(i / per) % 2));
    model.graph.replaceUses(value, model.graph.initializer('uneven', float32(shape, spread)));
  }
  model.graph.prune();
  return model;
}

test('equalising a network: the same logits, alike channels before a depthwise layer, a valid graph', async () => {
  let lifted = 0;
  for (let seed = 0; seed < 4; seed++) {
    const r = random(`network/${seed}`);
    const model = unevenChain(r);
    const images = float32(
      [4, 3, 6, 6],
      Float32Array.from({length: elementCount([4, 3, 6, 6])}, () => r.normal()),
    );
    const batches = async function* () {
      yield images;
    };
    const peaksOf = async () => (await channelPeaks(model, ['r1'], batches)).get('r1')!;
    const [before, peaksBefore] = [(await evaluate(model))[0]!, await peaksOf()];
    expect(await equalise(model, batches)).toBe(3);
    expect(checkModel(model)).toEqual([]);
    const [after, peaks] = [(await evaluate(model))[0]!, await peaksOf()];
    const largest = before.reduce((n, v) => Math.max(n, Math.abs(v)), 0);
    for (const [i, v] of before.entries()) expect(Math.abs(after[i]! - v)).toBeLessThan(2e-6 * largest); // float32 sums of 30 products
    const top = Math.max(...peaksBefore);
    for (const [c, peak] of peaksBefore.entries()) {
      if (peak < top / 64) continue; // hardly ever fires: lifted, but not as far
      expect(peaks[c]).toBeCloseTo(top, 4);
      if (peak < top / 3) lifted++;
    }
  }
  expect(lifted).toBeGreaterThan(3);
});

test('factors: a dead channel is not blown up, weights share the load where the next layer has one scale a row', () => {
  const peaks = Float64Array.of(8, 2, 0, 1e-9);
  expect([...equalisingFactors(peaks, new Float64Array(4).fill(1), true)]).toEqual([1, 0.25, 1 / 64, 1 / 64]);
  expect([...equalisingFactors(peaks, Float64Array.of(1, 0.25, 1, 1), false)]).toEqual([1, 1, 1 / 8, 1 / 8]);
  expect([...equalisingFactors(new Float64Array(3), new Float64Array(3), false)]).toEqual([1, 1, 1]);
  const model = parseModel(chain(random(3)));
  const [, pair] = layerPairs(model.graph);
  const columns = columnMaxima(pair!.second, numbersOf(pair!.second.weight!.value));
  expect(columns.every((c) => c > 0 && c <= 1)).toBe(true);
});
