/** What a folder and an archive have in common: files with relative paths that can be read. */
import {GpdError} from '../core/error.js';
import type {FileSpan} from './data-file.js';
import type {DataWarning} from './warnings.js';

export interface Entry {
  /** Relative, with '/'; no '.', '..' or empty parts. */
  readonly path: string;
  readonly size: number;
  read(): Promise<Uint8Array>;
  /** Where its bytes lie, for what is read by offset, as archives are. Undefined for what is compressed. */
  place?(): FileSpan;
}

export interface Listing {
  /** For messages. */
  readonly name: string;
  readonly entries: readonly Entry[];
  /** Folders that hold no file are classes too. */
  readonly folders: readonly string[];
  readonly warnings: readonly DataWarning[];
  /** Folders that are archives in truth: `000000` of `000000.tar`. */
  readonly roots?: readonly string[];
  close(): Promise<void>;
}

/** The bytes of a file of the set that is no image: without it the set cannot be understood. Throws DATASET_INVALID. */
export async function readBeside(set: string, {path, read}: Entry): Promise<Uint8Array> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof GpdError) throw error;
    const problem = `${set}/${path}: ${(error as Error).message}`;
    throw new GpdError('DATASET_INVALID', problem, {
      at: path,
      hint: 'get the set again, or check the disk that it is on',
      cause: error,
    });
  }
}

/** What lies in a folder of a listing, as if that were all; with `others`, what lies elsewhere stays as it is, to be counted. */
export function enterFolder(listing: Listing, folder: string, {others = false} = {}): Listing {
  const isBelow = (path: string) => path.startsWith(`${folder}/`);
  const cut = (path: string) => path.slice(folder.length + 1);
  const entries = listing.entries.flatMap((entry) =>
    isBelow(entry.path) ? [{...entry, path: cut(entry.path)}] : others ? [entry] : [],
  );
  const below = (paths: readonly string[]) => paths.filter(isBelow).map(cut);
  return {
    ...listing,
    name: `${listing.name}/${folder}`,
    entries,
    folders: below(listing.folders),
    roots: below(listing.roots ?? []),
  };
}

/** Python's order of str: by code point. (`<` orders by UTF-16 unit, where surrogates come before U+E000 to U+FFFF.) */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return (x >= 0xd800 && y >= 0xd800 ? Number(x < 0xe000) - Number(y < 0xe000) : 0) || x - y;
  }
  return a.length - b.length;
}

/** torchvision's IMG_EXTENSIONS. */
export const imageExtensions = ['.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp'];
export const isImage = (path: string): boolean => imageExtensions.some((extension) => path.toLowerCase().endsWith(extension));
/** Hidden files, and what systems leave in folders and archives: `._x`, `.DS_Store`, `__MACOSX`, `Thumbs.db`, `lost+found`. */
export const isHidden = (path: string): boolean =>
  path.split('/').some((part) => part.startsWith('.') || LEFT_BY_SYSTEMS.has(part));
const LEFT_BY_SYSTEMS: ReadonlySet<string> = new Set([
  ...['__MACOSX', 'Thumbs.db', 'ehthumbs.db', 'desktop.ini', '$RECYCLE.BIN', 'System Volume Information'],
  ...['lost+found', '@eaDir', '#recycle'], // of disks, and of network storage
]);

export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
export const fileOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** 'a, b, c and 7 more' */
export function some(names: readonly string[], shown = 3): string {
  const rest = names.length - shown;
  return rest > 0 ? `${names.slice(0, shown).join(', ')} and ${rest} more` : names.join(', ');
}
