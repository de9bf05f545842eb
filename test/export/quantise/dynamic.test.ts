import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {bufferSource} from '../../../src/core/bytes.js';
import {random} from '../../../src/core/random.js';
import {float32, toFloat64} from '../../../src/core/tensor.js';
import {quantiseDynamically} from '../../../src/export/quantise/dynamic.js';
import {checkModel} from '../../../src/onnx/check.js';
import {decodeModel} from '../../../src/onnx/decode.js';
import {modelBytes} from '../../../src/onnx/encode.js';
import type {Model} from '../../../src/onnx/graph.js';
import {parseModel} from '../../../src/onnx/parse-text.js';
import {openSession} from '../../../src/onnx/session.js';

/** Two products of one value, a Gemm either way round, and one that stays: its operands are both computed. */
const products = () =>
  parseModel(`model opset 20, ir 9, producer "test" "0"
  graph g (%x: f32[N, 8]) -> (%y, %z)
    %w1 = f32[8, 6] ~1
    %a: f32[N, 6] = MatMul(%x, %w1)
    %w2 = f32[6, 8] ~2
    %b2 = f32[6] ~3
    %b: f32[N, 6] = Gemm(%x, %w2, %b2) {transB = 1}
    %s: f32[N, 6] = Add(%a, %b)
    %w3 = f32[6, 4] ~4
    %y: f32[N, 4] = Gemm(%s, %w3)
    %t: f32[6, N] = Transpose(%a) {perm = [1, 0]}
    %z: f32[6, 6] = MatMul(%t, %b)`);
const operators = ({graph}: Model) => graph.nodes.map((n) => n.opType);
const count = (model: Model, type: string) => operators(model).filter((t) => t === type).length;

test('products with constant weights become integer products; one quantisation serves all users of a value', () => {
  const original = products();
  const {model, products: changed} = quantiseDynamically(original);
  expect(changed).toBe(3);
  expect(checkModel(model)).toEqual([]);
  expect([count(model, 'MatMulInteger'), count(model, 'DynamicQuantizeLinear'), count(model, 'MatMul')]).toEqual([3, 2, 1]);
  expect(model.graph.outputs.map((v) => v.name)).toEqual(['y', 'z']);
  expect(operators(original)).toEqual(['MatMul', 'Gemm', 'Add', 'Gemm', 'Transpose', 'MatMul']);
  expect(operators(quantiseDynamically(model).model)).toEqual(operators(model)); // what is integer already is left alone
});

/** x as the specification of DynamicQuantizeLinear rounds it, in float64. */
function rounded(x: ArrayLike<number>): Float64Array {
  const [low, high] = [Math.min(0, ...Array.from(x)), Math.max(0, ...Array.from(x))];
  const scale = (high - low) / 255;
  const zero = Math.round(-low / scale);
  return Float64Array.from(x, (v) => (Math.min(255, Math.max(0, Math.round(v / scale) + zero)) - zero) * scale);
}

test('the numbers are those of rounding by hand', async () => {
  const model = parseModel(`model opset 20, ir 9, producer "test" "0"
  graph g (%x: f32[3, 8]) -> (%y)
    %w = f32[6, 8] ~2
    %b = f32[6] ~3
    %y: f32[3, 6] = Gemm(%x, %w, %b) {transB = 1}`);
  const r = random('dynamic');
  const x = Float32Array.from({length: 24}, () => r.normal());
  const [w, b] = ['w', 'b'].map((name) => toFloat64(model.graph.value(name)!.initializer!.read()).data) as [
    Float64Array,
    Float64Array,
  ];
  const q = rounded(x);
  const scales = Array.from(b, (_, o) => Math.max(...Array.from(w.slice(o * 8, o * 8 + 8), Math.abs)) / 127);
  const expected = Array.from({length: 18}, (_, at) => {
    const [n, o] = [Math.floor(at / 6), at % 6];
    return Array.from({length: 8}, (_, i) => q[n * 8 + i]! * Math.round(w[o * 8 + i]! / scales[o]!) * scales[o]!).reduce(
      (s, v) => s + v,
      b[o]!,
    );
  });
  for (const optimize of ['disabled', 'all'] as const) {
    const session = await openSession(modelBytes(quantiseDynamically(model).model), {optimize});
    const {data} = (await session.run(new Map([['x', float32([3, 8], x)]]))).get('y')!;
    await session.close();
    for (const [i, v] of expected.entries()) expect(Math.abs((data[i] as number) - v)).toBeLessThan(1e-5); // float32 scales
  }
});

test('onnxruntime makes one node of each product', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-int8-'));
  try {
    const path = join(folder, 'optimised.onnx');
    const session = await openSession(modelBytes(quantiseDynamically(products()).model), {optimizedModelPath: path});
    await session.close();
    const optimised = decodeModel(bufferSource(readFileSync(path), path));
    expect(count(optimised, 'MatMulInteger')).toBe(0);
    expect(count(optimised, 'MatMulIntegerToFloat') + count(optimised, 'DynamicQuantizeMatMul')).toBe(3);
  } finally {
    rmSync(folder, {recursive: true});
  }
});
