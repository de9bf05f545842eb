/** Whether and how a batch is mixed: mixup (Zhang et al. 2018, arXiv 1710.09412) and CutMix (Yun et al. 2019, 1905.04899), drawn as timm 0.6.13 does. */
import {type Random, random} from '../../core/random.js';
import type {Mix} from '../step/step-config.js';

export interface Mixing {
  /** Alphas; 0: none. */
  readonly mixup: number;
  readonly cutmix: number;
  /** Least and largest side of the box as parts of the image, instead of CutMix's alpha. */
  readonly minmax?: readonly [number, number];
  /** Of mixing at all, and of CutMix where both are on. */
  readonly probability: number;
  readonly switchProbability: number;
}

/** Marsaglia and Tsang 2000, for shapes from 1 on; below, x of shape a is one of a + 1 times U^(1/a). */
function gamma(r: Random, shape: number): number {
  if (shape < 1) return gamma(r, shape + 1) * (1 - r.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  for (;;) {
    const z = r.normal();
    const v = (1 + z / Math.sqrt(9 * d)) ** 3;
    if (v > 0 && Math.log(1 - r.uniform()) < 0.5 * z * z + d * (1 - v + Math.log(v))) return d * v;
  }
}

/** Beta(a, a). Tiny shapes underflow: then it is one end or the other. */
export function symmetricBeta(r: Random, a: number): number {
  const [x, y] = [gamma(r, a), gamma(r, a)];
  return x + y > 0 ? x / (x + y) : Math.round(r.uniform());
}

/** How batch `batch` of an epoch is mixed with itself in reverse; undefined: it is not. */
export function drawMix(
  {mixup, cutmix, minmax, probability, switchProbability}: Mixing,
  {seed, epoch, batch, side}: {seed: number; epoch: number; batch: number; side: number},
): Mix | undefined {
  const r = random(`mix ${seed}/${epoch}/${batch}`);
  const boxes = minmax ? 1 : cutmix; // timm sets the alpha to 1 where the box has bounds of its own
  if ((mixup === 0 && boxes === 0) || r.uniform() >= probability) return undefined;
  const usesBox = mixup === 0 || (boxes > 0 && r.uniform() < switchProbability);
  const lam = symmetricBeta(r, usesBox ? boxes : mixup);
  if (lam === 1) return undefined;
  if (!usesBox) return {kind: 'mixup', lam};
  const [rows, columns] = minmax ? boundedBox(r, side, minmax) : centredBox(r, side, lam);
  const area = (rows[1] - rows[0]) * (columns[1] - columns[0]);
  return {kind: 'cutmix', lam: 1 - area / side ** 2, box: [...rows, ...columns]};
}

type Span = readonly [from: number, to: number];

/** Sides of √(1 − λ) around a random pixel, cut off at the borders. */
function centredBox(r: Random, side: number, lam: number): [Span, Span] {
  const half = Math.floor(Math.trunc(side * Math.sqrt(1 - lam)) / 2);
  const span = (): Span => {
    const centre = r.integer(side);
    return [Math.max(0, centre - half), Math.min(side, centre + half)];
  };
  return [span(), span()];
}

function boundedBox(r: Random, side: number, [least, most]: readonly [number, number]): [Span, Span] {
  const span = (): Span => {
    const [low, high] = [Math.trunc(side * least), Math.trunc(side * most)];
    const length = low + r.integer(Math.max(1, high - low));
    const from = r.integer(Math.max(1, side - length));
    return [from, from + length];
  };
  return [span(), span()];
}
