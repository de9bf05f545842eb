/** What a draw of mixup or CutMix (mixing.ts) means for the pixels and the targets of a batch. */
import {float32, type Tensor} from '../../core/tensor.js';
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
