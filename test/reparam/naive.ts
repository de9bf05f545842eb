/** Convolution as its definition says it, and random tensors: what the algebra is tested against. Knows nothing of the code under test. */
import {type Random, random} from '../../src/core/random.js';
import {elementCount, float64, type Shape, type Tensor, zeros} from '../../src/core/tensor.js';

export type T = Tensor<'float64'>;

/** Normal numbers, some exactly zero, some large: nothing near its default. */
export function randomTensor(r: Random, shape: Shape): T {
  const value = () => (r.integer(12) === 0 ? 0 : r.normal() * (r.integer(10) === 0 ? 20 : 1));
  return float64(shape, Float64Array.from({length: elementCount(shape)}, value));
}
/** Variances: positive, from tiny to large. */
export const randomVariance = (r: Random, size: number): T =>
  float64(
    [size],
    Float64Array.from({length: size}, () => 10 ** (r.uniform() * 6 - 4)),
  );

export const streamOf = (seed: number): Random => random(`reparam/${seed}`);

export interface Sliding {
  stride?: number;
  pad?: number;
  groups?: number;
}

/** y[o, p, q] = bias[o] + Σ x[g·I/G + i, p·s + u − pad, q·s + v − pad] · w[o, i, u, v], where o is in group g. x is [C, H, W]. */
export function convolve(x: T, weight: T, bias: T | undefined, {stride = 1, pad = 0, groups = 1}: Sliding = {}): T {
  const [, height, width] = x.shape as [number, number, number];
  const [out, perGroup, kh, kw] = weight.shape as [number, number, number, number];
  const size = (n: number, k: number) => Math.floor((n + 2 * pad - k) / stride) + 1;
  const y = zeros('float64', [out, size(height, kh), size(width, kw)]);
  let at = 0;
  for (let o = 0; o < out; o++) {
    for (let p = 0; p < size(height, kh); p++) {
      for (let q = 0; q < size(width, kw); q++) {
        let total = bias ? bias.data[o]! : 0;
        for (let i = 0; i < perGroup; i++) {
          for (let u = 0; u < kh; u++) {
            for (let v = 0; v < kw; v++) {
              const [row, column] = [p * stride + u - pad, q * stride + v - pad];
              if (row < 0 || row >= height || column < 0 || column >= width) continue;
              const channel = Math.floor(o / (out / groups)) * perGroup + i;
              total +=
                x.data[(channel * height + row) * width + column]! * weight.data[((o * perGroup + i) * kh + u) * kw + v]!;
            }
          }
        }
        y.data[at++] = total;
      }
    }
  }
  return y;
}

export const times = (x: T, factor: number): T =>
  float64(
    x.shape,
    x.data.map((v) => v * factor),
  );
export const plus = (a: T, b: T): T =>
  float64(
    a.shape,
    a.data.map((v, i) => v + b.data[i]!),
  );
/** Every channel of [C, H, W] times its own number. */
export const perChannel = (x: T, factors: ArrayLike<number>): T => {
  const area = x.data.length / x.shape[0]!;
  return float64(
    x.shape,
    x.data.map((v, i) => v * factors[Math.floor(i / area)]!),
  );
};
