/**
 * `LayerOps` over float64 arrays, by plain loops: slow, obviously right. With `referenceOps` it runs a whole network from the
 * tensors of a checkpoint, and is the judge of everything faster. Formulas: PyTorch's, in evaluation mode.
 */
import {float64, type StateDict, type Tensor, toFloat64, zeros} from '../core/tensor.js';
import type {Kernel} from '../reparam/algebra.js';
import {type GpdForm, parametersOf, type Role} from '../reparam/parameters.js';
import {referenceOps} from '../reparam/reference.js';
import type {Architecture, Window} from './layers.js';
import {type AttentionSize, type LayerOps, Walk} from './walk.js';

type T = Tensor<'float64'>;
type MapShape = [batch: number, channels: number, height: number, width: number];

/** 2/√π · e^(−x²) · Σ 2ⁿ·x^(2n+1) / (2n+1)‼: all terms have one sign, so none cancel. Abramowitz and Stegun 7.1.6. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x); // 1 − erf(6) is 2e-17
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const each = (x: T, f: (v: number) => number): T => float64(x.shape, x.data.map(f));
const outSize = (n: number, {kernel, stride, pad}: Window) => Math.floor((n + 2 * pad - kernel) / stride) + 1;

/** [N, I, H, W] and [O, I/g, k, k] → [N, O, H′, W′]. */
function convolve(x: T, {weight, bias}: Kernel<T>, window: Window, groups: number): T {
  const [batch, channels, height, width] = x.shape as MapShape;
  const [out, perGroup] = weight.shape as MapShape;
  if (perGroup * groups !== channels || out % groups !== 0)
    throw new Error(`[${weight.shape}] in ${groups} groups does not fit ${channels} channels`);
  const y = zeros('float64', [batch, out, outSize(height, window), outSize(width, window)]);
  const [area, outArea] = [height * width, y.shape[2]! * y.shape[3]!];
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < out; o++) {
      const target = y.data.subarray((n * out + o) * outArea, (n * out + o + 1) * outArea);
      target.fill(bias ? bias.data[o]! : 0);
      const first = Math.floor(o / (out / groups)) * perGroup;
      for (let i = 0; i < perGroup; i++) {
        const plane = x.data.subarray((n * channels + first + i) * area, (n * channels + first + i + 1) * area);
        const kernel = weight.data.subarray(
          (o * perGroup + i) * window.kernel ** 2,
          (o * perGroup + i + 1) * window.kernel ** 2,
        );
        addCorrelation(target, y.shape[3]!, plane, [height, width], kernel, window);
      }
    }
  }
  return y;
}

/** target += plane ⋆ kernel, one channel of each; outside the plane are zeros. */
function addCorrelation(
  target: Float64Array,
  targetWidth: number,
  plane: Float64Array,
  [height, width]: readonly [number, number],
  kernel: Float64Array,
  {kernel: size, stride, pad}: Window,
): void {
  for (let ky = 0; ky < size; ky++) {
    for (let kx = 0; kx < size; kx++) {
      const w = kernel[ky * size + kx]!;
      for (let at = 0; at < target.length; at++) {
        const row = Math.floor(at / targetWidth) * stride - pad + ky;
        const column = (at % targetWidth) * stride - pad + kx;
        if (row >= 0 && row < height && column >= 0 && column < width) target[at]! += w * plane[row * width + column]!;
      }
    }
  }
}

/** One number of each window, from those of its numbers that lie inside the map. */
function pool(x: T, window: Window, combine: (values: readonly number[]) => number): T {
  const [batch, channels, height, width] = x.shape as MapShape;
  const [h, w] = [outSize(height, window), outSize(width, window)];
  const y = zeros('float64', [batch, channels, h, w]);
  for (let at = 0; at < y.data.length; at++) {
    const plane = Math.floor(at / (h * w)) * height * width;
    const top = (Math.floor(at / w) % h) * window.stride - window.pad;
    const left = (at % w) * window.stride - window.pad;
    const values: number[] = [];
    for (let row = Math.max(0, top); row < Math.min(height, top + window.kernel); row++) {
      for (let column = Math.max(0, left); column < Math.min(width, left + window.kernel); column++) {
        values.push(x.data[plane + row * width + column]!);
      }
    }
    y.data[at] = combine(values);
  }
  return y;
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** [..., I] and [O, I] → [..., O]. */
function linear(x: T, {weight, bias}: Kernel<T>): T {
  const [out, size] = weight.shape as [number, number];
  const y = zeros('float64', [...x.shape.slice(0, -1), out]);
  for (let at = 0; at < y.data.length; at++) {
    const [row, o] = [Math.floor(at / out), at % out];
    let total = bias ? bias.data[o]! : 0;
    for (let i = 0; i < size; i++) total += x.data[row * size + i]! * weight.data[o * size + i]!;
    y.data[at] = total;
  }
  return y;
}

function layerNorm(x: T, {gamma, beta, eps}: {gamma: T; beta: T; eps: number}): T {
  const size = x.shape.at(-1)!;
  const y = zeros('float64', x.shape);
  for (let start = 0; start < x.data.length; start += size) {
    const row = [...x.data.subarray(start, start + size)];
    const centre = mean(row);
    const deviation = Math.sqrt(mean(row.map((v) => (v - centre) ** 2)) + eps);
    for (const [c, v] of row.entries()) y.data[start + c] = ((v - centre) / deviation) * gamma.data[c]! + beta.data[c]!;
  }
  return y;
}

function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  const exponentials = scores.map((s) => Math.exp(s - largest));
  const total = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((e) => e / total);
}

