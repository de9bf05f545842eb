/** Programs of worker threads. */
import {existsSync} from 'node:fs';

/**
 * A worker's compiled file beside `here`, the `import.meta.url` of who starts it: in dist/, or where a bundler put both. The tests' CommonJS has
 * no `import.meta`, and an application bundled into one file has no worker: then the work is done in this thread.
 */
export function workerFile(here: string | undefined, name: string): URL | undefined {
  if (here === undefined) return undefined;
  const file = new URL(name, here);
  return existsSync(file) ? file : undefined;
}
