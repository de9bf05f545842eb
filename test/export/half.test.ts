/** float16: what does not fit is found, kept and named; what fits computes the same to eleven bits. */
import fc from 'fast-check';
import {buildModel} from '../../src/convert/build.js';
import {halfToNumber, numberToHalf} from '../../src/core/half.js';
import {fillUniform} from '../../src/core/random.js';
import {byteLength, float32, type Tensor, tensor, toFloat32} from '../../src/core/tensor.js';
import {emulateHalf} from '../../src/export/half/emulate.js';
import {half} from '../../src/export/half/half.js';
import {measureRanges} from '../../src/export/half/measure.js';
import {MAX_HALF, nearestHalf, valueRangeOf} from '../../src/export/half/range.js';
import {toHalf} from '../../src/export/half/to-half.js';
import type {Calibration} from '../../src/export/precision.js';
import {assertValid} from '../../src/onnx/check.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {Graph, type Model} from '../../src/onnx/graph.js';
import {openSession} from '../../src/onnx/session.js';
import {fixtureCases} from '../cases.js';
import {expectLogits} from '../close.js';
import {tinyNetwork} from '../eval/networks.js';

const SIDE = 8;
function noise(count: number, side: number, seed = 'images'): Tensor<'float32'> {
  const data = new Float32Array(count * 3 * side * side);
  fillUniform(data, seed, -1.7, 1.7);
  return float32([count, 3, side, side], data);
}
const calibrationOf = (side: number): Calibration => ({
  description: '4 random images',
  real: false,
  seen: {images: 16, distinct: 16, classes: undefined},
  async *batches() {
    yield noise(2, side, 'first');
    yield noise(2, side, 'second');
  },
});

async function logitsOf(model: Model, images: Tensor): Promise<Float32Array> {
  const session = await openSession(modelBytes(model), {optimize: 'disabled'});
  const results = await session.run(new Map([[model.graph.inputs[0]!.name, images]]));
  await session.close();
  return toFloat32([...results.values()][0]!).data;
}

test('a model of opset 9, whose Clip takes no bounds, is measured', async () => {
  const ranges = await measureRanges({...tinyNetwork({side: SIDE}), opset: 9, irVersion: 4}, calibrationOf(SIDE));
  const newer = await measureRanges(tinyNetwork({side: SIDE}), calibrationOf(SIDE));
  expect(ranges.get('logits')).toEqual(newer.get('logits'));
});

/** The middle of the tiny network computes in other units: its first kernel times `factor`, its last by it. ReLU does not mind. */
function rescaled(factor: number): Model {
  const model = tinyNetwork({side: SIDE});
  const {graph} = model;
  const scale = (name: string, by: number) => {
    const value = graph.value(name)!;
    const {shape, data} = toFloat32(value.initializer!.read());
    const scaled = graph.initializer(
      `${name}.scaled`,
      float32(
        shape,
        data.map((v) => v * by),
      ),
    );
    graph.replaceUses(value, scaled);
  };
  scale('conv1.weight', factor);
  scale('conv1.bias', factor);
  scale('conv2.weight', 1 / factor);
  graph.prune();
  return model;
}

describe('numbers', () => {
  const anyHalf = fc.tuple(fc.double({min: -1, max: 1, noNaN: true}), fc.integer({min: -30, max: 15}));

  test('the nearest float16 is that of the conversion of bits', () => {
    fc.assert(
      fc.property(anyHalf, ([mantissa, exponent]) => {
        const x = Math.fround(mantissa * 2 ** exponent);
        expect(nearestHalf(x) + 0).toBe(halfToNumber(numberToHalf(x)) + 0);
      }),
    );
  });

  test('a tensor of subnormals loses most of its bits, one of normal numbers eleven are left', () => {
    const values = [0.3, -0.7, 0.001, 0.9];
    expect(valueRangeOf(values).rounding).toBeLessThan(2 ** -11);
    expect(valueRangeOf(values.map((v) => v * 2 ** -22)).rounding).toBeGreaterThan(2 ** -5);
    expect(valueRangeOf([0, 0])).toEqual({maxAbs: 0, rounding: 0});
    expect(valueRangeOf([1, Number.NaN]).maxAbs).toBeNaN();
  });
});

