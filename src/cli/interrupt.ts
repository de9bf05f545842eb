/** Ctrl-C during long work: the first asks it to end and keeps what was done, the second ends the program as usual. */

export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const usual = process.listeners('SIGINT') as (() => void)[];
  const restore = () => {
    process.off('SIGINT', first);
    for (const listener of usual) if (!process.listeners('SIGINT').includes(listener)) process.once('SIGINT', listener);
  };
  const first = () => {
    process.stderr.write('\ninterrupted: finishing what is under way; once more to stop at once\n');
    restore();
    controller.abort();
  };
  for (const listener of usual) process.off('SIGINT', listener);
  process.on('SIGINT', first);
  try {
    return await work(controller.signal);
  } finally {
    restore();
  }
}

/** 128 + SIGINT, as shells report it. */
export const INTERRUPTED = 130;
