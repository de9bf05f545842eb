import {random} from '../../../src/core/random.js';
import {affineOf, intervalOf, levels, type QuantParameters} from '../../../src/export/quantise/affine.js';
import {HALF, Histogram} from '../../../src/export/quantise/histogram.js';
import {divergence, percentileRange, rangeMethods, squaredError} from '../../../src/export/quantise/ranges.js';

/** Numbers as activations have them: a bulk, exact zeros, a few far outside. */
function activations(seed: number, count = 20_000): Float32Array {
  const r = random(`activations/${seed}`);
  const [scale, shift] = [10 ** (r.uniform() * 8 - 4), r.normal()];
  const relu = r.integer(2) === 0;
  return Float32Array.from({length: count}, () => {
    const x = (r.normal() + shift) * scale * (r.integer(500) === 0 ? 12 : 1);
    return relu ? Math.max(0, x) : x;
  });
}
function histogramOf(values: Float32Array): Histogram {
  const histogram = new Histogram();
  histogram.add(values);
  return histogram;
}

test('a histogram is that of its definition, whatever the batches and their order', () => {
  for (let seed = 0; seed < 20; seed++) {
    const r = random(seed);
    const values = activations(seed, 3000);
    values.set([Number.NaN, Number.POSITIVE_INFINITY], 5);
    const histogram = new Histogram();
    const shuffled = Float32Array.from(values).sort(() => r.uniform() - 0.5);
    for (let at = 0; at < shuffled.length; ) {
      const end = at + 1 + r.integer(700);
      histogram.add(shuffled.subarray(at, end));
      at = end;
    }
    const finite = [...values].filter(Number.isFinite);
    let width = 2 ** -40;
    while (finite.some((v) => Math.floor(v / width) < -HALF || Math.floor(v / width) >= HALF)) width *= 2;
    const counts = new Float64Array(2 * HALF);
    for (const v of finite) counts[Math.floor(v / width) + HALF]!++;
    expect(histogram.width).toBe(width);
    expect(histogram.counts).toEqual(counts);
    expect([histogram.min, histogram.max]).toEqual([Math.min(...finite), Math.max(...finite)]);
    expect(histogram.nonFinite).toBe(2);
  }
});

test('a percentile leaves the share outside, to one bin', () => {
  for (let seed = 0; seed < 10; seed++) {
    const values = activations(seed);
    const histogram = histogramOf(values);
    const {low, high} = percentileRange(histogram, 0.98);
    const below = values.filter((v) => v < low).length;
    const above = values.filter((v) => v > high).length;
    for (const outside of [below, above]) expect(outside).toBeLessThanOrEqual(0.01 * values.length);
    const {width} = histogram; // one bin further in, and it would be too many
    expect(values.filter((v) => v < low + 1.001 * width).length).toBeGreaterThan(0.01 * values.length);
    expect(values.filter((v) => v >= high - 1.001 * width).length).toBeGreaterThan(0.01 * values.length);
  }
});

const level = (x: number, {scale, zeroPoint, dtype}: QuantParameters) =>
  Math.min(levels[dtype].high, Math.max(levels[dtype].low, Math.round(x / scale) + zeroPoint));

test('the squared error is that of the numbers, to what a bin blurs', () => {
  for (let seed = 0; seed < 20; seed++) {
    const values = activations(seed);
    const histogram = histogramOf(values);
    for (const fraction of [1, 0.7, 0.3]) {
      const affine = affineOf(
        {low: histogram.min * fraction, high: histogram.max * fraction},
        seed % 3 ? 'asymmetric' : 'symmetric',
      );
      const direct = values.reduce((n, x) => n + ((level(x, affine) - affine.zeroPoint) * affine.scale - x) ** 2, 0);
      const blur = values.length * histogram.width * (affine.scale + histogram.width); // |Δ(e²)| ≤ 2·|e|·w/2 + w²/4, |e| mostly < s/2
      expect(Math.abs(squaredError(histogram, affine) - direct)).toBeLessThan(0.05 * direct + blur);
    }
  }
});

/** KL(P ‖ Q) as the text defines it, with maps instead of arrays. */
function naiveDivergence(histogram: Histogram, affine: QuantParameters): number {
  const {width} = histogram;
  const {low, high} = intervalOf(affine);
  const clampBin = (x: number) => Math.min(HALF - 1, Math.max(-HALF, Math.floor(x / width)));
  const [first, last] = [clampBin(low), clampBin(high)];
  const p = new Map<number, number>();
  const own = new Map<number, number>();
  for (let bin = -HALF; bin < HALF; bin++) {
    const n = histogram.counts[bin + HALF]!;
    if (n === 0 || bin === 0) continue;
    const at = Math.min(last, Math.max(first, bin));
    p.set(at, (p.get(at) ?? 0) + n);
    if (at === bin) own.set(bin, n);
  }
  const levelOf = (bin: number) => level((bin + 0.5) * width, affine);
  const bins = [...p.keys()];
  const sum = (numbers: Iterable<number>) => [...numbers].reduce((a, b) => a + b, 0);
  const [total, kept] = [sum(p.values()), sum(own.values())];
  return sum(
    bins.map((bin) => {
      const together = bins.filter((other) => levelOf(other) === levelOf(bin));
      const q = sum(together.map((other) => own.get(other) ?? 0)) / together.length / kept;
      const share = p.get(bin)! / total;
      return share * Math.log(share / Math.max(q, 1e-12));
    }),
  );
}

test('the divergence is that of its definition', () => {
  for (let seed = 0; seed < 6; seed++) {
    const histogram = histogramOf(activations(seed, 800));
    for (const fraction of [1, 0.5]) {
      const affine = affineOf(
        {low: histogram.min * fraction, high: histogram.max * fraction},
        seed % 2 ? 'asymmetric' : 'symmetric',
      );
      expect(divergence(histogram, affine)).toBeCloseTo(naiveDivergence(histogram, affine), 9); // float64, sums in another order
    }
  }
});

test('every method keeps the bulk and zero; min-max keeps everything; mse is not worse than min-max by its own measure', () => {
  for (let seed = 0; seed < 12; seed++) {
    const histogram = histogramOf(activations(seed));
    const errors = Object.entries(rangeMethods).map(([name, {range}]) => {
      const {low, high} = range(histogram, 'asymmetric');
      expect(low).toBeGreaterThanOrEqual(Math.min(0, histogram.min) - 1e-9);
      expect(high).toBeLessThanOrEqual(Math.max(0, histogram.max) * (1 + 1e-9));
      return [name, squaredError(histogram, affineOf({low, high}, 'asymmetric'))] as const;
    });
    const {minmax, mse} = Object.fromEntries(errors) as Record<string, number>;
    expect(mse!).toBeLessThanOrEqual(minmax!);
    expect(rangeMethods.minmax.range(histogram)).toEqual({low: histogram.min, high: histogram.max});
  }
});

test('a tensor of zeros, and one that is constant', () => {
  for (const value of [0, -3.5, 1e-20]) {
    const histogram = histogramOf(new Float32Array(100).fill(value));
    for (const [name, {range}] of Object.entries(rangeMethods)) {
      const affine = affineOf(range(histogram, 'asymmetric'), 'asymmetric');
      const back = (level(value, affine) - affine.zeroPoint) * affine.scale;
      expect([name, Math.abs(back - value) <= 0.02 * Math.abs(value) + 1e-18]).toEqual([name, true]);
    }
  }
});
