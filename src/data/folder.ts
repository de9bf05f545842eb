/** The files below a folder. Links are followed, as torchvision does: subsets of ImageNet are often made of them. */
import {type Dirent, realpathSync, statSync} from 'node:fs';
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {ownBytes} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {DataFile, wholeFile} from './data-file.js';
import {type Entry, isHidden, type Listing} from './entries.js';
import {warnings} from './warnings.js';

type LeftOut = 'link-loop' | 'dead-link' | 'special-file';

/** Sets are a few folders deep; a tree deeper than this is not one. */
const MAX_DEPTH = 32;

export async function listFolder(folder: string): Promise<Listing> {
  const entries: Entry[] = [];
  const folders: string[] = [];
  const left: Record<LeftOut, string[]> = {'link-loop': [], 'dead-link': [], 'special-file': []};
  const visit = async (relative: string, above: readonly string[]) => {
    const real = realpathSync(join(folder, relative));
    if (above.includes(real) || above.length > MAX_DEPTH) {
      left['link-loop'].push(relative);
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
        entries.push({path, size: -1, read: () => readWhole(file), place: () => wholeFile(new DataFile(file))});
      } else left[kind].push(path);
    }
  };
  await visit('', []);
  const said = (Object.keys(left) as LeftOut[]).flatMap((kind) => warnings(kind, left[kind]));
  return {name: folder, entries, folders, warnings: said, async close() {}};
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

function kindOf(path: string, item: Dirent): 'folder' | 'file' | LeftOut {
  try {
    const target = item.isSymbolicLink() ? statSync(path) : item;
    return target.isDirectory() ? 'folder' : target.isFile() ? 'file' : 'special-file';
  } catch {
    return 'dead-link'; // to nothing, to itself, or to where nobody may look
  }
}

/** Throws a plain error, for the loader to report with the path: one lost image does not make the set unreadable. */
export async function readWhole(file: string): Promise<Uint8Array> {
  try {
    return ownBytes(await readFile(file));
  } catch (error) {
    throw new Error(`it cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`);
  }
}