test('ranges are those of every value between the nodes, over all batches', async () => {
  const model = tinyNetwork({side: SIDE});
  const ranges = await measureRanges(model, calibrationOf(SIDE));
  expect([...ranges.keys()]).toEqual(['input', 'conv1', 'relu1', 'conv2', 'relu2', 'pool', 'flat', 'logits']);
  const images = [noise(2, SIDE, 'first'), noise(2, SIDE, 'second')];
  const all = (await Promise.all(images.map((batch) => logitsOf(model, batch)))).flatMap((logits) => [...logits]);
  expect(ranges.get('logits')!.maxAbs).toBeCloseTo(valueRangeOf(all).maxAbs, 6);
  expect(ranges.get('logits')!.rounding).toBeCloseTo(valueRangeOf(all).rounding, 5);
});

test.each([
  ['overflow', 2e5],
  ['underflow', 1e-7],
] as const)(
  '%s: the nodes around the values stay in float32, with two casts between, and the logits stay',
  async (why, factor) => {
    const model = rescaled(factor);
    const images = noise(3, SIDE);
    const {model: made, notes, details} = await half.make(model, {calibration: calibrationOf(SIDE), io: 'float16', int8: {}});
    assertValid(made, 'fp16');
    const kept = (details as {kept: {node: string; because: {why: string}}[]}).kept;
    expect(kept.map(({node}) => node)).toEqual(['conv1', 'relu1', 'conv2']);
    expect(new Set(kept.map(({because}) => because.why))).toContain(why);
    expect(notes[0]).toBe('3 nodes stay in float32, as measured on 4 random images');
    expect(made.graph.nodes.map(({opType}) => opType)).toEqual([
      ...['Cast', 'Conv', 'Relu', 'Conv', 'Cast', 'Relu', 'GlobalAveragePool', 'Flatten', 'Gemm'],
    ]);
    const fed = tensor('float16', images.shape, Uint16Array.from(images.data, numberToHalf));
    expectLogits(await logitsOf(made, fed), await logitsOf(model, images), 0.005, 'float16 keeps 11 bits, a few layers deep');
  },
);

test('without the ranges the network is lost, which only the emulation shows on a CPU', async () => {
  const overflowing = rescaled(3e4); // constants fit, their products do not
  const images = noise(1, SIDE);
  const naive = toHalf(overflowing, new Map(), 'float32');
  expect(naive.kept).toEqual([]);
  expect((await logitsOf(emulateHalf(naive.model), images)).every(Number.isFinite)).toBe(false);
  const {model, kept} = toHalf(overflowing, await measureRanges(overflowing, calibrationOf(SIDE)), 'float32');
  expect(kept.map(({node}) => node)).toEqual(['conv1', 'relu1', 'conv2']);
  const emulated = await logitsOf(emulateHalf(model), images);
  expectLogits(emulated, await logitsOf(overflowing, images), 0.005, 'float16 keeps 11 bits, a few layers deep');
});

test('the emulation rounds what every node gives, and nothing else', async () => {
  const {model} = toHalf(tinyNetwork({side: SIDE}), new Map(), 'float16');
  const emulated = emulateHalf(model);
  assertValid(emulated, 'emulated');
  expect(emulated.graph.inputs[0]!.dtype).toBe('float32');
  const logits = await logitsOf(emulated, noise(2, SIDE));
  expect([...logits]).toEqual([...logits].map(nearestHalf));
  const exact = await logitsOf(tinyNetwork({side: SIDE}), noise(2, SIDE));
  expect([...logits]).not.toEqual([...exact]);
  expectLogits(logits, exact, 0.005, 'float16 keeps 11 bits, a few layers deep');
});

test('logits that are asked for in float32 are not rounded on the way; the weights behind them are half the bytes all the same', () => {
  const network = tinyNetwork({side: SIDE, classes: 400}); // 3,200 weights are worth a cast, 400 biases are not
  const {model} = toHalf(network, new Map(), 'float32');
  assertValid(model, 'fp16');
  const [logits] = model.graph.outputs;
  expect(logits!.producer!.opType).toBe('Gemm');
  expect(logits!.producer!.inputs.map((v) => `${v!.dtype} ${v!.producer?.opType ?? 'constant'}`)).toEqual([
    ...['float32 Cast', 'float32 Cast', 'float32 constant'],
  ]);
  expect(model.graph.value('fc.weight')!.dtype).toBe('float16');
});

