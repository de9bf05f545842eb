/** The images of a run: which set is which, and the batches of an epoch from any step on. */
import {existsSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {GpdError} from '../core/error.js';
import {streamOf} from '../data/augment/transform.js';
import {type Dataset, openDataset} from '../data/dataset.js';
import {epochOrder} from '../data/epoch-order.js';
import {loadBatches} from '../data/loader.js';
import type {TrainOptions} from './options.js';
import {erasingOf, recipeOf, transformOf} from './step-settings.js';
import type {LabelledImages} from './validate.js';

export interface Images {
  readonly train: Dataset;
  readonly validation: Dataset | undefined;
  readonly validationPath: string | undefined;
  readonly classes: number;
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
  const problem = bad.label === undefined ? 'has no label' : `has label ${bad.label}, and there are ${classes} classes`;
  throw new GpdError('DATASET_INVALID', `${name}: ${bad.path} ${problem}`, {
    at: bad.path,
    hint: 'training needs a class for every image: sort them into folders of classes',
  });
}

export async function openImages(o: TrainOptions): Promise<Images> {
  const paths = pathsOf(o);
  const train = selected(await openDataset(paths.train), o.samples);
  const validation = paths.val === undefined ? undefined : selected(await openDataset(paths.val), o['val-samples']);
  const classes = train.classes.length || 1 + train.samples.reduce((max, {label}) => Math.max(max, label ?? 0), 0);
  for (const dataset of [train, validation]) if (dataset) checkLabels(dataset, classes);
  if (validation && validation.classes.length > 0 && `${validation.classes}` !== `${train.classes}`) {
    throw new GpdError('DATASET_INVALID', `${validation.name}: its classes are not those of ${train.name}`, {
      at: validation.name,
      hint: 'both sets need the same folders of classes',
    });
  }
  return {
    train,
    validation,
    validationPath: paths.val,
    classes,
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
