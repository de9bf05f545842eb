/** Resampling as Pillow defines it, slowly: every output pixel on its own, real arithmetic where the fast path has tables. */
import type {Box, Image} from '../../src/data/resample.js';

const kernels = {
  bilinear: {support: 1, weight: (x: number) => (Math.abs(x) < 1 ? 1 - Math.abs(x) : 0)},
  bicubic: {
    support: 2,
    weight: (x: number) => {
      const a = -0.5;
      const t = Math.abs(x);
      if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
      return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
    },
  },
};
export type Interpolation = keyof typeof kernels;

/** One line of one channel. */
function line(values: number[], size: number, name: Interpolation): number[] {
  const {support, weight} = kernels[name];
  const scale = values.length / size;
  const stretch = Math.max(scale, 1);
  return Array.from({length: size}, (_, i) => {
    const center = (i + 0.5) * scale;
    const from = Math.max(0, Math.trunc(center - support * stretch + 0.5));
    const to = Math.min(values.length, Math.trunc(center + support * stretch + 0.5));
    const weights = Array.from({length: to - from}, (__, k) => weight((from + k - center + 0.5) * (1 / stretch)));
    const sum = weights.reduce((s, w) => s + w, 0);
    const fixed = weights.map((w) => Math.sign(w) * Math.floor(Math.abs((w / sum) * 2 ** 22) + 0.5));
    const total = fixed.reduce((s, w, k) => s + w * values[from + k]!, 2 ** 21);
    return Math.min(255, Math.max(0, Math.floor(total / 2 ** 22)));
  });
}

const pixel = (image: Image, x: number, y: number, c: number) => image.data[(y * image.width + x) * 3 + c]!;
const range = (n: number) => Array.from({length: n}, (_, i) => i);

export function crop(image: Image, {left, top, width, height}: Box): Image {
  const data = new Uint8Array(width * height * 3);
  for (const y of range(height))
    for (const x of range(width)) for (const c of range(3)) data[(y * width + x) * 3 + c] = pixel(image, left + x, top + y, c);
  return {width, height, data};
}

export function slowResize(image: Image, width: number, height: number, filter: Interpolation): Image {
  const middle = {width, height: image.height, data: new Uint8Array(width * image.height * 3)};
  for (const c of range(3))
    for (const y of range(image.height)) {
      const row = line(
        range(image.width).map((x) => pixel(image, x, y, c)),
        width,
        filter,
      );
      row.forEach((v, x) => {
        middle.data[(y * width + x) * 3 + c] = v;
      });
    }
  const out = {width, height, data: new Uint8Array(width * height * 3)};
  for (const c of range(3))
    for (const x of range(width)) {
      const column = line(
        range(image.height).map((y) => pixel(middle, x, y, c)),
        height,
        filter,
      );
      column.forEach((v, y) => {
        out.data[(y * width + x) * 3 + c] = v;
      });
    }
  return out;
}
