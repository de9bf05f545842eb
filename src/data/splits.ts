/** Sets that hold several sets: `train/` and `val/`, `train-00000-of-00004.parquet`, `data/validation-0007.tar`. One of them is taken. */
import {type Entry, enterFolder, isImage, type Listing} from './entries.js';
import {isDataFile} from './file-kinds.js';
import {type DataWarning, warnings} from './warnings.js';

/** What a set is opened for: 'validation' beside training, which uses the rest. */
export type Use = 'evaluation' | 'validation' | 'training';

/** What splits are called, by what they are. */
const words = {
  train: ['train', 'training'],
  val: ['val', 'validation', 'valid', 'dev', 'eval'],
  test: ['test', 'testing'],
} as const;
type Split = keyof typeof words;

/** Test images have often no labels: validation comes first. */
const order: Readonly<Record<Use, readonly Split[]>> = {
  evaluation: ['val', 'test', 'train'],
  validation: ['val', 'test', 'train'],
  training: ['train', 'val', 'test'],
};

const splitOfWord = new Map(
  Object.entries(words).flatMap(([split, names]) => names.map((name) => [name as string, split as Split] as const)),
);

/** A file of a table or an archive tells it by a word of its name (`imagenet1k-validation-00.tar`), images by the folder that they are in. */
function splitOf(path: string): {split: Split; folder: string | undefined} | undefined {
  const [top, ...below] = path.split('/');
  const ofFolder = below.length > 0 ? splitOfWord.get(top!.toLowerCase()) : undefined;
  if (ofFolder) return {split: ofFolder, folder: top};
  if (!isDataFile(path)) return undefined;
  for (const word of path.toLowerCase().split(/[^a-z]+/)) {
    const split = splitOfWord.get(word);
    if (split) return {split, folder: undefined};
  }
  return undefined;
}

/** A listing of one split, and which others there are. */
export interface Chosen {
  readonly listing: Listing;
  /** What was taken, as the set calls it. */
  readonly taken?: string;
  readonly others: readonly string[];
  /** Of them, what training images are measured on. */
  readonly heldOut: readonly string[];
}

/** The one that the use asks for, where all that a set holds is in splits. A class may be called 'train': others beside it are no splits. */
export function chooseSplit(listing: Listing, use: Use): Chosen {
  const images = listing.entries.filter(({path}) => isImage(path));
  const holding = images.length > 0 ? images : listing.entries.filter(({path}) => isDataFile(path));
  const splits = new Map<Split, {name: string; folder: string | undefined}>();
  for (const {path} of holding) {
    const found = splitOf(path);
    if (!found) return {listing, ...NO_SPLITS};
    if (!splits.has(found.split)) splits.set(found.split, {name: found.folder ?? found.split, folder: found.folder});
  }
  const split = order[use].find((name) => splits.has(name));
  if (!split) return {listing, ...NO_SPLITS};
  const {name, folder} = splits.get(split)!;
  const others = [...splits].flatMap(([other, found]) => (other === split ? [] : [found.name])).sort();
  const isOf = ({path}: Entry) => splitOf(path)?.split === split;
  const own = folder === undefined ? {...listing, entries: listing.entries.filter(isOf)} : enterFolder(listing, folder);
  return {listing: own, taken: name, others, heldOut: split === 'train' ? others : []};
}
const NO_SPLITS = {others: [], heldOut: []} as const;

/** Whoever evaluates a set that holds several is told which one it was. */
export const splitWarnings = ({taken, others}: Chosen, use: Use): DataWarning[] =>
  taken === undefined || use !== 'evaluation' ? [] : warnings('split-taken', others, taken);
