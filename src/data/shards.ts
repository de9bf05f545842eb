/** Archives that are pieces of one set, not its classes: they are numbered one after the other. */
import {fileOf, folderOf, isImage, type Listing} from './entries.js';

/** Without the folders that stand for shards, where others lie in them: `000003/cat/1.jpg` is in class `cat`. */
export function flatShards(listing: Listing): Listing {
  const {roots = [], entries} = listing;
  if (!areShards(listing)) return listing;
  const inFolders = entries.every(({path}) => !isImage(path) || path.split('/').length > partsOf(roots) + 1);
  if (!inFolders) return listing;
  const root = new Set(roots);
  const cut = (path: string) => {
    const top = path.split('/').slice(0, partsOf(roots)).join('/');
    return root.has(top) ? path.slice(top.length + 1) : path;
  };
  const folders = listing.folders.map(cut).filter((path) => path !== '');
  return {...listing, entries: entries.map((entry) => ({...entry, path: cut(entry.path)})), folders, roots: []};
}

/** Images of shards that have no labels are in no class: `000003/1.jpg` becomes `000003.tar#1.jpg`. */
export function unclassed(listing: Listing): Listing {
  if (!areShards(listing)) return listing;
  const root = new Set(listing.roots);
  const flat = (path: string) => (root.has(folderOf(path)) ? `${folderOf(path)}.tar#${fileOf(path)}` : path);
  const entries = listing.entries.map((entry) => ({...entry, path: flat(entry.path)}));
  return {...listing, entries, folders: listing.folders.filter((path) => !root.has(path))};
}

const partsOf = (roots: readonly string[]): number => roots[0]!.split('/').length;

/** `shard-000`, `shard-001`, `shard-003`: one name, and few numbers missing. Numbers of synsets lie far apart. */
function areNumbered(roots: readonly string[]): boolean {
  const parts = roots.map((root) => /^(.*?)(\d+)$/.exec(root));
  const prefix = parts[0]?.[1];
  if (roots.length < 2 || !parts.every((part) => part?.[1] === prefix)) return false;
  const numbers = parts.map((part) => Number(part![2]));
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return most - least < 2 * roots.length;
}

/** Numbered, and not classes: images of a class are often called by it, `n01440764/n01440764_10026.JPEG`. */
function areShards({entries, roots = []}: Listing): boolean {
  const root = new Set(roots);
  const isNamed = (path: string) => root.has(folderOf(path)) && fileOf(path).startsWith(fileOf(folderOf(path)));
  return areNumbered(roots) && !entries.some(({path}) => isImage(path) && isNamed(path));
}
