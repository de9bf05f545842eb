/** The files below a folder. Links are followed, as torchvision does: subsets of ImageNet are often made of them. */
import {type Dirent, realpathSync, statSync} from 'node:fs';
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {GpdError} from '../core/error.js';
import {type Entry, isHidden, type Listing} from './entries.js';

/** Sets are a few folders deep; a tree deeper than this is not one. */
const MAX_DEPTH = 32;

export async function listFolder(folder: string): Promise<Listing> {
  const entries: Entry[] = [];
  const folders: string[] = [];
  const warnings: string[] = [];
  const visit = async (relative: string, above: readonly string[]) => {
    const real = realpathSync(join(folder, relative));
    if (above.includes(real) || above.length > MAX_DEPTH) {
      warnings.push(`${relative}: a link back to a folder that contains it was not followed`);
      return;
    }
    for (const item of await read(join(folder, relative))) {
      const path = relative === '' ? item.name : `${relative}/${item.name}`;
      if (isHidden(path)) continue;
      const kind = kindOf(join(folder, path), item);
      if (kind === 'folder') {
        folders.push(path);
        await visit(path, [...above, real]);
      } else if (kind === 'file') {
        const file = join(folder, path);
        entries.push({path, size: -1, read: () => readWhole(file)});
      } else warnings.push(`${path}: ${kind}`);
    }
  };
  await visit('', []);
  return {name: folder, entries, folders, warnings, async close() {}};
}

async function read(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, {withFileTypes: true});
  } catch (error) {
    throw new GpdError('FILE_UNREADABLE', `${path}: the folder cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      at: path,
      hint: 'check the path and its permissions',
      cause: error,
    });
  }
}

function kindOf(path: string, item: Dirent): string {
  if (item.isDirectory()) return 'folder';
  if (item.isFile()) return 'file';
  if (!item.isSymbolicLink()) return 'is not a regular file, and was left out';
  try {
    const target = statSync(path);
    return target.isDirectory()
      ? 'folder'
      : target.isFile()
        ? 'file'
        : 'links to something that is not a file, and was left out';
  } catch {
    return 'is a link that leads nowhere, and was left out';
  }
}

/** A plain error, for the loader to report with the path: one lost image does not make the set unreadable. */
async function readWhole(file: string): Promise<Uint8Array> {
  try {
    return new Uint8Array((await readFile(file)).buffer as ArrayBuffer); // readFile's buffers are not shared
  } catch (error) {
    throw new Error(`it cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`);
  }
}
