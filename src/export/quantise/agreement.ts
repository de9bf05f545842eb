/** How far the logits of two networks are apart on the same images. Pure; numbers in float64. */

export interface Agreement {
  images: number;
  /**
   * Mean of KL(p ‖ q), in nats: p and q are the networks' probabilities. What choices are made by: it has no steps and needs no labels.
   * Infinite where a logit of either is NaN or infinite: nothing is as far apart.
   */
  divergence: number;
  /** Percent of images with the same top class; a NaN or infinite logit agrees with nothing. */
  sameTop1: number;
}

export function agreementOf(reference: ArrayLike<number>, other: ArrayLike<number>, classes: number): Agreement {
  const images = reference.length / classes;
  let [divergence, same] = [0, 0];
  for (let start = 0; start < reference.length; start += classes) {
    if (!isFiniteRow(reference, start, classes) || !isFiniteRow(other, start, classes)) {
      divergence = Number.POSITIVE_INFINITY;
      continue;
    }
    const [p, q] = [logProbabilities(reference, start, classes), logProbabilities(other, start, classes)];
    for (let i = 0; i < classes; i++) divergence += Math.exp(p[i]!) * (p[i]! - q[i]!);
    if (largest(p) === largest(q)) same++;
  }
  return {images, divergence: Math.max(0, divergence / images), sameTop1: (100 * same) / images};
}

function isFiniteRow(logits: ArrayLike<number>, start: number, classes: number): boolean {
  for (let i = start; i < start + classes; i++) if (!Number.isFinite(logits[i])) return false;
  return true;
}

/** xᵢ − log Σ exp xⱼ, shifted by the largest so that nothing overflows. */
function logProbabilities(logits: ArrayLike<number>, start: number, classes: number): Float64Array {
  const row = Float64Array.from({length: classes}, (_, i) => logits[start + i]!);
  const shift = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const normaliser = shift + Math.log(row.reduce((sum, x) => sum + Math.exp(x - shift), 0));
  return row.map((x) => x - normaliser);
}
const largest = (row: Float64Array): number => row.indexOf(row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
