import fc from 'fast-check';
import {
  bytesOf,
  dtypes,
  elementCount,
  float32,
  float64,
  int64,
  leadingBlock,
  type Shape,
  sourceOf,
  stridesOf,
  tensor,
  tensorOver,
  toFloat32,
  toFloat64,
  zeros,
} from '../../src/core/tensor.js';

/** Element by element, by the definition of an index. */
function naiveBlock(shape: Shape, data: ArrayLike<number>, leading: Shape): number[] {
  const indices = leading.reduce<number[][]>(
    (all, n) => all.flatMap((i) => Array.from({length: n}, (_, k) => [...i, k])),
    [[]],
  );
  return indices.map((index) => data[index.reduce((flat, k, d) => flat * shape[d]! + k, 0)]!);
}

test('the leading block is what indexing gives', () => {
  const pair = fc.array(fc.tuple(fc.nat(4), fc.nat(4)), {maxLength: 4});
  fc.assert(
    fc.property(pair, (pairs) => {
      const shape = pairs.map(([a, b]) => Math.max(a, b));
      const leading = pairs.map(([a, b]) => Math.min(a, b));
      const t = float32(
        shape,
        Array.from({length: elementCount(shape)}, (_, i) => i),
      );
      const block = leadingBlock(t, leading);
      expect([block.shape, [...block.data]]).toEqual([leading, naiveBlock(shape, t.data, leading)]);
      expect([...sourceOf(t).read(leading).data]).toEqual([...block.data]);
    }),
    {seed: 20260804, numRuns: 300},
  );
});

test('a scalar is its own leading block', () => {
  expect(leadingBlock(float64([], [7]), [])).toEqual(float64([], [7]));
});

test('strides are row-major', () => {
  expect([stridesOf([]), stridesOf([5]), stridesOf([2, 3, 4])]).toEqual([[], [1], [12, 4, 1]]);
});

test('data must fill the shape', () => {
  expect(() => float32([2, 3], [1, 2])).toThrow('2 elements do not fill shape [2, 3]');
});

test('a tensor over bytes shares them where they are aligned, and copies where they are not', () => {
  const bytes = new Uint8Array(17);
  new DataView(bytes.buffer).setFloat32(4, 1.5, true);
  new DataView(bytes.buffer).setFloat32(9, -2.5, true);
  const aligned = tensorOver('float32', [1], bytes.subarray(4, 8));
  const odd = tensorOver('float32', [1], bytes.subarray(9, 13));
  expect([aligned.data[0], odd.data[0]]).toEqual([1.5, -2.5]);
  expect([aligned.data.buffer === bytes.buffer, odd.data.buffer === bytes.buffer]).toEqual([true, false]);
  expect(bytesOf(aligned)).toEqual(bytes.subarray(4, 8));
});

test('every dtype to float32 and float64', () => {
  const patterns = {float16: 0x3e00, bfloat16: 0x3fc0}; // 1.5
  for (const dtype of Object.keys(dtypes) as (keyof typeof dtypes)[]) {
    const t = zeros(dtype, [2]);
    const one = dtype === 'int64' ? 1n : dtype === 'float16' || dtype === 'bfloat16' ? patterns[dtype] : 1;
    (t.data as unknown as {[i: number]: unknown})[1] = one;
    const value = dtype in patterns ? 1.5 : 1;
    expect([dtype, [...toFloat32(t).data], [...toFloat64(t).data]]).toEqual([dtype, [0, value], [0, value]]);
  }
  expect(toFloat32(int64([1], [2 ** 24 + 1])).data[0]).toBe(2 ** 24);
  expect(toFloat64(tensor('float64', [1], Float64Array.of(1 / 3))).data[0]).toBe(1 / 3);
});
