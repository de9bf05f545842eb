import {bfloat16ToFloat32, halfToFloat32, halfToNumber, numberToHalf} from '../../src/core/half.js';

test('every finite float16 survives the way to float32 and back', () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = halfToNumber(bits);
    if (Number.isNaN(value)) expect(Number.isNaN(halfToNumber(numberToHalf(value)))).toBe(true);
    else expect(numberToHalf(value)).toBe(bits);
  }
});

test('rounding is to nearest, ties to even, and overflow is infinity', () => {
  const nearest = (x: number) => {
    let best = 0;
    for (let bits = 0; bits <= 0x7c00; bits++) {
      const value = bits === 0x7c00 ? 65536 : halfToNumber(bits); // infinity stands where the next value would be
      const bestValue = halfToNumber(best);
      const d = Math.abs(value - x) - Math.abs(bestValue - x);
      if (d < 0 || (d === 0 && bits % 2 === 0)) best = bits;
    }
    return best;
  };
  for (const x of [
    0,
    1e-9,
    2 ** -25,
    2 ** -25 * 1.0001,
    3 * 2 ** -25,
    0.1,
    1 / 3,
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
    2049,
    2051,
    65504,
    65519,
    65520,
    65535,
  ]) {
    expect([x, numberToHalf(Math.fround(x))]).toEqual([x, nearest(Math.fround(x))]);
  }
});

test('known patterns', () => {
  expect([...halfToFloat32(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001))]).toEqual([1, -2, 65504, 2 ** -24]);
  expect([...bfloat16ToFloat32(Uint16Array.of(0x3f80, 0xc000, 0x7f80))]).toEqual([1, -2, Number.POSITIVE_INFINITY]);
});
