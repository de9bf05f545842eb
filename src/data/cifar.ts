/**
 * CIFAR-10 and CIFAR-100 as they are downloaded: binary batches, or pickles for Python, which is what torchvision leaves on a disk. And what was
 * made like them: ImageNet of 8x8 to 64x64 pixels.
 * Format: www.cs.toronto.edu/~kriz/cifar.html. Of each image three planes, red first, rows from the top.
 */
import {GpdError} from '../core/error.js';
import {binaryBatch, type CifarBatch, pickledBatch} from './cifar-batches.js';
import {cifarNames} from './cifar-names.js';
import type {Dataset, Sample} from './dataset.js';
import {compareText, type Entry, fileOf, folderOf, type Listing, readBeside} from './entries.js';
import {type LabelValue, ownLabels} from './own-labels.js';
import {encodePpm} from './ppm.js';
import type {SetContext} from './set-context.js';
import {type DataWarning, warnings} from './warnings.js';

interface Form {
  readonly name: string;
  readonly train: RegExp;
  readonly test: RegExp;
  /** A file that lies beside the batches: `test` alone is a name of many things. */
  readonly beside?: RegExp;
  /** Labels of each image, in the order of the file. */
  readonly labels: readonly string[];
  /** The first class, where that is not 0. */
  readonly base?: 1;
  read(path: string, bytes: Uint8Array): CifarBatch;
}

const TEN = ['labels'];
const HUNDRED = ['coarse_labels', 'fine_labels'];

/** THE table of forms. */
const forms: readonly Form[] = [
  {
    name: 'CIFAR-10',
    train: /^data_batch_\d+\.bin$/,
    test: /^test_batch\.bin$/,
    labels: TEN,
    read: (path, bytes) => binaryBatch(path, bytes, TEN),
  },
  {
    name: 'CIFAR-100',
    train: /^train\.bin$/,
    test: /^test\.bin$/,
    beside: /^(fine|coarse)_label_names\.txt$/,
    labels: HUNDRED,
    read: (path, bytes) => binaryBatch(path, bytes, HUNDRED),
  },
  {name: 'CIFAR-10', train: /^data_batch_\d+$/, test: /^test_batch$/, labels: TEN, read: pickledBatch},
  {name: 'CIFAR-100', train: /^train$/, test: /^test$/, beside: /^meta$/, labels: HUNDRED, read: pickledBatch},
  {name: 'ImageNet', train: /^train_data_batch_\d+$/, test: /^val_data$/, labels: TEN, base: 1, read: pickledBatch},
];

/** Files that name the classes of batches beside them. */
const NAMES = /^(batches\.meta|batches\.meta\.txt|meta|fine_label_names\.txt|coarse_label_names\.txt)$/;
/** A file that is taken along with a batch that was named itself. */
export const isCifarNames = (file: string): boolean => NAMES.test(file);
/** A batch that may be named itself. */
export const isCifarFile = (file: string): boolean => forms.some(({train, test}) => train.test(file) || test.test(file));

interface Found {
  readonly form: Form;
  readonly folder: string;
  readonly train: readonly Entry[];
  readonly test: readonly Entry[];
}

function findAll({entries}: Listing): Found[] {
  const folders = [...new Set(entries.filter(({path}) => isCifarFile(fileOf(path))).map(({path}) => folderOf(path)))];
  return folders.flatMap((folder) => {
    const own = entries.filter(({path}) => folderOf(path) === folder).sort((a, b) => compareText(a.path, b.path));
    return forms.flatMap((form) => {
      const matching = (pattern: RegExp) => own.filter(({path}) => pattern.test(fileOf(path)));
      const [train, test] = [matching(form.train), matching(form.test)];
      const isThere = !form.beside || entries.length === 1 || matching(form.beside).length > 0;
      return isThere && train.length + test.length > 0 ? [{form, folder, train, test}] : [];
    });
  });
}

