/** What latencies say, and what they do not: percentiles, rates, and a verdict only where the difference exceeds the noise. */
import {median, quantile, quartileRange, sortedCopy} from './statistics.js';

export interface LatencySummary {
  runs: number;
  /** Milliseconds of one run. */
  min: number;
  p50: number;
  p90: number;
  p99: number;
  mean: number;
  /** Distance of the quartiles of the rounds' medians, in percent of the median: how much the machine itself moved. */
  spreadPercent: number;
}

/** Latencies in milliseconds, round by round. */
export function summariseLatencies(rounds: readonly (readonly number[])[]): LatencySummary {
  const sorted = sortedCopy(rounds.flat());
  const p50 = quantile(sorted, 0.5);
  return {
    runs: sorted.length,
    min: sorted[0] ?? Number.NaN,
    p50,
    p90: quantile(sorted, 0.9),
    p99: quantile(sorted, 0.99),
    mean: sorted.reduce((a, b) => a + b, 0) / sorted.length,
    spreadPercent: (100 * quartileRange(rounds.map(median))) / p50,
  };
}

export interface SpeedVerdict {
  /** Which is faster; undefined if the measurement does not say. */
  faster: 'a' | 'b' | undefined;
  /** Time of b over time of a: the median over the rounds. */
  ratio: number;
  /** |ratio − 1|, and how far the rounds' ratios lie apart, the highest and the lowest tenth left out; percent. */
  differencePercent: number;
  spreadPercent: number;
}

/**
 * The same rounds of both, in pairs: what slows the machine for a while slows both and leaves their ratio. No verdict if the ratio
 * moved more between rounds than it differs from 1. Quartiles would not do: what disturbs a machine lasts for several rounds.
 */
export function verdictOf(a: readonly (readonly number[])[], b: readonly (readonly number[])[]): SpeedVerdict {
  const ratios = a.map((round, i) => median(b[i]!) / median(round));
  const sorted = sortedCopy(ratios);
  const ratio = quantile(sorted, 0.5);
  const differencePercent = 100 * Math.abs(ratio - 1);
  const spreadPercent = 100 * (quantile(sorted, 0.9) - quantile(sorted, 0.1));
  const isClear = differencePercent > spreadPercent;
  return {faster: isClear ? (ratio > 1 ? 'a' : 'b') : undefined, ratio, differencePercent, spreadPercent};
}
