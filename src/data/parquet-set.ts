/**
 * Tables of images, as Hugging Face keeps data sets: a column `image` of bytes, mostly in a struct {bytes, path}, and columns of labels, whose names
 * stand in the description of the file. A group of rows is unpacked when the first of its images is asked for.
 */
import {GpdError} from '../core/error.js';
import {isParquet} from './archives.js';
import type {Dataset, Sample} from './dataset.js';
import {compareText, type Entry, fileOf, isImage, type Listing, some} from './entries.js';
import {isTable} from './file-kinds.js';
import {type HubFeatures, hubFeatures} from './hub-features.js';
import {ImageStore, type StoredImage} from './image-store.js';
import {labelColumn} from './label-columns.js';
import {type LabelValue, ownLabels} from './own-labels.js';
import {columnPages} from './parquet/column.js';
import {type Column, type ParquetFile, readFooter} from './parquet/footer.js';
import type {SetContext} from './set-context.js';
import {ALWAYS_ALLOWED, MAX_RATIO} from './unpack.js';
import {type DataWarning, warnings} from './warnings.js';

/** What columns of images are usually called. */
const IMAGES = ['image', 'img', 'jpg', 'jpeg', 'png', 'webp', 'pixel_values', 'image_bytes', 'bytes', 'content'];

/** The set, or undefined where a listing has no tables, or images of its own beside them. */
export async function parquetIn(listing: Listing, context: SetContext): Promise<Dataset | undefined> {
  const tables = listing.entries
    .filter(({path, place}) => place && (isTable(path) || (listing.entries.length === 1 && isParquet(place()))))
    .sort((a, b) => compareText(a.path, b.path));
  if (tables.length === 0 || listing.entries.some(({path}) => isImage(path))) return undefined;
  const files = tables.map((entry) => readFooter(entry.place!()));
  const [first] = files as [ParquetFile];
  const features = hubFeatures(first.metadata.get('huggingface'));
  const image = imageColumn(first, features);
  const label = chosenLabel(listing.name, first, features, context);
  const values: LabelValue[] = [];
  for (const file of files)
    values.push(...(label.column === undefined ? new Array(file.rows).fill(undefined) : await labelsOf(file, label.column)));
  const store = new ImageStore(
    listing.name,
    Math.max(ALWAYS_ALLOWED, MAX_RATIO * files.reduce((sum, {span}) => sum + span.size, 0)),
  );
  const samples = samplesOf(listing.name, tables, {files, image, store});
  const set = {
    name: listing.name,
    where: (i: number) => `the label of ${samples[i]!.path}`,
    classes: features.classes.get(label.column ?? ''),
  };
  const own = ownLabels(values, set, context);
  const close = async () => {
    await store.close();
    for (const {span} of files) await span.file.close();
    await listing.close();
  };
  return {
    name: listing.name,
    samples: samples.map((sample, i) => ({...sample, label: own.labels[i]})),
    classes: own.classes,
    warnings: [
      ...listing.warnings,
      ...label.said,
      ...(values.every((value) => value === undefined) ? warnings('no-labels', samples.length) : []),
      ...own.warnings,
    ],
    close,
  };
}

/** `image.bytes` of the column that the description calls one of images, or that has such a name, or that is the only one of bytes. */
function imageColumn({columns, span}: ParquetFile, {images}: HubFeatures): Column {
  const binary = columns.filter(({type, isText}) => type === 'bytes' && !isText);
  const inNamed = (names: readonly string[]) =>
    names.flatMap((name) => binary.filter((column) => column.name === `${name}.bytes` || column.name === name));
  const [found, ...others] = [...inNamed(images), ...inNamed(IMAGES), ...binary];
  if (found && (others.length === 0 || inNamed([...images, ...IMAGES]).includes(found) || binary.length === 1)) return found;
  throw new GpdError('DATASET_INVALID', `${span.name}: none of its columns holds images`, {
    at: span.name,
    hint: `it has ${some(
      columns.map(({name}) => name),
      12,
    )}; images are read from a column 'image' of encoded bytes`,
  });
}

interface ChosenLabel {
  readonly column: string | undefined;
  readonly said: readonly DataWarning[];
}

/** Columns of classes come before others; of several, the one with as many classes as the model has outputs. */
function chosenLabel(
  set: string,
  {columns}: ParquetFile,
  {classes}: HubFeatures,
  {column: asked, outputs}: SetContext,
): ChosenLabel {
  const usable = columns.filter(
    ({type, isText, name}) => !name.includes('.') && (type === 'int32' || type === 'int64' || isText),
  );
  const names = usable.map(({name}) => name);
  const ofClasses = names.filter((name) => classes.has(name));
  const fitting = ofClasses.filter((name) => classes.get(name)!.length === outputs);
  if (asked === undefined && fitting.length === 1) return {column: fitting[0], said: []};
  const {column, warnings: said} = labelColumn(set, asked === undefined && ofClasses.length > 0 ? ofClasses : names, asked);
  return {column, said};
}

async function labelsOf(file: ParquetFile, name: string): Promise<LabelValue[]> {
  const column = file.columns.find((one) => one.name === name);
  if (!column)
    throw new GpdError('DATASET_INVALID', `${file.span.name}: has no column '${name}', which the first file has`, {
      at: file.span.name,
      hint: 'give the files of one set',
    });
  const labels: LabelValue[] = [];
  const text = new TextDecoder();
  for (let group = 0; group < file.groups.length; group++) {
    for await (const page of columnPages(file, column, group))
      for (const value of page)
        labels.push(value instanceof Uint8Array ? text.decode(value) : value === -1 ? undefined : value); // −1: none, of test images
  }
  return labels;
}

interface Images {
  readonly files: readonly ParquetFile[];
  readonly image: Column;
  readonly store: ImageStore;
}

function samplesOf(name: string, tables: readonly Entry[], {files, image, store}: Images): Sample[] {
  const samples: Sample[] = [];
  const inTurn = oneAfterTheOther();
  for (const [i, file] of files.entries()) {
    const own = file.columns.find((column) => column.name === image.name);
    const {path} = tables[i]!;
    const place = fileOf(name) === path ? name : `${name}/${path}`; // of a table that was named itself
    let inFile = 0;
    for (const [group, {rows}] of file.groups.entries()) {
      let unpacked: Promise<readonly (StoredImage | undefined)[]> | undefined;
      for (let row = 0; row < rows; row++) {
        const read = async () => {
          if (!own) throw new Error(`its table has no column '${image.name}'`);
          unpacked ??= inTurn(() => unpackGroup(file, own, group, store));
          const stored = (await unpacked)[row];
          if (!stored) throw new Error('the table has no bytes of it, only a path');
          return store.read(stored);
        };
        samples.push({index: samples.length, path: `${place}#${inFile++}`, label: undefined, read});
      }
    }
  }
  return samples;
}

/** Groups that are asked for at once are unpacked one by one: what is in memory is a page of one of them. */
function oneAfterTheOther(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work, work);
    last = next.catch(() => {});
    return next;
  };
}

/** Equal images of a dictionary are stored once. */
async function unpackGroup(
  file: ParquetFile,
  column: Column,
  group: number,
  store: ImageStore,
): Promise<readonly (StoredImage | undefined)[]> {
  const known = new Map<Uint8Array, StoredImage>();
  const stored: (StoredImage | undefined)[] = [];
  for await (const page of columnPages(file, column, group)) {
    for (const value of page) {
      if (!(value instanceof Uint8Array)) stored.push(undefined);
      else {
        const place = known.get(value) ?? (await store.add(value));
        known.set(value, place);
        stored.push(place);
      }
    }
  }
  return stored;
}
