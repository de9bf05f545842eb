/** How far two arrays of numbers are apart, with the worst place named. One function, used by proofs, tests and reports alike. */

/** 2⁻¹²⁶, the smallest normal number of float32: below it digits are lost. */
export const SMALLEST_NORMAL = 2 ** -126;

export interface Tolerance {
  /** Absolute bound, and bound relative to the largest expected magnitude: |Δ| ≤ atol + rtol · max |expected|. */
  atol?: number;
  rtol?: number;
  /** Why this bound, in a few words. There is no default tolerance. */
  because: string;
}

export interface Difference {
  ok: boolean;
  bound: number;
  maxAbs: number;
  /** maxAbs over max |expected|, over the smallest normal number of float32 where that is smaller. */
  maxRel: number;
  maxExpected: number;
  worstIndex: number;
  expected: number;
  actual: number;
  exceeding: number;
  count: number;
}

/** NaN equals only NaN, +∞ only +∞. */
export function compare(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance): Difference {
  if (actual.length !== expected.length) throw new Error(`cannot compare ${actual.length} numbers with ${expected.length}`);
  let maxExpected = 0;
  for (let i = 0; i < expected.length; i++) {
    const magnitude = Math.abs(expected[i]!);
    if (magnitude > maxExpected && magnitude < Number.POSITIVE_INFINITY) maxExpected = magnitude;
  }
  const bound = (tolerance.atol ?? 0) + (tolerance.rtol ?? 0) * maxExpected;
  let maxAbs = 0;
  let worstIndex = -1;
  let exceeding = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Object.is(actual[i], expected[i]) ? 0 : Math.abs(actual[i]! - expected[i]!);
    const distance = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    if (distance > bound) exceeding++;
    if (distance > maxAbs || worstIndex < 0) {
      maxAbs = distance;
      worstIndex = i;
    }
  }
  return {
    ok: exceeding === 0,
    bound,
    maxAbs,
    maxRel: maxAbs / Math.max(maxExpected, SMALLEST_NORMAL),
    maxExpected,
    worstIndex,
    expected: expected[worstIndex] ?? 0,
    actual: actual[worstIndex] ?? 0,
    exceeding,
    count: actual.length,
  };
}

export const describeDifference = (d: Difference): string =>
  `${d.exceeding} of ${d.count} exceed ${d.bound.toExponential(2)}; worst at ${d.worstIndex}: expected ${d.expected}, got ${d.actual} (off by ${d.maxAbs.toExponential(2)})`;
