/**
 * Affine transforms as PIL makes them: every pixel of the result takes its colour from a place of the source, between pixels by
 * interpolation. Facts: Pillow 9.4, Geometry.c (affine_transform, bicubic_filter32RGB, bilinear_filter32RGB), Image.py (rotate).
 * Its cubic here is not that of its resizing: the slope is the whole difference of the neighbours, not half of it.
 */
import type {FilterName} from '../coefficients.js';
import type {Image} from '../resample.js';

/** x ← a·x + b·y + c, y ← d·x + e·y + f, from places of the result to places of the source. */
export type AffineMatrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number];
export type Colour = readonly [red: number, green: number, blue: number];

export interface AffineOptions {
  readonly filter: FilterName;
  /** What lies outside the source. */
  readonly fill: Colour;
}

type Sampler = (data: Uint8Array, at: (column: number, row: number) => number, dx: number, dy: number, c: number) => number;

const cubic = (v1: number, v2: number, v3: number, v4: number, d: number): number =>
  v2 + d * (v3 - v1 + d * (2 * (v1 - v2) + v3 - v4 + d * (v2 - v1 - v3 + v4)));
const linear = (a: number, b: number, d: number): number => a + d * (b - a);

/** `at(i, j)` is the offset of the pixel i to the right and j below the one left and above of the place. */
const samplers: Readonly<Record<FilterName, Sampler>> = {
  bicubic: (data, at, dx, dy, c) => {
    const row = (j: number) => cubic(data[at(-1, j) + c]!, data[at(0, j) + c]!, data[at(1, j) + c]!, data[at(2, j) + c]!, dx);
    return cubic(row(-1), row(0), row(1), row(2), dy);
  },
  bilinear: (data, at, dx, dy, c) => {
    const row = (j: number) => linear(data[at(0, j) + c]!, data[at(1, j) + c]!, dx);
    return linear(row(0), row(1), dy);
  },
};

export function affine({width, height, data}: Image, [a, b, c, d, e, f]: AffineMatrix, {filter, fill}: AffineOptions): Image {
  const sample = samplers[filter];
  const out = new Uint8Array(data.length);
  const clamp = (n: number, size: number) => (n < 0 ? 0 : n >= size ? size - 1 : n);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      const fromX = a * (x + 0.5) + b * (y + 0.5) + c;
      const fromY = d * (x + 0.5) + e * (y + 0.5) + f;
      if (!(fromX >= 0 && fromX < width && fromY >= 0 && fromY < height)) {
        out.set(fill, i);
        continue;
      }
      const [left, top] = [Math.floor(fromX - 0.5), Math.floor(fromY - 0.5)];
      const at = (column: number, row: number) => (clamp(top + row, height) * width + clamp(left + column, width)) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const value = sample(data, at, fromX - 0.5 - left, fromY - 0.5 - top, channel);
        out[i + channel] = Math.min(255, Math.max(0, value)); // the array truncates
      }
    }
  }
  return {width, height, data: out};
}

/** Counter-clockwise around the middle, by PIL's matrix: rounded to 15 digits. */
export function rotate(image: Image, degrees: number, options: AffineOptions): Image {
  if (degrees === 0) return image;
  const angle = (-degrees * Math.PI) / 180;
  const digits = (n: number) => Number(n.toFixed(15));
  const [cos, sin] = [digits(Math.cos(angle)), digits(Math.sin(angle))];
  const minusSin = digits(-Math.sin(angle));
  const [x, y] = [image.width / 2, image.height / 2];
  return affine(image, [cos, sin, cos * -x + sin * -y + x, minusSin, cos, minusSin * -x + cos * -y + y], options);
}
