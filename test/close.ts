/** Comparing numbers in tests: fails with the worst place and the reason of the bound. */
import {compare, describeDifference, type Tolerance} from '../src/core/compare.js';

export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance, what = ''): void {
  const difference = compare(actual, expected, tolerance);
  if (!difference.ok)
    throw new Error(`${what} ${describeDifference(difference)}; the bound is for: ${tolerance.because}`.trim());
}

/** |Δ| ≤ bound · max(1, largest |logit|), as the specification of the goldens states its bounds. */
export function expectLogits(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: number,
  because: string,
  what = '',
): void {
  const largest = Array.from(expected).reduce((most, v) => Math.max(most, Math.abs(v)), 1);
  expectClose(actual, expected, {atol: bound * largest, because}, what);
}
