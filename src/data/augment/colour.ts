/**
 * Changes of colour as PIL makes them, to the bit. Facts: Pillow 9.4, ImageOps.py, ImageEnhance.py, Blend.c, Filter.c, Convert.c.
 * Factors are float32, as in C. Every function gives a new image.
 */
import type {Image} from '../resample.js';

const LEVELS = 256;
const withData = ({width, height}: Image, data: Uint8Array): Image => ({width, height, data});

/** One table for each channel, or one for all. */
function lookUp(image: Image, tables: readonly Uint8Array[]): Image {
  const out = new Uint8Array(image.data.length);
  const [r, g, b] = [tables[0]!, tables[1] ?? tables[0]!, tables[2] ?? tables[0]!];
  for (let i = 0; i < out.length; i += 3) {
    out[i] = r[image.data[i]!]!;
    out[i + 1] = g[image.data[i + 1]!]!;
    out[i + 2] = b[image.data[i + 2]!]!;
  }
  return withData(image, out);
}
const table = (f: (level: number) => number) => Uint8Array.from({length: LEVELS}, (_, i) => f(i));
const identity = table((i) => i);

function histograms({data}: Image): Uint32Array[] {
  const counts = [0, 1, 2].map(() => new Uint32Array(LEVELS));
  for (let i = 0; i < data.length; i++) counts[i % 3]![data[i]!]!++;
  return counts;
}

export const invert = (image: Image): Image => lookUp(image, [table((i) => 255 - i)]);
export const solarize = (image: Image, threshold: number): Image =>
  lookUp(image, [table((i) => (i < threshold ? i : 255 - i))]);
export const solarizeAdd = (image: Image, add: number): Image =>
  lookUp(image, [table((i) => (i < 128 ? Math.min(255, i + add) : i))]);
/** Keeps the highest `bits` bits. */
export const posterize = (image: Image, bits: number): Image => lookUp(image, [table((i) => i & ~(2 ** (8 - bits) - 1))]);

/** Each channel is stretched so that its darkest level is 0 and its brightest 255. */
export function autoContrast(image: Image): Image {
  const stretch = (counts: Uint32Array): Uint8Array => {
    const low = counts.findIndex((n) => n > 0);
    const high = counts.findLastIndex((n) => n > 0);
    if (high <= low) return identity;
    const scale = 255 / (high - low);
    return table((i) => Math.min(255, Math.max(0, Math.trunc(i * scale - low * scale))));
  };
  return lookUp(image, histograms(image).map(stretch));
}

/** Levels are spread so that each occurs about as often. */
export function equalize(image: Image): Image {
  const spread = (counts: Uint32Array): Uint8Array => {
    const last = counts.findLast((n) => n > 0) ?? 0;
    const step = Math.floor((counts.reduce((a, b) => a + b, 0) - last) / 255);
    if (step === 0) return identity;
    let n = Math.floor(step / 2);
    return table((i) => {
      const level = Math.min(255, Math.floor(n / step));
      n += counts[i]!;
      return level;
    });
  };
  return lookUp(image, histograms(image).map(spread));
}

/** ITU-R 601-2 luma, in 16-bit fixed point. */
const luma = (data: Uint8Array, i: number): number =>
  (data[i]! * 19595 + data[i + 1]! * 38470 + data[i + 2]! * 7471 + 0x8000) >> 16;

/** from + factor · (image − from), clipped. `from(i)` is the level at place i. */
function blend(image: Image, factor: number, from: (i: number) => number): Image {
  const alpha = Math.fround(factor);
  const out = new Uint8Array(image.data.length);
  for (let i = 0; i < out.length; i++) {
    const base = from(i);
    const value = Math.fround(base + Math.fround(alpha * (image.data[i]! - base)));
    out[i] = Math.min(255, Math.max(0, value)); // the array truncates
  }
  return withData(image, out);
}

/** Factors of 1 change nothing; 0 is black, gray, even or smooth. */
export const brightness = (image: Image, factor: number): Image => blend(image, factor, () => 0);

export function saturation(image: Image, factor: number): Image {
  const gray = new Uint8Array(image.data.length / 3);
  for (let p = 0; p < gray.length; p++) gray[p] = luma(image.data, 3 * p);
  return blend(image, factor, (i) => gray[Math.floor(i / 3)]!);
}

export function contrast(image: Image, factor: number): Image {
  let sum = 0;
  for (let i = 0; i < image.data.length; i += 3) sum += luma(image.data, i);
  const mean = Math.trunc(sum / (image.data.length / 3) + 0.5);
  return blend(image, factor, () => mean);
}

export function sharpness(image: Image, factor: number): Image {
  const smooth = smoothed(image);
  return blend(image, factor, (i) => smooth[i]!);
}

const AROUND = Math.fround(1 / 13);
const CENTRE = Math.fround(5 / 13);
const add = (...terms: readonly number[]): number => terms.reduce((a, b) => Math.fround(a + b));

/** A 3x3 filter of ones with 5 in the middle. The outermost pixels stay as they are. */
function smoothed({width, height, data}: Image): Uint8Array {
  const out = data.slice();
  const row = width * 3;
  const near = (i: number) => Math.fround(data[i]! * AROUND);
  const three = (i: number, middle: number) => add(near(i - 3), middle, near(i + 3));
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      const below = three(i + row, near(i + row));
      const above = three(i - row, near(i - row));
      out[i] = add(0.5, below, three(i, Math.fround(data[i]! * CENTRE)), above); // 0.5 to round; at most 255.5, truncated
    }
  }
  return out;
}
