/** The images of a run: which set is which, and the batches of an epoch from any step on. */
import {createHash} from 'node:crypto';
import {existsSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {GpdError} from '../../core/error.js';
import {streamOf} from '../../data/augment/transform.js';
import type {Dataset} from '../../data/dataset.js';
import {some} from '../../data/entries.js';
import {epochOrder} from '../../data/epoch-order.js';
import {type Batch, loadBatches} from '../../data/loader.js';
import {type OpenDatasetOptions, openDataset} from '../../data/open-dataset.js';
import {type WarningOfSet, warningsOf} from '../../data/warnings.js';
import type {TrainOptions} from '../options/options.js';
import {erasingOf, recipeOf, transformOf} from './step-settings.js';
import {substitutesFor, type UnreadableImage, withGaps} from './unreadable.js';

export interface Images {
  readonly train: Dataset;
  readonly validation: Dataset | undefined;
  readonly validationPath: string | undefined;
  readonly classes: number;
  /** Training images that could not be read and were removed since the run began; others take their places. */
  readonly gaps: ReadonlySet<number>;
  /** Of a training image, in the whole set. */
  readonly indexInSet: (index: number) => number;
  /** What was left out of the sets, or looks wrong in them. */
  readonly warnings: readonly WarningOfSet[];
  close(): Promise<void>;
}

const isFolder = (path: string) => existsSync(path) && statSync(path).isDirectory();

/** A folder with train/ and val/ is both sets. */
function pathsOf({data, val}: TrainOptions): {train: string; val: string | undefined} {
  if (data === null) {
    throw new GpdError('CONFIG_INVALID', 'no training images were named', {
      hint: 'add --data PATH: a folder or archive of classes, or a folder with train/ and val/',
    });
  }
  const [train, beside] = [join(data, 'train'), join(data, 'val')];
  if (!isFolder(train) || (val === null && !isFolder(beside))) return {train: data, val: val ?? undefined}; // it may hold others
  return {train, val: val ?? beside};
}

/** So many of `total`, evenly spread: sets are ordered by class. */
const spread = (total: number, wanted: number | null): number[] => {
  const count = Math.min(wanted ?? total, total);
  return Array.from({length: count}, (_, i) => Math.floor((i * total) / count));
};

/** Two sets of one digest have the same images in the same order, by name, with the same labels. */
export function digestOf({samples}: Dataset): string {
  const hash = createHash('sha256');
  for (const {path, label} of samples) hash.update(`${path}\0${label}\0`);
  return hash.digest('hex').slice(0, 32);
}

function selected(dataset: Dataset, indices: readonly number[]): Dataset {
  return {...dataset, samples: indices.map((from, index) => ({...dataset.samples[from]!, index}))};
}

function checkLabels({name, samples}: Dataset, classes: number): void {
  const bad = samples.find(({label}) => label === undefined || label < 0 || label >= classes);
  if (!bad) return;
  const [problem, hint] =
    bad.label === undefined
      ? ['has no label', 'training needs a class for every image: sort them into folders of classes']
      : [
          `has label ${bad.label}, but the training images have ${classes} classes, 0 to ${classes - 1}`,
          'give both sets the same classes, numbered from 0, or leave out --val',
        ];
  throw new GpdError('DATASET_INVALID', `${name}: ${bad.path} ${problem}`, {at: bad.path, hint});
}

/** The same names in the same order, or which are missing where. A set without names says nothing. */
function checkClassNames(train: Dataset, validation: Dataset): void {
  const [ours, theirs] = [train.classes, validation.classes];
  if (theirs.length === 0 || (theirs.length === ours.length && theirs.every((name, i) => name === ours[i]))) return;
  const missing = ours.filter((name) => !theirs.includes(name));
  const unknown = theirs.filter((name) => !ours.includes(name));
  const swapped = theirs.findIndex((name, i) => name !== ours[i]);
  const differences = [
    ...(missing.length > 0 ? [`it lacks ${some(missing)}`] : []),
    ...(unknown.length > 0 ? [`it has ${some(unknown)}, which the training images lack`] : []),
    ...(missing.length + unknown.length === 0
      ? [`class ${swapped} is ${theirs[swapped]} there and ${ours[swapped]} in the training images`]
      : []),
  ];
  throw new GpdError(
    'DATASET_INVALID',
    `${validation.name}: its classes are not those of ${train.name}: ${differences.join('; ')}`,
    {
      at: validation.name,
      hint: 'both sets need the same class folders; an empty folder is a class without images',
    },
  );
}

export interface OpenImages {
  /** What is noticed in the sets is an error. */
  readonly strict?: boolean;
  /** What a run that goes on could not read before. */
  readonly unreadable?: readonly UnreadableImage[];
}

export async function openImages(o: TrainOptions, {strict = false, unreadable = []}: OpenImages = {}): Promise<Images> {
  const paths = pathsOf(o);
  const labelColumn = o['label-column'] ?? undefined;
  const {dataset: whole, gaps} = withGaps(await openDataset(paths.train, {strict, labelColumn, use: 'training'}), unreadable);
  const val = paths.val ?? (whole.heldOut?.length ? paths.train : undefined);
  const indices = spread(whole.samples.length, o.samples);
  const train = selected(whole, indices);
  const validation =
    val === undefined
      ? undefined
      : await openValidation(val, o['val-samples'], {strict, labelColumn, use: paths.val ? 'evaluation' : 'validation'});
  const classes = train.classes.length || 1 + train.samples.reduce((max, {label}) => Math.max(max, label ?? 0), 0);
  if (validation) checkClassNames(train, validation); // before labels: it says why they are too large
  for (const dataset of [train, validation]) if (dataset) checkLabels(dataset, classes);
  return {
    train,
    validation,
    validationPath: val,
    classes,
    gaps: new Set(indices.flatMap((from, index) => (gaps.has(from) ? [index] : []))),
    indexInSet: (index) => indices[index]!,
    warnings: [train, validation].flatMap((set) => (set ? warningsOf(set.name, set.warnings) : [])),
    async close() {
      await train.close();
      await validation?.close();
    },
  };
}

async function openValidation(path: string, wanted: number | null, options: OpenDatasetOptions): Promise<Dataset> {
  const whole = await openDataset(path, options);
  return selected(whole, spread(whole.samples.length, wanted));
}

/** Images in each step of an epoch. */
export function stepSizes(o: TrainOptions, images: number): number[] {
  const size = o['batch-size'];
  const sizes = new Array<number>(Math.floor(images / size)).fill(size);
  return images % size > 0 && !o['drop-last'] ? [...sizes, images % size] : sizes;
}

export interface EpochPlace {
  readonly epoch: number;
  /** The first step that is wanted. */
  readonly step: number;
  readonly attempt: number;
}

/** Another attempt at an epoch has another order. */
export const orderSeed = (o: TrainOptions, attempt: number): number => o.seed + attempt * 1_000_003;

/**
 * Each batch is gone when the next one is asked for. An image that is known to be `unreadable`, or turns out to be with `on-error skip`, gives its
 * place and its augmentation to another one.
 */
export async function* trainingBatches(
  {train}: Pick<Images, 'train'>,
  o: TrainOptions,
  place: EpochPlace,
  unreadable: ReadonlySet<number>,
): AsyncGenerator<Batch> {
  const seed = orderSeed(o, place.attempt);
  const size = o['batch-size'];
  const order = epochOrder(train.samples.length, {seed, epoch: place.epoch, repeats: o.repeats});
  const steps = stepSizes(o, order.length);
  const wanted = order.slice(
    place.step * size,
    steps.reduce((a, b) => a + b, 0),
  );
  const erasing = erasingOf(o);
  const others = new Map<number, () => number | undefined>();
  const instead = (position: number): number => {
    const {index} = wanted[position]!;
    const substitutes = {unreadable, images: train.samples.length, seed, epoch: place.epoch};
    if (!others.has(position)) others.set(position, substitutesFor(index, substitutes));
    return others.get(position)!() ?? noneReadable(train);
  };
  const training = {
    ...(o['on-error'] === 'skip' && {instead}),
    transform: transformOf(o),
    streams: wanted.map(({index, copy}) => streamOf(seed, place.epoch, index, copy)),
    ...(erasing && {erasing}),
  };
  const indices = wanted.map(({index}, position) => (unreadable.has(index) ? instead(position) : index));
  const workers = o.workers;
  yield* loadBatches(train, {recipe: recipeOf(o), batchSize: size, indices, training, workers, reuse: true});
}

function noneReadable({name, samples}: Dataset): never {
  throw new GpdError('DATASET_INVALID', `${name}: none of its ${samples.length} images can be read`, {
    at: name,
    hint: 'look at one of them, and whether the disk that they are on is there',
  });
}

/** Small batches: the two networks and their averages see the same one. */
export const validationBatch = (o: TrainOptions): number => Math.min(o['batch-size'], 128);

export const validationBatches = (validation: Dataset, o: TrainOptions): AsyncIterable<Batch> =>
  loadBatches(validation, {
    ...{recipe: recipeOf(o), batchSize: validationBatch(o), workers: o.workers, reuse: true, onError: o['on-error']},
  });