test('what a convolution is taken to have is left out, and names that say the same twice; all else stays', () => {
  const graph = new Graph('names');
  const x = graph.input('input', 'float32', [1, 4, 9, 9]);
  const filter = (name: string, inputs: number) =>
    graph.initializer(name, float32([4, inputs, 3, 3], new Float32Array(36 * inputs)));
  const conv = (from: typeof x, name: string, inputs: number, strides: number[], pads: number[], group: number) =>
    graph.op('Conv', [from, filter(`${name}.weight`, inputs)], {kernel_shape: [3, 3], strides, pads, group}, {name});
  const first = conv(x, 'first', 4, [1, 1], [0, 0, 0, 0], 1);
  const second = conv(first, 'second', 1, [2, 2], [1, 0, 0, 1], 4);
  graph.rename(second, 'norm'); // what was folded into it
  graph.outputs = [graph.op('Relu', [graph.op('Relu', [second], {}, {name: 'relu'})], {}, {name: 'out'})];
  const {model} = toHalf({...tinyNetwork(), graph}, new Map(), 'float16');
  assertValid(model, 'fp16');
  const nodes = model.graph.nodes.map(({name, attributes, output}) => [
    ...[name, output.name, Object.fromEntries([...attributes].map(([key, {value}]) => [key, value]))],
  ]);
  expect(nodes).toEqual([
    ['first', '0', {}],
    ['second', 'norm', {strides: [2, 2], pads: [1, 0, 0, 1], group: 4}],
    ['relu', '1', {}],
    ['out', 'out', {}],
  ]);
  expect(model.graph.initializers.map(({name}) => name)).toEqual(['first.weight', 'second.weight']);
  expect([...model.graph.outputs[0]!.shape!]).toEqual([1, 4, 3, 3]);
});

test('a value that a constant brings about is kept with it: an epsilon below float16', () => {
  const graph = new Graph('eps');
  const x = graph.input('input', 'float32', [1, 4]);
  const eps = graph.initializer('eps', float32([], [1e-9]));
  graph.outputs = [graph.op('Relu', [graph.op('Add', [x, eps], {}, {name: 'add'})], {}, {name: 'out'})];
  const model: Model = {...tinyNetwork(), graph};
  const {kept, casts} = toHalf(model, new Map(), 'float16');
  expect(kept).toMatchObject([{node: 'add', because: {value: 'eps', why: 'underflow'}}]);
  expect(casts).toBe(2);
});

test.each(fixtureCases.filter(([name]) => name.includes('weights')))(
  '%s: half the bytes, logits within the bound',
  async (_, open) => {
    const {recognise, images} = open();
    const {model} = await buildModel(recognise(), 'student', {opset: 20});
    const calibration = calibrationOf(images.shape[2]!);
    const {model: made} = await half.make(model, {calibration, io: 'float32', int8: {}});
    assertValid(made, 'fp16');
    const weights = (m: Model) => m.graph.initializers.reduce((n, v) => n + byteLength(v.initializer!), 0);
    expect(weights(made)).toBeLessThan(weights(model) / 2 + 2048); // 2048: integers, shared by both
    const inputs = toFloat32(images);
    const {relative, because} = half.bound!;
    expectLogits(await logitsOf(emulateHalf(made), inputs), await logitsOf(model, inputs), relative, because);
  },
);

test('a graph whose types are not known, or that is quantised, is refused', () => {
  const withNode = (opType: string): Model => {
    const graph = new Graph('foreign');
    graph.outputs = [graph.op(opType, [graph.input('input', 'float32', [1])], {}, {name: 'odd'})];
    return {...tinyNetwork(), graph};
  };
  for (const opType of ['NonZero', 'DynamicQuantizeLinear'])
    expect(() => toHalf(withNode(opType), new Map(), 'float32')).toThrow(
      expect.objectContaining({code: 'EXPORT_REFUSED', at: 'odd'}),
    );
  expect(MAX_HALF).toBe(halfToNumber(0x7bff));
});
