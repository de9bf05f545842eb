/**
 * Which layers stay in float32, if the whole network on integers loses too much. Each layer is tried alone in float32: what that gains,
 * over what it costs, is its rank; then the shortest list of the first ranks that meets the gate is found.
 */

export interface Ranked<T> {
  readonly item: T;
  /** How much smaller the divergence is with this one in float32. */
  readonly gain: number;
  /** Multiply-accumulates that are float32 then. */
  readonly cost: number;
}

/** Most gain per cost first. What gains nothing comes last, in the order of its gain: with everything in float32 nothing is lost. */
export const rank = <T>(candidates: readonly Ranked<T>[]): Ranked<T>[] => {
  const value = ({gain, cost}: Ranked<T>) => (gain > 0 ? gain / Math.max(1, cost) : gain);
  return candidates.toSorted((a, b) => value(b) - value(a));
};

/**
 * The least n in 1 … count for which `holds`, if it holds for all from some n on: doubles until it holds, then halves what is between.
 * Undefined if it does not hold for `count`.
 */
export async function leastThatHolds(count: number, holds: (n: number) => Promise<boolean>): Promise<number | undefined> {
  let failed = 0;
  let held = 1;
  while (!(await holds(Math.min(held, count)))) {
    if (held >= count) return undefined;
    failed = held;
    held *= 2;
  }
  held = Math.min(held, count);
  while (held - failed > 1) {
    const middle = (failed + held) >> 1;
    if (await holds(middle)) held = middle;
    else failed = middle;
  }
  return held;
}
