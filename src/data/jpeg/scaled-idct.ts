/**
 * The inverse cosine transform that gives fewer samples, or more, than a block has: `side` samples from the lowest frequencies. It is
 * what an orthonormal transform of that length gives, scaled so that a constant block keeps its value. Facts: ITU T.81, A.3.3.
 */

const FRACTION_BITS = 15;

/** Sample → frequency → weight: cos((2x + 1)uπ / 2·side) / 2, of the constant 1/√8; frequencies beyond the side's are left out. */
function weight(side: number, x: number, u: number): number {
  if (u >= side) return 0;
  const exact = u === 0 ? Math.SQRT1_2 / 2 : Math.cos(((2 * x + 1) * u * Math.PI) / (2 * side)) / 2;
  return Math.round(exact * 2 ** FRACTION_BITS);
}

export interface ScaledIdct {
  /** For each sample its eight weights: int16 [side, 8]. */
  readonly vertical: Int16Array;
  /** For eight samples at a time and each pair of frequencies the weights of all samples, in pairs: int16 [2, 4, 8, 2]. */
  readonly horizontal: Int16Array;
}

const cache = new Map<number, ScaledIdct>();

/** side: 1 to 16. */
export function scaledIdct(side: number): ScaledIdct {
  const found = cache.get(side);
  if (found) return found;
  const vertical = Int16Array.from({length: side * 8}, (_, i) => weight(side, i >> 3, i & 7));
  const horizontal = Int16Array.from({length: 128}, (_, i) => {
    const x = 8 * (i >> 6) + ((i >> 1) & 7);
    return x < side ? weight(side, x, 2 * ((i >> 4) & 3) + (i & 1)) : 0;
  });
  const made = {vertical, horizontal};
  cache.set(side, made);
  return made;
}
