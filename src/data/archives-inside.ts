/**
 * Archives in place of images: the shards of a WebDataset, a tar for each class as ILSVRC2012's training images are shipped, a .zip that holds a tar.
 * What lies in them is listed as if each were a folder of its name.
 */
import {archiveKind, listArchive} from './archives.js';
import {type Entry, isImage, type Listing} from './entries.js';
import {archiveStem, isArchive} from './file-kinds.js';
import {type DataWarning, mergeWarnings, warnings} from './warnings.js';

/** A tar of tars, packed once more. Deeper is no set. */
const MAX_DEPTH = 3;

/** `listing`, with the contents of its archives where it has no images of its own. Closing it closes them. */
export async function withArchivesInside(listing: Listing, depth = 0): Promise<Listing> {
  const archives = listing.entries.filter(({path, place}) => place && isArchive(path));
  if (archives.length === 0 || listing.entries.some(({path}) => isImage(path)) || depth === MAX_DEPTH) return listing;
  const opened: Listing[] = [];
  const close = async () => {
    for (const inner of opened) await inner.close();
    await listing.close();
  };
  const rest = listing.entries.filter((entry) => !archives.includes(entry));
  const parts: Listing[] = [{...listing, entries: rest}];
  try {
    for (const entry of archives) {
      const inner = await listInside(entry);
      opened.push(inner);
      parts.push(archives.length === 1 ? inner : below(inner, archiveStem(entry.path)));
    }
    const roots = archives.length === 1 ? [] : archives.map(({path}) => archiveStem(path));
    return await withArchivesInside({...joinListings(listing.name, parts), roots, close}, depth + 1);
  } catch (error) {
    for (const inner of opened) await inner.close();
    throw error;
  }
}

async function listInside(entry: Entry): Promise<Listing> {
  const place = entry.place!();
  const kind = archiveKind(place);
  if (kind) {
    const listing = await listArchive(place, kind);
    const close = async () => {
      await listing.close();
      await place.file.close();
    };
    return {...listing, close};
  }
  const left = warnings('no-archive', [entry.path]);
  return {name: place.name, entries: [], folders: [], warnings: left, async close() {}};
}

/** As if it lay in a folder of that name. */
function below(listing: Listing, folder: string): Listing {
  const entries = listing.entries.map((entry) => ({...entry, path: `${folder}/${entry.path}`}));
  return {...listing, entries, folders: [folder, ...listing.folders.map((path) => `${folder}/${path}`)]};
}

/** Several listings as one; `close` is the caller's. */
export function joinListings(name: string, parts: readonly Listing[]): Omit<Listing, 'close'> {
  const said: DataWarning[] = parts.flatMap(({warnings: own}) => own);
  return {
    name,
    entries: parts.flatMap(({entries}) => entries),
    folders: parts.flatMap(({folders}) => folders),
    warnings: mergeWarnings(said),
  };
}
