/** What a row of logits says about one image. Pure; numbers in float64. */
import {argmax} from '../core/compare-outputs.js';

export interface Score {
  /** The class with the largest logit; of equal ones the first, as in PyTorch. */
  predicted: number;
  /** Probability of that class. */
  confidence: number;
  /** Classes that come before the label, 0 if the answer is right; -1 where the label is not known. */
  rank: number;
  /** Cross-entropy, −log p(label); NaN where the label is not known. */
  loss: number;
  /** False if a logit is NaN or infinite: such a model has no accuracy, and none is reported. */
  finite: boolean;
}

/** log Σ exp xᵢ, shifted by the largest so that nothing overflows. */
export function logSumExp(logits: ArrayLike<number>): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > largest) largest = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - largest);
  return largest + Math.log(sum);
}

/** How many classes come before the label: those with a larger logit, and equal ones with a smaller index. */
function rankOf(logits: ArrayLike<number>, label: number): number {
  const own = logits[label]!;
  let rank = 0;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > own || (logits[i] === own && i < label)) rank++;
  return rank;
}

function allFinite(logits: ArrayLike<number>): boolean {
  for (let i = 0; i < logits.length; i++) if (!Number.isFinite(logits[i]!)) return false;
  return true;
}

/** Among these classes alone (indices, rising), as if the network had no other outputs. A NaN elsewhere counts all the same. */
export function scoreAmong(logits: ArrayLike<number>, label: number, classes: readonly number[]): Score {
  if (!allFinite(logits)) return scoreOf(logits, label);
  const score = scoreOf(
    classes.map((c) => logits[c]!),
    classes.indexOf(label),
  );
  return {...score, predicted: classes[score.predicted]!};
}

/** `label` is -1 where it is not known. */
export function scoreOf(logits: ArrayLike<number>, label: number): Score {
  const predicted = argmax(logits);
  const known = label >= 0;
  if (!allFinite(logits)) return {predicted, confidence: 0, rank: known ? logits.length : -1, loss: Number.NaN, finite: false};
  const normaliser = logSumExp(logits);
  return {
    predicted,
    confidence: Math.exp(logits[predicted]! - normaliser),
    rank: known ? rankOf(logits, label) : -1,
    loss: known ? normaliser - logits[label]! : Number.NaN,
    finite: true,
  };
}
