/**
 * How non-negative numbers of very different size are distributed: counts in bins of equal width in their logarithm,
 * in fixed memory: all that float32 can hold. What is smaller counts as zero; infinite numbers and NaN are counted, and in no bin.
 */

const LOWEST_DECADE = -46;
const HIGHEST_DECADE = 39;
const BINS_PER_DECADE = 64;
const BINS = (HIGHEST_DECADE - LOWEST_DECADE) * BINS_PER_DECADE;

export interface LogHistogramState {
  zeros: number;
  /** Infinite numbers and NaN. */
  infinite: number;
  /** Pairs of bin and count; most bins are empty. */
  bins: [bin: number, count: number][];
  max: number;
}

export class LogHistogram {
  private readonly counts = new Float64Array(BINS);
  private zeros = 0;
  private infinite = 0;
  private total = 0;
  max = 0;

  static from(state: LogHistogramState): LogHistogram {
    const histogram = new LogHistogram();
    for (const [bin, n] of state.bins) histogram.counts[bin] = n;
    histogram.zeros = state.zeros;
    histogram.infinite = state.infinite;
    histogram.max = state.max;
    histogram.total = state.bins.reduce((sum, [, n]) => sum + n, state.zeros + state.infinite);
    return histogram;
  }

  get count(): number {
    return this.total;
  }

  add(value: number): void {
    this.total++;
    if (!Number.isFinite(value)) {
      this.infinite++;
      this.max = Number.POSITIVE_INFINITY;
      return;
    }
    if (value > this.max) this.max = value;
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

  /** Counts of finite numbers in wider bins, for a chart: each with its edges. Empty bins at both ends are left out. */
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
    return {
      zeros: this.zeros,
      infinite: this.infinite,
      max: this.max,
      bins: [...this.counts].flatMap((n, bin) => (n > 0 ? [[bin, n]] : [])),
    };
  }
}

const edgeOf = (bin: number): number => 10 ** (LOWEST_DECADE + bin / BINS_PER_DECADE);
const binOf = (value: number): number =>
  Math.max(0, Math.min(BINS - 1, Math.floor((Math.log10(value) - LOWEST_DECADE) * BINS_PER_DECADE)));
