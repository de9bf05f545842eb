/** A path to a dataset: what it is is decided by what lies there, not by its name. */
import {readdirSync, statSync} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import {archiveKind, isParquet, listArchive, noArchive} from './archives.js';
import {joinListings} from './archives-inside.js';
import {expandBraces} from './braces.js';
import {isCifarFile, isCifarNames} from './cifar.js';
import {closeIdleFiles, DataFile, wholeFile} from './data-file.js';
import type {Dataset} from './dataset.js';
import type {Entry, Listing} from './entries.js';
import {listFolder, readWhole} from './folder.js';
import type {LabelBase} from './label-base.js';
import {readLabelFile} from './label-file.js';
import {arrange} from './layouts.js';
import type {Use} from './splits.js';
import {aboutImages, refuseWarnings} from './warnings.js';

export interface OpenDatasetOptions {
  /** A file of labels, or of class names in label order: see `labels.ts`. */
  readonly labels?: string | undefined;
  /** What the first class is in it, where the numbers alone do not tell. */
  readonly labelBase?: LabelBase | undefined;
  /** Which label is wanted, where a set has several: a column of a table, a key of JSON, `coarse` of CIFAR-100. */
  readonly labelColumn?: string | undefined;
  /** How many outputs the model has that is evaluated: decides how labels count, and which are none. */
  readonly outputs?: number | undefined;
  /** Which of several sets is taken, where there are some: the training images, or those that measure (beside a training: the rest is not left out). Default 'evaluation'. */
  readonly use?: Use;
  /** Only the pixels are used: what is wrong with labels is of no concern. Default false. */
  readonly imagesOnly?: boolean;
  /** Warnings are errors. Default false. */
  readonly strict?: boolean | undefined;
}

/**
 * A folder, an archive, a list of archives (`shard-{000..009}.tar`), or a file of a known set. Throws DATASET_INVALID for what is none, for labels
 * that do not fit or may be read in two ways, and, if `strict`, for every warning.
 */
export async function openDataset(path: string, options: OpenDatasetOptions = {}): Promise<Dataset> {
  const dataset = await openAny(path, options);
  const said = options.imagesOnly ? aboutImages(dataset.warnings) : dataset.warnings;
  try {
    if (options.strict) refuseWarnings(path, said);
  } catch (error) {
    await dataset.close();
    throw error;
  }
  const close = async () => {
    await dataset.close();
    await closeIdleFiles();
  };
  return {...dataset, close, warnings: said};
}

async function openAny(path: string, options: OpenDatasetOptions): Promise<Dataset> {
  const {labels, labelBase: base, labelColumn: column, outputs, use = 'evaluation'} = options;
  const file = labels === undefined ? undefined : readLabelFile(labels, column);
  const listing = await listingOf(path);
  try {
    return await arrange(listing, file, {base, column, outputs, use});
  } catch (error) {
    await listing.close();
    await closeIdleFiles();
    throw error;
  }
}

const isThere = (path: string) => statSync(path, {throwIfNoEntry: false});

async function listingOf(path: string): Promise<Listing> {
  const paths = isThere(path) ? [path] : expandBraces(path);
  if (paths.length > 1) return listPaths(path, paths);
  if (isThere(path)?.isDirectory()) return listFolder(path);
  if (isCifarFile(basename(path)) && isThere(path)) return cifarFile(path);
  const place = wholeFile(new DataFile(path));
  if (isParquet(place)) return {...joinListings(path, []), entries: [fileEntry(path)], async close() {}};
  const kind = archiveKind(place);
  if (!kind) throw noArchive(place);
  const listing = await listArchive(place, kind);
  const close = async () => {
    await listing.close();
    await place.file.close();
  };
  return {...listing, close};
}

/** A batch, and what names its classes beside it. */
function cifarFile(path: string): Listing {
  const beside = readdirSync(dirname(path)).filter(isCifarNames);
  const entries = [path, ...beside.map((file) => join(dirname(path), file))].map(fileEntry);
  return {...joinListings(path, []), entries, async close() {}};
}

/** Files that were named one by one, as the files of a folder. */
async function listPaths(name: string, paths: readonly string[]): Promise<Listing> {
  const parts: Listing[] = [];
  for (const path of paths) {
    if (isThere(path)?.isDirectory()) parts.push(await listFolder(path));
    else parts.push({...joinListings(path, []), entries: [fileEntry(path)], async close() {}});
  }
  return {...joinListings(name, parts), async close() {}};
}

function fileEntry(path: string): Entry {
  const place = wholeFile(new DataFile(path));
  return {path: basename(path), size: place.size, read: () => readWhole(path), place: () => place};
}
