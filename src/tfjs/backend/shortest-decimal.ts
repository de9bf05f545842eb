const DIGITS = 9; // tell any two float32 numbers apart

/** The shortest decimal that float32 takes for this number: 0.9 for what became of 0.9. */
export function shortestDecimal(single: number): number {
  for (let digits = 1; digits < DIGITS; digits++) {
    const decimal = Number(single.toPrecision(digits));
    if (Math.fround(decimal) === single) return decimal;
  }
  return single;
}
