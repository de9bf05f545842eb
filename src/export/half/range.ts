/** What float16 cannot hold: numbers beyond 65504, and numbers so small that too few bits of them are left. IEEE 754-2019, binary16. */

/** The largest finite float16. */
export const MAX_HALF = 65504;
/** Images unlike those of the calibration may be brighter: half of the range is kept free. */
export const HEADROOM = 2;
/**
 * Rounding to 11 bits changes a tensor by 2⁻¹¹ of its size at most, whatever its size; more means that its numbers lie below 2⁻¹⁴,
 * where bits are missing. Eight times that is where eight bits are left: what int8 has.
 */
export const MAX_ROUNDING = 2 ** -8;

/** Of one tensor, over everything that was seen of it. */
export interface ValueRange {
  readonly maxAbs: number;
  /** √(Σ(half(x) − x)² / Σx²); 0 for zeros. */
  readonly rounding: number;
}

export interface Unfit {
  readonly why: 'overflow' | 'underflow';
  readonly maxAbs: number;
  readonly rounding: number;
}

export function unfit({maxAbs, rounding}: ValueRange): Unfit | undefined {
  if (!(maxAbs * HEADROOM <= MAX_HALF)) return {why: 'overflow', maxAbs, rounding};
  return rounding > MAX_ROUNDING ? {why: 'underflow', maxAbs, rounding} : undefined;
}

/**
 * The nearest float16 as a number, ties to even, for |x| below MAX_HALF. Normal numbers by Veltkamp's splitting: x·(2¹³ + 1) minus its
 * own remainder keeps the upper 11 of float32's 24 bits. Below 2⁻¹⁴ the steps are 2⁻²⁴, those of float32 between 0.5 and 1.
 */
export function nearestHalf(x: number): number {
  const {fround} = Math;
  if (Math.abs(x) < 2 ** -14) return fround(fround(x + 0.75) - 0.75);
  const scaled = fround(x * 8193);
  return fround(scaled - fround(scaled - x));
}

/** Of a constant. */
export function valueRangeOf(values: ArrayLike<number>): ValueRange {
  let [maxAbs, energy, error] = [0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!;
    const difference = nearestHalf(x) - x;
    if (!(Math.abs(x) <= maxAbs)) maxAbs = Math.abs(x);
    energy += x * x;
    error += difference * difference;
  }
  return {maxAbs, rounding: energy === 0 ? 0 : Math.sqrt(error / energy)};
}
