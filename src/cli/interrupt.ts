/** Ctrl-C during long work: the first asks it to end and keeps what was done, the second ends the program as usual. */
import {onInterrupt} from './stop-signals.js';

export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const restore = onInterrupt(() => {
    process.stderr.write('\ninterrupted: finishing what is under way; once more to stop at once\n');
    controller.abort();
  });
  try {
    return await work(controller.signal);
  } finally {
    restore();
  }
}

/** 128 + SIGINT, as shells report it. */
export const INTERRUPTED = 130;
