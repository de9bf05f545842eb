/** The order of the samples in an epoch: a permutation that seed and epoch decide. */
import {random} from '../core/random.js';

/** One place of an epoch: which sample, and which of its copies. */
export interface Place {
  readonly index: number;
  readonly copy: number;
}

/** Fisher and Yates. */
export function permutation(n: number, seed: string): Uint32Array {
  const r = random(seed);
  const order = Uint32Array.from({length: n}, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor((r.uniform() + r.uniform() * 2 ** -24) * (i + 1)); // 24 bits are too few for a million
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/**
 * As many places as there are samples. With `repeats` each drawn sample occurs so often in a row, differently augmented, and only
 * a part of the set is seen: repeated augmentation (Hoffer et al. 2020, arXiv 1901.09335) as the original's RASampler has it.
 */
export function epochOrder(n: number, {seed, epoch, repeats}: {seed: number; epoch: number; repeats: number}): Place[] {
  const order = permutation(n, `order ${seed}/${epoch}`);
  return Array.from({length: n}, (_, i) => ({index: order[Math.floor(i / repeats)]!, copy: i % repeats}));
}
