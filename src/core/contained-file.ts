/** Opens a file that an untrusted document names, only if it really lies in the document's folder. */
import {lstatSync, realpathSync} from 'node:fs';
import {dirname, join, relative, resolve} from 'node:path';
import {type ByteSource, fileSource} from './bytes.js';
import {GpdError} from './error.js';

/** Why a relative path is refused, or undefined. Judged for every platform, whichever this one is. */
function whyUnsafe(location: string): string | undefined {
  if (location === '') return 'is empty';
  if (location.includes('\0')) return 'contains a NUL character';
  if (location.includes('\\')) return 'contains a backslash';
  if (location.startsWith('/')) return 'is an absolute path';
  if (location.includes(':')) return 'contains a colon, as drives and alternate streams of Windows do';
  const parts = location.split('/');
  if (parts.includes('..')) return "contains '..'";
  return parts.some((part) => part === '' || part === '.') ? 'has an empty part' : undefined;
}

/**
 * A regular file inside `folder`: no way out of it, no symbolic link on the way, no second hard link (which could lead to a file
 * that the folder's owner may read and the document's author may not).
 */
export function containedFileSource(folder: string, location: string, {store}: ContainedOptions = {}): ByteSource {
  const refuse = (problem: string) =>
    new GpdError('FILE_UNREADABLE', `'${location}' ${problem}; only files in ${folder} are opened`, {
      at: location,
      hint: 'a file that points elsewhere is not to be trusted; copy what it needs beside it',
    });
  const problem = whyUnsafe(location);
  if (problem) throw refuse(problem);
  const path = join(resolve(folder), location);
  const stored = store === undefined ? undefined : fileInStore(path, store);
  if (stored !== undefined) return fileSource(stored, {links: 'refuse'});
  if (leadsElsewhere(folder, path)) throw refuse('leads through a symbolic link');
  const source = fileSource(path, {links: 'refuse'});
  if (!leadsElsewhere(folder, path)) return source;
  source.close(); // it was exchanged while it was being opened
  throw refuse('leads through a symbolic link');
}

export interface ContainedOptions {
  /** A folder of files by their digest, into which a symbolic link may lead: the cache of the Hugging Face hub has one, `blobs`. */
  store?: string | undefined;
}

/** Where a symbolic link leads to a file that lies directly in the store; else undefined. */
function fileInStore(path: string, store: string): string | undefined {
  try {
    if (!lstatSync(path).isSymbolicLink()) return undefined;
    const real = realpathSync(path);
    return dirname(real) === realpathSync(store) ? real : undefined;
  } catch {
    return undefined;
  }
}

/** What cannot be looked at is no link; opening it says what it is. */
function leadsElsewhere(folder: string, path: string): boolean {
  let real: string;
  try {
    if (lstatSync(path).isSymbolicLink()) return true;
    real = realpathSync(dirname(path));
  } catch {
    return false;
  }
  return real !== resolve(realpathSync(folder), relative(resolve(folder), dirname(path)));
}
