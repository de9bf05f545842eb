/** Numbers for people. Units are decimal: 1 MB is 10⁶ bytes. */

export const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ',');

const scale = (n: number, units: readonly string[]): string => {
  let i = 0;
  for (; Math.abs(n) >= 999.5 && i < units.length - 1; i++) n /= 1000;
  const digits = i === 0 || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
  return `${n.toFixed(digits)} ${units[i]}`.trim();
};
export const bytes = (n: number): string => scale(n, ['B', 'kB', 'MB', 'GB', 'TB']);
/** 1.81 G: multiply-accumulates. */
export const si = (n: number): string => scale(n, ['', 'k', 'M', 'G', 'T']);
export const duration = (ms: number): string =>
  ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9950 ? 2 : 1)} s`;
/** 5.7e-7 */
export const tiny = (n: number): string =>
  n === 0 ? '0' : n >= 0.01 && n < 1000 ? String(Number(n.toPrecision(2))) : n.toExponential(1).replace('.0e', 'e');

/** `1 tensor`, `2 tensors`. */
export const plural = (n: number, noun: string): string => `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
