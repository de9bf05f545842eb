/** A tensor in a few numbers, for tables. */
export interface TensorStatistics {
  min: number;
  max: number;
  mean: number;
  deviation: number;
  /** NaN and infinite ones; the numbers above are of the others. */
  nonFinite: number;
}

export function statisticsOf(values: ArrayLike<number>): TensorStatistics {
  let [min, max, sum, squares, finite] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (!Number.isFinite(v)) continue;
    if (v < min) min = v;
    if (v > max) max = v;
    sum += v;
    squares += v * v;
    finite++;
  }
  const mean = sum / finite;
  return {min, max, mean, deviation: Math.sqrt(Math.max(0, squares / finite - mean * mean)), nonFinite: values.length - finite};
}
