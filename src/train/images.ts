/** The images of a run: which set is which, and the batches of an epoch from any step on. */
import {existsSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {GpdError} from '../core/error.js';
import {streamOf} from '../data/augment/transform.js';
import {type Dataset, openDataset} from '../data/dataset.js';
import {some} from '../data/entries.js';
import {epochOrder} from '../data/epoch-order.js';
import {loadBatches} from '../data/loader.js';
import {type WarningOfSet, warningsOf} from '../data/warnings.js';
import type {TrainOptions} from './options.js';
import {erasingOf, recipeOf, transformOf} from './step-settings.js';
import type {LabelledImages} from './validate.js';

export interface Images {
  readonly train: Dataset;
  readonly validation: Dataset | undefined;
  readonly validationPath: string | undefined;
  readonly classes: number;
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
  if (!isFolder(train)) return {train: data, val: val ?? undefined};
  return {train, val: val ?? (isFolder(beside) ? beside : undefined)};
}

/** So many of `total`, evenly spread: sets are ordered by class. */
const spread = (total: number, wanted: number | null): number[] => {
  const count = Math.min(wanted ?? total, total);
  return Array.from({length: count}, (_, i) => Math.floor((i * total) / count));
};

function selected(dataset: Dataset, wanted: number | null): Dataset {
  const indices = spread(dataset.samples.length, wanted);
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

/** `strict`: what is noticed in the sets is an error. */
export async function openImages(o: TrainOptions, strict = false): Promise<Images> {
  const paths = pathsOf(o);
  const train = selected(await openDataset(paths.train, {strict}), o.samples);
  const validation = paths.val === undefined ? undefined : selected(await openDataset(paths.val, {strict}), o['val-samples']);
  const classes = train.classes.length || 1 + train.samples.reduce((max, {label}) => Math.max(max, label ?? 0), 0);
  if (validation) checkClassNames(train, validation); // before labels: it says why they are too large
  for (const dataset of [train, validation]) if (dataset) checkLabels(dataset, classes);
  return {
    train,
    validation,
    validationPath: paths.val,
    classes,
    warnings: [train, validation].flatMap((set) => (set ? warningsOf(set.name, set.warnings) : [])),
    async close() {
      await train.close();
      await validation?.close();
    },
  };
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

/** Each batch is gone when the next one is asked for. */
export async function* trainingBatches(train: Dataset, o: TrainOptions, place: EpochPlace): AsyncGenerator<LabelledImages> {
  const seed = orderSeed(o, place.attempt);
  const size = o['batch-size'];
  const order = epochOrder(train.samples.length, {seed, epoch: place.epoch, repeats: o.repeats});
  const steps = stepSizes(o, order.length);
  const wanted = order.slice(
    place.step * size,
    steps.reduce((a, b) => a + b, 0),
  );
  const erasing = erasingOf(o);
  const training = {
    transform: transformOf(o),
    streams: wanted.map(({index, copy}) => streamOf(seed, place.epoch, index, copy)),
    ...(erasing && {erasing}),
  };
  const indices = wanted.map(({index}) => index);
  const workers = o.workers;
  yield* loadBatches(train, {recipe: recipeOf(o), batchSize: size, indices, training, workers, reuse: true});
}

/** Small batches: the two networks and their averages see the same one. */
export const validationBatch = (o: TrainOptions): number => Math.min(o['batch-size'], 128);

export const validationBatches = (validation: Dataset, o: TrainOptions): AsyncIterable<LabelledImages> =>
  loadBatches(validation, {recipe: recipeOf(o), batchSize: validationBatch(o), workers: o.workers, reuse: true});
