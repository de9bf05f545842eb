import {random} from '../../../src/core/random.js';
import {float32, float64, tensor} from '../../../src/core/tensor.js';
import {
  affineOf,
  dequantise,
  intervalOf,
  levels,
  type QuantParameters,
  quantise,
  quantiseBias,
  quantiseWeight,
  roundHalfEven,
} from '../../../src/export/quantise/affine.js';
import {modelBytes} from '../../../src/onnx/encode.js';
import {parseModel} from '../../../src/onnx/parse-text.js';
import {openSession} from '../../../src/onnx/session.js';

const hostileRange = (seed: number) => {
  const r = random(seed);
  const scale = 10 ** (r.uniform() * 12 - 8);
  const [low, high] = [r.normal() * scale, r.normal() * scale].sort((a, b) => a - b) as [number, number];
  return r.integer(10) === 0 ? {low: 0, high: 0} : {low, high};
};

test('halves round to even', () => {
  expect([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4, 2.6, -2.6].map(roundHalfEven)).toEqual([-2, -2, 0, 0, 2, 2, 2, 3, -3]);
});

test('zero is a level, the ends of the range are at most half a level away, and integers come back', () => {
  for (let seed = 0; seed < 300; seed++) {
    const range = hostileRange(seed);
    for (const scheme of ['asymmetric', 'symmetric'] as const) {
      const affine = affineOf(range, scheme);
      const {low, high} = levels[affine.dtype];
      expect(dequantise(quantise(0, affine), affine)).toBe(0);
      expect(quantise(Number.POSITIVE_INFINITY, affine)).toBe(high);
      expect(quantise(Number.NEGATIVE_INFINITY, affine)).toBe(low);
      for (let q = low; q <= high; q += 5) expect(quantise(dequantise(q, affine), affine)).toBe(q);
      const covered = intervalOf(affine);
      const reach = affine.scale * (scheme === 'symmetric' ? 1.001 : 0.501); // float32 scale, rounded zero point
      expect(covered.low).toBeLessThanOrEqual(Math.min(0, range.low) + reach);
      expect(covered.high).toBeGreaterThanOrEqual(Math.max(0, range.high) - reach);
    }
  }
});

test('onnxruntime gives the same integers and numbers, bit for bit, halves and infinities included', async () => {
  for (let seed = 0; seed < 6; seed++) {
    const affine = affineOf(hostileRange(seed), seed % 2 ? 'symmetric' : 'asymmetric');
    const type = affine.dtype === 'uint8' ? 'u8' : 'i8';
    const model = parseModel(`graph g (%x: f32[4096]) -> (%q, %y)
      %s = f32[] {${affine.scale}}
      %z = ${type}[] {${affine.zeroPoint}}
      %q: ${type}[4096] = QuantizeLinear(%x, %s, %z)
      %y: f32[4096] = DequantizeLinear(%q, %s, %z)`);
    const r = random(seed);
    const special = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5 * affine.scale, 1.5 * affine.scale];
    const x = Float32Array.from({length: 4096}, (_, i) => special[i] ?? r.normal() * affine.scale * 10 ** (r.uniform() * 4));
    const session = await openSession(modelBytes(model), {optimize: 'disabled'});
    const results = await session.run(new Map([['x', float32([4096], x)]]));
    await session.close();
    const expected = Array.from(x, (v) => quantise(v, affine));
    expect(Array.from(results.get('q')!.data as Uint8Array)).toEqual(expected);
    expect(Array.from(results.get('y')!.data as Float32Array)).toEqual(expected.map((q) => dequantise(q, affine)));
  }
});

test('weights: one scale a channel, every number within half a level of it, the largest at ±127', () => {
  for (let seed = 0; seed < 40; seed++) {
    const r = random(`weights/${seed}`);
    const shape = [1 + r.integer(5), 1 + r.integer(4), 1 + r.integer(3)];
    const axis = r.integer(3);
    const sizes = Array.from({length: shape[axis]!}, () => 10 ** (r.uniform() * 10 - 6));
    const channelOf = (i: number) =>
      [Math.floor(i / (shape[1]! * shape[2]!)), Math.floor(i / shape[2]!) % shape[1]!, i % shape[2]!][axis]!;
    const weight = float64(
      shape,
      Float64Array.from({length: shape[0]! * shape[1]! * shape[2]!}, (_, i) => Math.fround(r.normal() * sizes[channelOf(i)]!)),
    );
    const {values, scales} = quantiseWeight(weight, axis, {inputScale: 1});
    for (const [c, scale] of scales.data.entries()) {
      const own = [...weight.data.keys()].filter((i) => channelOf(i) === c);
      expect(Math.max(...own.map((i) => Math.abs(values.data[i]!)))).toBe(127);
      for (const i of own) expect(Math.abs(values.data[i]! * scale - weight.data[i]!)).toBeLessThanOrEqual(0.50001 * scale);
    }
  }
});

test('a channel of zeros, or of hardly anything, with a large bias: the bias fits into int32 and comes back', () => {
  const weight = float32([3, 2], [0, 0, 1e-30, -1e-30, 1, -0.5]);
  const bias = [4, -1e6, 0.25];
  const inputScale = 1e-4;
  const {scales} = quantiseWeight(weight, 0, {inputScale, bias});
  const stored = quantiseBias(bias, inputScale, scales.data);
  for (const [c, b] of bias.entries()) {
    expect(Math.abs(stored.values.data[c]!)).toBeLessThan(2 ** 31 - 1);
    expect(Math.abs(stored.values.data[c]! * stored.scales.data[c]! - b)).toBeLessThanOrEqual(0.51 * stored.scales.data[c]!);
  }
});

test('what a symmetric and an asymmetric range are', () => {
  const expected: [QuantParameters, ReturnType<typeof affineOf>][] = [
    [{dtype: 'uint8', scale: 1, zeroPoint: 0}, affineOf({low: 0, high: 255}, 'asymmetric')],
    [{dtype: 'uint8', scale: 1, zeroPoint: 55}, affineOf({low: -55, high: 200}, 'asymmetric')],
    [{dtype: 'int8', scale: 2, zeroPoint: 0}, affineOf({low: -254, high: 3}, 'symmetric')],
    [{dtype: 'uint8', scale: 1, zeroPoint: 0}, affineOf({low: 0, high: 0}, 'asymmetric')],
  ];
  for (const [affine, made] of expected) expect(made).toEqual(affine);
  expect(tensor('int8', [1], Int8Array.of(-128)).data[0]).toBe(levels.int8.low);
});

test('in 7 bits two products of uint8 with a weight fit into 16 bits, whatever the numbers', () => {
  const weight = float32([2, 3], [-5, 0.1, 5, 1e-3, -1e-3, 0]);
  const {values, scales} = quantiseWeight(weight, 0, {inputScale: 1, range: 'reduced'});
  expect(Math.max(...values.data.map(Math.abs))).toBe(63);
  expect(2 * 255 * Math.max(...values.data.map(Math.abs))).toBeLessThan(2 ** 15);
  for (const [i, w] of weight.data.entries()) {
    const scale = scales.data[Math.floor(i / 3)]!;
    expect(Math.abs(values.data[i]! * scale - w)).toBeLessThanOrEqual(0.50001 * scale);
  }
});
