/**
 * How non-negative numbers of very different size are distributed: counts in bins of equal width in their logarithm,
 * in fixed memory. Numbers below 1e-12 count as zero, those above 1e6 belong to the last bin, NaN counts as infinite.
 */

const LOWEST_DECADE = -12;
const HIGHEST_DECADE = 6;
const BINS_PER_DECADE = 64;
const BINS = (HIGHEST_DECADE - LOWEST_DECADE) * BINS_PER_DECADE;

export interface LogHistogramState {
  zeros: number;
  /** Pairs of bin and count; most bins are empty. */
  bins: [bin: number, count: number][];
  max: number;
}

export class LogHistogram {
  private readonly counts = new Float64Array(BINS);
  private zeros = 0;
  private total = 0;
  max = 0;

  static from(state: LogHistogramState): LogHistogram {
    const histogram = new LogHistogram();
    for (const [bin, n] of state.bins) histogram.counts[bin] = n;
    histogram.zeros = state.zeros;
    histogram.max = state.max;
    histogram.total = state.bins.reduce((sum, [, n]) => sum + n, state.zeros);
    return histogram;
  }

  get count(): number {
    return this.total;
  }

  add(value: number): void {
    this.total++;
    if (value > this.max || Number.isNaN(value)) this.max = Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
    if (value < 10 ** LOWEST_DECADE) this.zeros++;
    else this.counts[binOf(value)]!++;
  }

  /** The q-th quantile, 4 % too large at most: the upper edge of its bin, or the largest number. */
  quantile(q: number): number {
    let rest = q * this.total - this.zeros;
    if (this.total === 0 || rest <= 0) return 0;
    for (let bin = 0; bin < BINS; bin++) {
      rest -= this.counts[bin]!;
      if (rest <= 1e-9 * this.total) return Math.min(this.max, edgeOf(bin + 1));
    }
    return this.max;
  }

  /** Counts in wider bins, for a chart: each with its edges. Empty bins at both ends are left out. */
  chart(perDecade = 4): {low: number; high: number; count: number}[] {
    const width = BINS_PER_DECADE / perDecade;
    const bars = Array.from({length: BINS / width}, (_, i) => ({
      low: edgeOf(i * width),
      high: edgeOf((i + 1) * width),
      count: this.counts.subarray(i * width, (i + 1) * width).reduce((a, b) => a + b, 0),
    }));
    const used = bars.flatMap(({count}, i) => (count > 0 ? [i] : []));
    const [first = 0] = used;
    const inside = bars.slice(first, (used.at(-1) ?? -1) + 1);
    return this.zeros > 0 ? [{low: 0, high: 0, count: this.zeros}, ...inside] : inside;
  }

  state(): LogHistogramState {
    return {zeros: this.zeros, max: this.max, bins: [...this.counts].flatMap((n, bin) => (n > 0 ? [[bin, n]] : []))};
  }
}

const edgeOf = (bin: number): number => 10 ** (LOWEST_DECADE + bin / BINS_PER_DECADE);
/** NaN belongs to the last bin, which Math.min would not give. */
const binOf = (value: number): number => {
  const bin = Math.floor((Math.log10(value) - LOWEST_DECADE) * BINS_PER_DECADE);
  return Number.isNaN(bin) ? BINS - 1 : Math.max(0, Math.min(BINS - 1, bin));
};
