/** PyTorch's optimisers: the update of one parameter. Rates and what follows from the number of the step are tensors, so that a step can be captured. */
import * as tf from '@tensorflow/tfjs-core';

export type OptimizerConfig =
  | {readonly kind: 'sgd'; readonly momentum: number; readonly nesterov: boolean}
  | {readonly kind: 'rmsprop'; readonly alpha: number; readonly eps: number; readonly momentum: number}
  | {readonly kind: 'adamw'; readonly betas: readonly [number, number]; readonly eps: number};
export type OptimizerKind = OptimizerConfig['kind'];

/** The slots of an optimiser under PyTorch's names, in the order in which it stores them. */
export function slotNames(config: OptimizerConfig): string[] {
  switch (config.kind) {
    case 'sgd':
      return config.momentum > 0 ? ['momentum_buffer'] : [];
    case 'rmsprop':
      return config.momentum > 0 ? ['square_avg', 'momentum_buffer'] : ['square_avg'];
    case 'adamw':
      return ['exp_avg', 'exp_avg_sq'];
  }
}

/** Numbers that change from step to step: the rate, and for AdamW the rate and root of its bias corrections. */
export function stepScalars(config: OptimizerConfig, lr: number, step: number): number[] {
  if (config.kind !== 'adamw') return [lr];
  const [beta1, beta2] = config.betas;
  return [lr, lr / (1 - beta1 ** step), Math.sqrt(1 - beta2 ** step)];
}

export interface Update {
  value: tf.Tensor;
  slots: tf.Tensor[];
}

/** `scalars` are those of `stepScalars`; slots are in the order of `slotNames`. A slot of zeros is one that was never used. */
export function updateParameter(
  config: OptimizerConfig,
  value: tf.Tensor,
  gradient: tf.Tensor,
  slots: readonly tf.Tensor[],
  weightDecay: number,
  scalars: readonly tf.Tensor[],
): Update {
  switch (config.kind) {
    case 'sgd':
      return sgd(config, value, decayed(gradient, value, weightDecay), slots, scalars[0]!);
    case 'rmsprop':
      return rmsprop(config, value, decayed(gradient, value, weightDecay), slots, scalars[0]!);
    case 'adamw':
      return adamw(config, value, gradient, slots, weightDecay, scalars);
  }
}

type Of<K extends OptimizerKind> = Extract<OptimizerConfig, {kind: K}>;

/** g + λ·p */
const decayed = (gradient: tf.Tensor, value: tf.Tensor, weightDecay: number): tf.Tensor =>
  weightDecay === 0 ? gradient : tf.add(gradient, tf.mul(value, weightDecay));
/** a·x + b·y */
const blend = (a: number, x: tf.Tensor, b: number, y: tf.Tensor) => tf.add(tf.mul(x, a), tf.mul(y, b));

/** torch.optim.SGD: b ← μ·b + d; p ← p − η·b, or − η·(d + μ·b) with Nesterov. */
function sgd(
  {momentum, nesterov}: Of<'sgd'>,
  value: tf.Tensor,
  d: tf.Tensor,
  slots: readonly tf.Tensor[],
  lr: tf.Tensor,
): Update {
  if (momentum === 0) return {value: tf.sub(value, tf.mul(d, lr)), slots: []};
  const buffer = tf.add(tf.mul(slots[0]!, momentum), d);
  const direction = nesterov ? tf.add(d, tf.mul(buffer, momentum)) : buffer;
  return {value: tf.sub(value, tf.mul(direction, lr)), slots: [buffer]};
}

/** torch.optim.RMSprop: s ← α·s + (1−α)·d²; b ← μ·b + d/(√s + ε); p ← p − η·b. */
function rmsprop(c: Of<'rmsprop'>, value: tf.Tensor, d: tf.Tensor, slots: readonly tf.Tensor[], lr: tf.Tensor): Update {
  const average = blend(c.alpha, slots[0]!, 1 - c.alpha, tf.square(d));
  const scaled = tf.div(d, tf.add(tf.sqrt(average), c.eps));
  if (c.momentum === 0) return {value: tf.sub(value, tf.mul(scaled, lr)), slots: [average]};
  const buffer = tf.add(tf.mul(slots[1]!, c.momentum), scaled);
  return {value: tf.sub(value, tf.mul(buffer, lr)), slots: [average, buffer]};
}

/** torch.optim.AdamW: p ← p·(1 − η·λ); m, v as in Adam; p ← p − η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε). */
function adamw(
  {betas, eps}: Of<'adamw'>,
  value: tf.Tensor,
  gradient: tf.Tensor,
  slots: readonly tf.Tensor[],
  weightDecay: number,
  [lr, rate, root]: readonly tf.Tensor[],
): Update {
  const [beta1, beta2] = betas;
  const m = blend(beta1, slots[0]!, 1 - beta1, gradient);
  const v = blend(beta2, slots[1]!, 1 - beta2, tf.square(gradient));
  const shrunk = weightDecay === 0 ? value : tf.sub(value, tf.mul(value, tf.mul(lr!, weightDecay)));
  const direction = tf.div(m, tf.add(tf.div(tf.sqrt(v), root!), eps));
  return {value: tf.sub(shrunk, tf.mul(direction, rate!)), slots: [m, v]};
}
