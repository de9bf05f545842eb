/** SIGHUP, SIGINT and SIGTERM: what they do, wherever they come from. */

export const stopSignals = {SIGHUP: 1, SIGINT: 2, SIGTERM: 15} as const;
export type StopSignal = keyof typeof stopSignals;
export const stopSignalNames = Object.keys(stopSignals) as StopSignal[];

/** The status of a program that a signal ended, as shells report it. */
export const statusOfSignal = (signal: StopSignal): number => 128 + stopSignals[signal];

let interrupted: (() => void) | undefined;

/** The next Ctrl-C calls `listener` instead of ending the program, once. Gives what takes that back. */
export function onInterrupt(listener: () => void): () => void {
  interrupted = listener;
  return () => {
    if (interrupted === listener) interrupted = undefined;
  };
}

/** Ends the program, or lets long work end itself. `process.exit` runs the handlers that remove what is unfinished. */
export function obeySignal(signal: StopSignal): void {
  if (signal !== 'SIGINT' || !interrupted) process.exit(statusOfSignal(signal));
  const listener = interrupted;
  interrupted = undefined;
  listener();
}
