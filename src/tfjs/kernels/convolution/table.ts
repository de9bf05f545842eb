/** Numbers by three indices, the last one fastest. */
export function tabulate(
  [a, b, c]: readonly [number, number, number],
  at: (i: number, j: number, k: number) => number,
): number[] {
  return Array.from({length: a * b * c}, (_, n) => at(Math.floor(n / (b * c)), Math.floor(n / c) % b, n % c));
}
