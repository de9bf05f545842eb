import {compare, describeDifference} from '../../src/core/compare.js';

const because = 'a test';

test('the worst place is named, and how many exceed the bound', () => {
  const d = compare([1, 2.5, 3, -4.2], [1, 2, 3, -4], {atol: 0.1, rtol: 0.025, because});
  expect(d).toMatchObject({ok: false, bound: 0.2, maxAbs: 0.5, maxExpected: 4, worstIndex: 1, expected: 2, actual: 2.5});
  expect([d.maxRel, d.exceeding, d.count]).toEqual([0.125, 2, 4]); // 0.2 in binary: −4.2 exceeds by a rounding
  expect(describeDifference(d)).toBe('2 of 4 exceed 2.00e-1; worst at 1: expected 2, got 2.5 (off by 5.00e-1)');
});

test('a bound is met at the bound', () => {
  expect(compare([1.5], [1], {atol: 0.5, because}).ok).toBe(true);
  expect(compare([1.5], [2], {rtol: 0.25, because}).ok).toBe(true);
  expect(compare([], [], {because}).ok).toBe(true);
  expect(compare([0], [-0], {because}).ok).toBe(true);
});

test('NaN equals only NaN, an infinity only itself, whatever the bound', () => {
  const {NaN: nan, POSITIVE_INFINITY: inf} = Number;
  const wide = {atol: 1e300, rtol: 1, because};
  for (const same of [nan, inf, -inf]) expect([same, compare([same], [same], wide).ok]).toEqual([same, true]);
  const different: [number, number][] = [
    [nan, 0],
    [0, nan],
    [inf, -inf],
    [nan, inf],
    [inf, nan],
  ];
  for (const [a, b] of different) expect([a, b, compare([a], [b], wide).ok]).toEqual([a, b, false]);
  expect(compare([1, inf], [1, 2], {atol: 1, because})).toMatchObject({ok: false, worstIndex: 1});
  expect(compare([5, 1], [inf, 1], wide)).toMatchObject({ok: false, worstIndex: 0, maxExpected: 1});
});

test('arrays of different length are a mistake of the caller', () => {
  expect(() => compare([1], [1, 2], {because})).toThrow('cannot compare 1 numbers with 2');
});
