/** How long calls of the engine take. Meanwhile this thread answers nobody: who waits for an answer must know how long is usual. */

let longestMs = 0;
let listener: ((ms: number) => void) | undefined;

/** Calls `next` with the milliseconds of each call that took clearly longer than all before. */
export function watchEngineCalls(next: (ms: number) => void): void {
  listener = next;
}

/** Runs a call of the engine. */
export async function engineCall<T>(call: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await call();
  const ms = performance.now() - start;
  if (ms > 1.25 * longestMs) {
    longestMs = ms;
    listener?.(ms);
  }
  return result;
}
