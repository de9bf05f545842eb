/** Running a command as a user does, and saying how long it took; numbers as benchmarks print them. */
import {spawnSync} from 'node:child_process';

export interface Runs {
  medianMs: number;
  minMs: number;
  maxMs: number;
  /** What the last run printed. */
  stdout: string;
}

/** Wall clock of whole processes, in order; the first of several runs warms the page cache and is not counted. */
export function timeCommand(args: readonly string[], runs: number): Runs {
  const times: number[] = [];
  let stdout = '';
  for (let i = 0; i <= runs; i++) {
    const start = performance.now();
    const result = spawnSync(process.execPath, args, {encoding: 'utf8', maxBuffer: 2 ** 26});
    const elapsed = performance.now() - start;
    if (result.status !== 0) throw new Error(`${args.join(' ')} ended with ${result.status}: ${result.stderr}`);
    if (i > 0 || runs === 0) times.push(elapsed);
    stdout = result.stdout;
  }
  times.sort((a, b) => a - b);
  return {medianMs: times[times.length >> 1]!, minMs: times[0]!, maxMs: times.at(-1)!, stdout};
}

export const ms = (value: number): string => `${value.toFixed(0)} ms`;
export const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
/** The median, the least and the most. */
export const range = (values: readonly number[], digits: number): string =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} … ${Math.max(...values).toFixed(digits)})`;
