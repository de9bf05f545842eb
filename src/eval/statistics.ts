/** Intervals, tests and percentiles. Pure, with the sources of the formulas. */

/** The 97.5 % point of the standard normal distribution: intervals are two-sided, 95 %. */
const Z = 1.959963984540054;

export interface Interval {
  low: number;
  high: number;
}

/**
 * The Wilson score interval of a share, k of n: where the true share lies with 95 % confidence. Unlike p ± z·√(p(1−p)/n) it stays
 * inside [0, 1] and does not vanish at 0 and 1. Wilson 1927, J. Am. Stat. Assoc. 22, 209.
 */
export function wilson(k: number, n: number): Interval {
  if (n === 0) return {low: 0, high: 1};
  const p = k / n;
  const z2 = Z * Z;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Z / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
  return {low: k === 0 ? 0 : centre - half, high: k === n ? 1 : centre + half};
}

/**
 * McNemar's test, exact: two models saw the same images, one alone was right on b of them, the other alone on c. If both are equally
 * good, each of the b + c images is a fair coin: p = min(1, 2·Σ_{i ≤ min(b, c)} C(n, i)·2⁻ⁿ). McNemar 1947, Psychometrika 12, 153.
 * Summed in logarithms, so that it holds for any n; no approximation is needed.
 */
export function mcnemar(b: number, c: number): number {
  const n = b + c;
  const few = Math.min(b, c);
  let logTerm = -n * Math.LN2;
  let logSum = logTerm;
  for (let i = 1; i <= few; i++) {
    logTerm += Math.log((n - i + 1) / i);
    logSum = logTerm + Math.log1p(Math.exp(logSum - logTerm)); // terms grow up to the middle, so the newest is the largest
  }
  return Math.min(1, 2 * Math.exp(logSum));
}

/** The q-th quantile (0 to 1) of sorted numbers, interpolated between neighbours: type 7 of Hyndman and Fan 1996, numpy's default. */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const low = sorted[below]!;
  return low + (at - below) * (sorted[Math.min(below + 1, sorted.length - 1)]! - low);
}

export const sortedCopy = (values: ArrayLike<number>): Float64Array => Float64Array.from(values).sort();
export const median = (values: ArrayLike<number>): number => quantile(sortedCopy(values), 0.5);
/** Distance between the quartiles: a spread that a few outliers do not move. */
export function quartileRange(values: ArrayLike<number>): number {
  const sorted = sortedCopy(values);
  return quantile(sorted, 0.75) - quantile(sorted, 0.25);
}
