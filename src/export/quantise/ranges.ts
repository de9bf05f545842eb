/**
 * From the distribution of an activation to the range that its levels cover: numbers outside are clipped, and a wider range makes
 * coarser levels. Each method is one entry of the table.
 */
import {type ActivationScheme, affineOf, intervalOf, levels, type QuantParameters, type QuantRange} from './affine.js';
import {HALF, type Histogram} from './histogram.js';

export interface RangeMethod {
  readonly description: string;
  range(histogram: Histogram, scheme: ActivationScheme): QuantRange;
}

/** THE table of calibration methods. */
export const rangeMethods = {
  minmax: {
    description: 'every value that was seen is inside',
    range: ({min, max}) => ({low: min, high: max}),
  },
  percentile: {
    description: '99.99 % of the values are inside',
    range: (histogram) => percentileRange(histogram, 0.9999),
  },
  mse: {
    description: 'least mean squared error',
    range: (histogram, scheme) => best(histogram, scheme, (affine) => squaredError(histogram, affine)),
  },
  entropy: {
    description: 'least Kullback-Leibler divergence between the distribution and its levels',
    range: (histogram, scheme) => best(histogram, scheme, (affine) => divergence(histogram, affine)),
  },
} as const satisfies Record<string, RangeMethod>;
export type RangeMethodName = keyof typeof rangeMethods;

/** As much is cut off on each side. */
export function percentileRange(histogram: Histogram, share: number): QuantRange {
  const {counts, width, min, max, total} = histogram;
  const outside = (total * (1 - share)) / 2;
  const edge = (bins: Iterable<number>): number => {
    let seen = 0;
    for (const bin of bins) {
      seen += counts[bin]!;
      if (seen > outside) return bin;
    }
    return HALF;
  };
  const low = (edge(upwards(counts.length)) - HALF) * width;
  const high = (edge(downwards(counts.length)) - HALF + 1) * width;
  return {low: Math.max(min, low), high: Math.min(max, high)};
}
function* upwards(n: number): Generator<number> {
  for (let i = 0; i < n; i++) yield i;
}
function* downwards(n: number): Generator<number> {
  for (let i = n - 1; i >= 0; i--) yield i;
}

/** Candidates: the whole range times these. Below a fifth clipping costs more than any level gains. */
const FRACTIONS = Array.from({length: 81}, (_, i) => 1 - i / 100);

/**
 * The range of least cost. One side alone is searched where the other is zero or the levels are symmetric; otherwise both in turn, which
 * finds the optimum of a cost that falls and rises in each.
 */
function best({min, max}: Histogram, scheme: ActivationScheme, cost: (affine: QuantParameters) => number): QuantRange {
  const whole = {low: Math.min(0, min), high: Math.max(0, max)};
  const search = (ranges: QuantRange[]): QuantRange => {
    const costs = ranges.map((range) => cost(affineOf(range, scheme)));
    return ranges[costs.indexOf(Math.min(...costs))]!;
  };
  const lows = (high: number) => FRACTIONS.map((f) => ({low: f * whole.low, high}));
  const highs = (low: number) => FRACTIONS.map((f) => ({low, high: f * whole.high}));
  if (scheme === 'symmetric') return search(FRACTIONS.map((f) => ({low: f * whole.low, high: f * whole.high})));
  if (whole.low === 0) return search(highs(0));
  if (whole.high === 0) return search(lows(0));
  const together = search(FRACTIONS.map((f) => ({low: f * whole.low, high: f * whole.high})));
  const {low} = search(lows(together.high));
  return search(highs(low));
}

/** Σ n·(x − x̂)² over the bins, x in their middle. */
export function squaredError(histogram: Histogram, affine: QuantParameters): number {
  const {counts} = histogram;
  const level = leveller(affine);
  let sum = 0;
  for (const bin of usedBins(histogram)) {
    const x = histogram.centre(bin);
    const error = (level(x) - affine.zeroPoint) * affine.scale - x;
    sum += counts[bin]! * error * error;
  }
  return sum;
}

/**
 * KL(P ‖ Q): P are the shares of the bins inside, those outside added at the edges; Q has the mass of each level spread evenly over the
 * bins of the level that are not empty. Zero is left out of both: a ReLU makes it exact, and its mass would hide everything else.
 * After S. Migacz, 8-bit inference with TensorRT, GTC 2017.
 */
export function divergence(histogram: Histogram, affine: QuantParameters): number {
  const {counts} = histogram;
  const {low, high} = intervalOf(affine);
  const level = leveller(affine);
  const [first, last] = [binOf(histogram, low), binOf(histogram, high)];
  const inside = new Float64Array(counts.length);
  const own = new Float64Array(counts.length);
  for (const bin of usedBins(histogram)) {
    if (bin === HALF) continue;
    const at = Math.min(last, Math.max(first, bin));
    inside[at]! += counts[bin]!;
    if (at === bin) own[bin] = counts[bin]!;
  }
  const mass = new Float64Array(levels.uint8.high + 1);
  const bins = new Float64Array(mass.length);
  const least = levels[affine.dtype].low;
  for (let bin = first; bin <= last; bin++) {
    if (inside[bin] === 0) continue;
    const at = level(histogram.centre(bin)) - least;
    mass[at]! += own[bin]!;
    bins[at]!++;
  }
  const [total, kept] = [inside.reduce(add, 0), mass.reduce(add, 0)];
  if (kept === 0) return total === 0 ? 0 : Number.POSITIVE_INFINITY;
  let sum = 0;
  for (let bin = first; bin <= last; bin++) {
    if (inside[bin] === 0) continue;
    const at = level(histogram.centre(bin)) - least;
    const [p, q] = [inside[bin]! / total, mass[at]! / bins[at]! / kept];
    sum += p * Math.log(p / Math.max(q, NO_MASS));
  }
  return sum;
}
/** A level whose bins hold clipped values alone: it stands for no mass of its own, which must cost much, but not everything. */
const NO_MASS = 1e-12;
const add = (a: number, b: number): number => a + b;

const binOf = ({width, counts}: Histogram, x: number): number =>
  Math.min(counts.length - 1, Math.max(0, Math.floor(x / width) + HALF));

/** `quantise` without the rounding to float32, which does not matter here. */
function leveller({scale, zeroPoint, dtype}: QuantParameters): (x: number) => number {
  const {low, high} = levels[dtype];
  return (x) => Math.min(high, Math.max(low, Math.round(x / scale) + zeroPoint));
}

/** Bins between the lowest and the highest number. */
function usedBins(histogram: Histogram): number[] {
  const {counts, min, max} = histogram;
  const [first, last] = [binOf(histogram, min), binOf(histogram, max)];
  const used: number[] = [];
  for (let bin = first; bin <= last; bin++) if (counts[bin]! > 0) used.push(bin);
  return used;
}
