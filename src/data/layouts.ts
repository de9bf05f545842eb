/** How sets lie on a disk: what a listing of files is, by the files that are in it. */
import {withArchivesInside} from './archives-inside.js';
import {cifarIn} from './cifar.js';
import type {Dataset} from './dataset.js';
import type {Listing} from './entries.js';
import type {LabelFile} from './label-file.js';
import {listedIn} from './listed-set.js';
import {organise, withoutTopFolder} from './organise.js';
import {parquetIn} from './parquet-set.js';
import type {SetContext} from './set-context.js';
import {flatShards, unclassed} from './shards.js';
import {chooseSplit, splitWarnings} from './splits.js';
import {type DataWarning, warnings} from './warnings.js';
import {webdatasetIn} from './webdataset.js';

type Layout = (listing: Listing, context: SetContext) => Promise<Dataset | undefined>;

/** THE table: sets with labels of their own, in the order in which they are looked for. What is none of them has class folders, or is flat. */
const withOwnLabels: readonly Layout[] = [cifarIn, parquetIn, webdatasetIn];
/** The same, where a file of labels that is given comes first. */
const withLists: readonly Layout[] = [listedIn];

/** A set of the files that are listed; it closes the listing. Throws DATASET_INVALID where there are no images, and for labels that do not fit them. */
export async function arrange(listing: Listing, labels: LabelFile | undefined, context: SetContext): Promise<Dataset> {
  const split = chosen(listing, context);
  const cifar = await cifarIn(split.listing, context);
  if (cifar) return completed(cifar, split, labels);
  const expanded = await withArchivesInside(split.listing);
  const inside = expanded === split.listing ? split : chosen(flatShards(expanded), context, split);
  try {
    for (const layout of labels ? withOwnLabels : [...withOwnLabels, ...withLists]) {
      const dataset = await layout(inside.listing, context);
      if (dataset) return completed(dataset, inside, labels);
    }
    return completed(organise(unclassed(inside.listing), labels, context), inside, undefined);
  } catch (error) {
    await expanded.close();
    throw error;
  }
}

interface Split {
  readonly listing: Listing;
  readonly said: readonly DataWarning[];
  readonly heldOut: readonly string[];
}

/** A folder around the set does not count, nor one around the split that is taken. */
function chosen(listing: Listing, {use}: SetContext, before?: Split): Split {
  const choice = chooseSplit(withoutTopFolder(listing), use);
  return {
    listing: withoutTopFolder(choice.listing),
    said: [...(before?.said ?? []), ...splitWarnings(choice, use)],
    heldOut: [...(before?.heldOut ?? []), ...choice.heldOut],
  };
}

/** A file of labels beside labels of the set's own names the classes, or is not used. */
function completed(dataset: Dataset, {said, heldOut}: Split, file: LabelFile | undefined): Dataset {
  const names = file && classNames(file, dataset);
  const unused = file && !names ? warnings('labels-not-read', [file.path], 'the set has its own') : [];
  const apart = [...heldOut, ...(dataset.heldOut ?? [])];
  return {
    ...dataset,
    ...(names && {classes: names, classesListed: true}),
    heldOut: apart,
    warnings: [...said, ...dataset.warnings, ...unused],
  };
}

/** Lines that are all different and as many as there are labels at least: names of the classes, for labels that are numbers. */
function classNames({texts, byFile}: LabelFile, {classes, samples}: Dataset): readonly string[] | undefined {
  const most = samples.reduce((max, {label}) => Math.max(max, label ?? 0), 0);
  const areNames = classes.length === 0 && !byFile && new Set(texts).size === texts.length && texts.length > most;
  return areNames && !texts.every((text) => /^\d+$/.test(text)) ? texts : undefined;
}
