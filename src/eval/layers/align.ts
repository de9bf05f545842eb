/** Two sequences side by side, in their order: the pairs whose scores have the largest sum (Needleman and Wunsch 1970, gaps cost nothing). */

/** Beyond, only neighbours in the order are compared: memory grows with the product of the lengths. */
const MAX_CELLS = 2 ** 22;

/** Pairs of items whose score is at least `least`; both sequences keep their order. */
export function alignByCorrelation<A, B>(
  a: readonly A[],
  b: readonly B[],
  score: (x: A, y: B) => number,
  least: number,
): [A, B][] {
  if ((a.length + 1) * (b.length + 1) > MAX_CELLS) {
    const [halfA, halfB] = [a.length >> 1, b.length >> 1];
    const parts = [
      [a.slice(0, halfA), b.slice(0, halfB)],
      [a.slice(halfA), b.slice(halfB)],
    ] as const;
    return parts.flatMap(([x, y]) => alignByCorrelation(x, y, score, least));
  }
  const width = b.length + 1;
  const best = new Float64Array((a.length + 1) * width);
  const step = new Uint8Array(best.length);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--) {
      const own = score(a[i]!, b[j]!);
      const options = [
        best[(i + 1) * width + j]!,
        best[i * width + j + 1]!,
        own >= least ? own + best[(i + 1) * width + j + 1]! : -1,
      ];
      const most = Math.max(...options);
      best[i * width + j] = most;
      step[i * width + j] = options.lastIndexOf(most);
    }
  const pairs: [A, B][] = [];
  for (let [i, j] = [0, 0]; i < a.length && j < b.length; ) {
    const way = step[i * width + j]!;
    if (way === 2) pairs.push([a[i]!, b[j]!]);
    if (way !== 1) i++;
    if (way !== 0) j++;
  }
  return pairs;
}