/** qkv is [N, T, blocks × (q, k, v) × heads × headSize], the result [N, T, blocks × heads × headSize]. */
function attention(qkv: T, {tokens, headSize, heads, blocks, scale}: AttentionSize, mask: T | undefined): T {
  const width = blocks * heads * headSize;
  const y = zeros('float64', [qkv.shape[0]!, tokens, width]);
  for (let n = 0; n < qkv.shape[0]!; n++) {
    for (let head = 0; head < blocks * heads; head++) {
      const [block, own] = [Math.floor(head / heads), head % heads];
      const row = (part: number, token: number) => {
        const start = (n * tokens + token) * 3 * width + ((block * 3 + part) * heads + own) * headSize;
        return qkv.data.subarray(start, start + headSize);
      };
      for (let t = 0; t < tokens; t++) {
        const query = row(0, t);
        const scores = Array.from({length: tokens}, (_, u) => {
          const score = scale * row(1, u).reduce((total, k, i) => total + query[i]! * k, 0);
          return mask ? score / (1 + Math.exp(-mask.data[(own * mask.shape[1]! + t) * mask.shape[1]! + u]!)) : score;
        });
        const out = y.data.subarray((n * tokens + t) * width + head * headSize).subarray(0, headSize);
        for (const [u, p] of softmax(scores).entries()) {
          for (const [i, v] of row(2, u).entries()) out[i]! += p * v;
        }
      }
    }
  }
  return y;
}

/** Every channel c of y from channel `from(c)` of x, or zeros. */
function gatherChannels(x: T, channels: number, from: (c: number) => number | undefined): T {
  const [batch, own, height, width] = x.shape as MapShape;
  const area = height * width;
  const y = zeros('float64', [batch, channels, height, width]);
  for (let at = 0; at < batch * channels; at++) {
    const [n, c] = [Math.floor(at / channels), from(at % channels)];
    if (c !== undefined) y.data.set(x.data.subarray((n * own + c) * area, (n * own + c + 1) * area), at * area);
  }
  return y;
}

/** [N, A, B] → [N, B, A]. */
const swap = (x: T): T => referenceOps.transpose(x, [0, 2, 1]);

export const referenceLayers: LayerOps<T> = {
  conv: (x, kernel, m, groups) => convolve(x, kernel, {kernel: m.kernel[0], stride: m.stride, pad: m.pad}, groups),
  batchNorm(x, {gamma, beta, mean, variance, eps}) {
    const [, channels, height, width] = x.shape as MapShape;
    return float64(
      x.shape,
      x.data.map((v, at) => {
        const c = Math.floor(at / (height * width)) % channels;
        return ((v - mean.data[c]!) / Math.sqrt(variance.data[c]! + eps)) * gamma.data[c]! + beta.data[c]!;
      }),
    );
  },
  relu: (x) => each(x, (v) => Math.max(v, 0)),
  relu6: (x, scale) => each(x, (v) => Math.min(Math.max(v, 0), 6 / scale)),
  gelu: (x, scale) => each(x, (v) => (scale * v * 0.5 * (1 + erf((scale * v) / Math.SQRT2))) / scale),
  maxPool: (x, window) => pool(x, window, (values) => Math.max(...values)),
  averagePool: (x, window) => pool(x, window, mean),
  globalAveragePool: (x) => pool(x, {kernel: x.shape[2]!, stride: x.shape[2]!, pad: 0}, mean),
  flatten: (x) => float64([x.shape[0]!, x.data.length / x.shape[0]!], x.data),
  subsample: (x, stride) => pool(x, {kernel: 1, stride, pad: 0}, ([v]) => v!),
  padChannels(x, {before, after, blocks}) {
    const own = x.shape[1]! / blocks;
    const padded = before + own + after;
    return gatherChannels(x, blocks * padded, (c) => {
      const position = (c % padded) - before;
      return position >= 0 && position < own ? Math.floor(c / padded) * own + position : undefined;
    });
  },
  add: referenceOps.add,
  linear: (x, kernel) => linear(x, kernel),
  layerNorm,
  attention,
  tokens: (x, [channels, tokens]) => swap(float64([x.shape[0]!, channels, tokens], x.data)),
  map: (x, shape) => float64([x.shape[0]!, ...shape], swap(x).data),
  meanOfTokens(x) {
    const [batch, tokens, channels] = x.shape as [number, number, number];
    const y = zeros('float64', [batch, channels]);
    for (const [at, v] of x.data.entries())
      y.data[Math.floor(at / (tokens * channels)) * channels + (at % channels)]! += v / tokens;
    return y;
  },
};

/** The logits [N, classes] of images [N, 3, S, S], in the arithmetic of the stored tensors and float64 alone. */
export function runReference(arch: Architecture, stateDict: StateDict, form: GpdForm, role: Role, images: Tensor): T {
  const parameters = parametersOf(referenceOps, form, role, ({key, leading}) => toFloat64(stateDict.get(key)!.read(leading)));
  return new Walk(arch, referenceLayers, parameters).run(toFloat64(images), images.shape[2]!);
}
