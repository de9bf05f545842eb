/** Mixup (Zhang et al., arXiv 1710.09412) and CutMix (Yun et al., arXiv 1905.04899) of a batch with itself in reverse order, as timm has them. */
import type {Random} from '../core/random.js';
import {float32, type Tensor} from '../core/tensor.js';
import type {Mix} from './step-config.js';

/** [S, S]: how much of each pixel is the image's own; the rest is the other's. */
export function mixWeights(mix: Mix, side: number): Tensor<'float32'> {
  const weights = new Float32Array(side * side).fill(mix.kind === 'mixup' ? mix.lam : 1);
  if (mix.kind === 'cutmix') {
    const [top, bottom, left, right] = mix.box;
    for (let row = top; row < bottom; row++) weights.fill(0, row * side + left, row * side + right);
  }
  return float32([side, side], weights);
}

/** Target distributions [N, C]: λ of the label's, 1 − λ of the other image's, each smoothed: ε/C everywhere, 1 − ε more at the label. */
export function targetsOf(
  labels: ArrayLike<number>,
  classes: number,
  smoothing: number,
  mix: Mix | undefined,
): Tensor<'float32'> {
  const batch = labels.length;
  const targets = new Float32Array(batch * classes).fill(smoothing / classes);
  const lam = mix ? mix.lam : 1;
  for (let i = 0; i < batch; i++) {
    targets[i * classes + labels[i]!]! += (1 - smoothing) * lam;
    targets[i * classes + labels[batch - 1 - i]!]! += (1 - smoothing) * (1 - lam);
  }
  return float32([batch, classes], targets);
}

export const oneHot = (labels: ArrayLike<number>, classes: number): Tensor<'float32'> =>
  targetsOf(labels, classes, 0, undefined);

export interface MixOptions {
  /** Parameter of the Beta distribution of λ; 0 switches the method off. */
  readonly mixup: number;
  readonly cutmix: number;
  /** How often a batch is mixed, and how often by CutMix where both are on. */
  readonly probability: number;
  readonly switchProbability: number;
}

/** Gamma(shape, 1), for shapes below 1 by Johnk's power of a uniform number. Marsaglia and Tsang 2000. */
function gamma(random: Random, shape: number): number {
  if (shape < 1) return gamma(random, shape + 1) * (1 - random.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}
function beta(random: Random, alpha: number): number {
  const [a, b] = [gamma(random, alpha), gamma(random, alpha)];
  return a / (a + b);
}

/** A box of area 1 − λ around a uniform centre, clipped to the image; λ becomes the share that is really outside. */
function drawBox(random: Random, lam: number, side: number): Extract<Mix, {kind: 'cutmix'}> {
  const half = Math.trunc(Math.trunc(side * Math.sqrt(1 - lam)) / 2);
  const span = (centre: number) => [Math.max(0, centre - half), Math.min(side, centre + half)] as const;
  const [top, bottom] = span(random.integer(side));
  const [left, right] = span(random.integer(side));
  return {kind: 'cutmix', lam: 1 - ((bottom - top) * (right - left)) / side ** 2, box: [top, bottom, left, right]};
}

/** How the next batch is mixed; undefined for not at all. */
export function drawMix(
  random: Random,
  {mixup, cutmix, probability, switchProbability}: MixOptions,
  side: number,
): Mix | undefined {
  if ((mixup <= 0 && cutmix <= 0) || random.uniform() >= probability) return undefined;
  const useCutmix = mixup > 0 && cutmix > 0 ? random.uniform() < switchProbability : cutmix > 0;
  return useCutmix ? drawBox(random, beta(random, cutmix), side) : {kind: 'mixup', lam: beta(random, mixup)};
}
