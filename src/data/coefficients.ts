/**
 * Weights of Pillow's resampling, in its fixed-point form: which source pixels make an output pixel, and with what integers.
 * Facts: Pillow, src/libImaging/Resample.c (precompute_coeffs, normalize_coeffs_8bpc). Antialiased: where the image shrinks, the
 * filter is stretched by the scale.
 */

export interface Filter {
  /** Half its width, in source pixels at scale 1. */
  readonly support: number;
  weight(distance: number): number;
}

const A = -0.5; // Keys' cubic as Pillow parametrises it; OpenCV and PyTorch's tensors use -0.75
export const filters = {
  bilinear: {
    support: 1,
    weight: (x) => Math.max(0, 1 - Math.abs(x)),
  },
  bicubic: {
    support: 2,
    weight(distance) {
      const x = Math.abs(distance);
      if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * A : 0;
    },
  },
} as const satisfies Record<string, Filter>;
export type FilterName = keyof typeof filters;

/** 32 bits hold a pixel (8), a sum above 1 and its sign (2), and this fraction. */
export const PRECISION_BITS = 32 - 8 - 2;

export interface Coefficients {
  /** Output i of the span is the sum of source pixels starts[i] + k, weighted by weights[i·taps + k], k < counts[i]. */
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array; // [span, taps]
  readonly taps: number;
}

/** Outputs [from, from + length) of an axis that goes from `input` to `output` pixels. Of the last input pixel a part may lie outside. */
export interface Axis {
  readonly input: number;
  readonly output: number;
  readonly from: number;
  readonly length: number;
}

function compute({input, output, from, length}: Axis, {support, weight}: Filter): Coefficients {
  const scale = input / output;
  const stretch = Math.max(1, scale);
  const reach = support * stretch;
  const taps = Math.ceil(reach) * 2 + 1;
  const starts = new Int32Array(length);
  const counts = new Int32Array(length);
  const weights = new Int32Array(length * taps);
  const exact = new Float64Array(taps);
  for (let i = 0; i < length; i++) {
    const center = (from + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - reach + 0.5));
    const count = Math.min(Math.ceil(input), Math.trunc(center + reach + 0.5)) - start;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      exact[k] = weight((k + start - center + 0.5) * (1 / stretch)); // x / stretch could differ in the last bit
      sum += exact[k]!;
    }
    for (let k = 0; k < count; k++) {
      const fixed = (sum === 0 ? exact[k]! : exact[k]! / sum) * (1 << PRECISION_BITS);
      weights[i * taps + k] = Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
    }
    starts[i] = start;
    counts[i] = count;
  }
  return {starts, counts, weights, taps};
}

/** Photographs come in few sizes: two axes of some dozen of them. */
const MAX_CACHED = 128;
const cache = new Map<string, Coefficients>();

export function coefficients(axis: Axis, filter: FilterName): Coefficients {
  const key = `${axis.input} ${axis.output} ${axis.from} ${axis.length} ${filter}`;
  let found = cache.get(key);
  if (found) cache.delete(key);
  else found = compute(axis, filters[filter]);
  cache.set(key, found); // the most recently used is last
  if (cache.size > MAX_CACHED) cache.delete(cache.keys().next().value!);
  return found;
}