/** The set in a listing, or undefined where there is none: the test images if they are there, for training the others. */
export async function cifarIn(listing: Listing, context: SetContext): Promise<Dataset | undefined> {
  const all = findAll(listing);
  const [found] = all;
  if (!found) return undefined;
  if (all.length > 1) throw severalSets(listing.name, all);
  const {form, train, test} = found;
  const [taken, unused] = test.length === 0 || (context.use === 'training' && train.length > 0) ? [train, test] : [test, train];
  const batches = await Promise.all(taken.map(async (entry) => form.read(entry.path, await readBeside(listing.name, entry))));
  const set = await labelled(listing, found, batches, context);
  const others =
    context.use !== 'evaluation'
      ? []
      : warnings(
          'other-batches',
          unused.map(({path}) => path),
        );
  const heldOut = context.use === 'training' && taken === train ? unused.map(({path}) => path) : [];
  return {
    ...set,
    name: listing.name,
    heldOut,
    warnings: [...listing.warnings, ...others, ...set.warnings],
    close: () => listing.close(),
  };
}

async function labelled(
  {name, entries}: Listing,
  {form, folder}: Found,
  batches: readonly CifarBatch[],
  context: SetContext,
): Promise<Pick<Dataset, 'samples' | 'classes' | 'warnings'>> {
  const beside = entries.filter(({path}) => folderOf(path) === folder && NAMES.test(fileOf(path)));
  const names = await cifarNames({name, form: form.name}, beside);
  const columns = form.labels.filter((column) => batches.every(({labels}) => labels.has(column)));
  const {column, said} = chosenColumn(name, columns, context);
  const values = batches.flatMap<LabelValue>(({labels, count}) =>
    column ? labels.get(column)! : new Array(count).fill(undefined),
  );
  const samples = batches.flatMap(samplesOf);
  const classes = column === undefined ? undefined : names.get(column);
  const base = context.base ?? form.base;
  const own = ownLabels(values, {name, where: (i) => `the label of ${samples[i]!.path}`, classes}, {...context, base});
  return {
    samples: samples.map((sample, index) => ({...sample, index, label: own.labels[index]})),
    classes: own.classes,
    warnings: [...said, ...own.warnings],
  };
}

/** Of CIFAR-100's two kinds of classes there are 100 and 20. */
function chosenColumn(
  set: string,
  columns: readonly string[],
  {column: asked, outputs}: SetContext,
): {column: string | undefined; said: readonly DataWarning[]} {
  const wanted = asked === undefined ? undefined : columns.find((name) => name === asked || name === `${asked}_labels`);
  if (asked !== undefined && wanted === undefined) {
    throw new GpdError('DATASET_INVALID', `${set}: has no labels '${asked}'`, {
      at: set,
      hint: `it has ${columns.join(' and ')}`,
    });
  }
  if (columns.length < 2 || wanted) return {column: wanted ?? columns[0], said: []};
  const [coarse, fine] = columns as [string, string];
  const [column, other] = outputs === COARSE_CLASSES ? [coarse, fine] : [fine, coarse];
  const isDecided = outputs === COARSE_CLASSES || outputs === FINE_CLASSES;
  return {column, said: isDecided ? [] : warnings('label-column', [other], column)};
}
const COARSE_CLASSES = 20;
const FINE_CLASSES = 100;

const samplesOf = ({path, count, side, planesAt}: CifarBatch): Sample[] =>
  Array.from({length: count}, (_, i) => ({
    index: i,
    path: `${path}#${i}`,
    label: undefined,
    read: async () => asPpm(planesAt(i), side),
  }));

/** Planes to pixels, in the simplest of formats: the loader decodes every sample from its bytes. */
function asPpm(planes: Uint8Array, side: number): Uint8Array {
  const pixels = side * side;
  const data = new Uint8Array(planes.length);
  for (let i = 0; i < pixels; i++) for (let c = 0; c < 3; c++) data[i * 3 + c] = planes[c * pixels + i]!;
  return encodePpm({width: side, height: side, data});
}

const severalSets = (name: string, all: readonly Found[]): GpdError =>
  new GpdError(
    'DATASET_INVALID',
    `${name}: holds several sets: ${all.map(({form, folder}) => `${form.name} in ${folder || '.'}`).join(', ')}`,
    {
      at: name,
      hint: 'name the folder of one of them',
    },
  );
