/**
 * How the numbers of an activation are distributed, gathered batch by batch in fixed memory. Bins have a width that is a power of two
 * and begin at its multiples; when a number lies outside, the width doubles and neighbours are merged. So the counts depend on the
 * numbers alone, not on their order or on batches: bin i counts those with floor(x / width) = i.
 */

/** On each side of zero. At least half of one side is in use: 4 bins a level of an 8-bit range, or more. */
export const HALF = 2048;
/** Narrower bins would separate what float32 activations never do. */
const MIN_WIDTH = 2 ** -40;

export class Histogram {
  /** Bin i − HALF. */
  readonly counts = new Float64Array(2 * HALF);
  width = MIN_WIDTH;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  /** NaN and infinite numbers; they are in no bin. */
  nonFinite = 0;

  get total(): number {
    return this.counts.reduce((n, c) => n + c, 0);
  }
  /** The middle of a bin. */
  centre(bin: number): number {
    return (bin - HALF + 0.5) * this.width;
  }

  add(values: ArrayLike<number>): void {
    this.extend(values);
    const perWidth = 1 / this.width; // exact: a power of two
    const {counts} = this;
    for (let i = 0; i < values.length; i++) {
      const bin = Math.floor(values[i]! * perWidth) + HALF;
      if (bin >= 0 && bin < counts.length) counts[bin]!++;
      else this.nonFinite++;
    }
  }

  /** Widens the bins until they hold all of these. */
  private extend(values: ArrayLike<number>): void {
    let {min, max} = this;
    for (let i = 0; i < values.length; i++) {
      const v = values[i]!;
      if (v < min && v > Number.NEGATIVE_INFINITY) min = v;
      if (v > max && v < Number.POSITIVE_INFINITY) max = v;
    }
    [this.min, this.max] = [min, max];
    while (max >= HALF * this.width || min < -HALF * this.width) this.double();
  }

  /** Two bins become one: 2i and 2i + 1 make i, counted from zero. */
  private double(): void {
    const {counts} = this;
    const merged = new Float64Array(counts.length);
    for (let bin = 0; bin < counts.length; bin++) merged[Math.floor((bin - HALF) / 2) + HALF]! += counts[bin]!;
    counts.set(merged);
    this.width *= 2;
  }
}
