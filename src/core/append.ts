/** Files that grow, in a folder that may be a stranger's. */
import {closeSync, constants, fstatSync, openSync, writeSync} from 'node:fs';
import {GpdError} from './error.js';

const problems: Readonly<Record<string, string>> = {
  ELOOP: 'is a symbolic link',
  EISDIR: 'is a directory',
  ENXIO: 'is not a regular file', // a FIFO that nobody reads, a socket
  ENOSPC: 'no space is left on the disk',
};

const refused = (path: string, problem: string, cause?: unknown): GpdError =>
  new GpdError('OUTPUT_REFUSED', `${path}: ${problem}; nothing was added to it`, {
    at: path,
    hint: problem === problems['ENOSPC'] ? 'free some space' : 'move it away, or write to another folder',
    cause,
  });

/**
 * Adds to the end of a regular file, which is made where there is none. Links of both kinds are refused (they could lead to a file
 * outside the folder), and so is everything that may block.
 */
export function append(path: string, content: Uint8Array | string): void {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const {O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW = 0, O_NONBLOCK = 0} = constants;
  let fd: number | undefined;
  try {
    fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw refused(path, 'is not a regular file');
    if (stat.nlink > 1) throw refused(path, `has ${stat.nlink} hard links`);
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
  } catch (error) {
    if (error instanceof GpdError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw refused(path, problems[code] ?? `cannot be written (${code || String(error)})`, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
