/**
 * WebDataset: the files of a sample stand beside each other and have one name but for the ending, `000123.jpg` and `000123.cls` (or `.json`, `.txt`).
 * Format: github.com/webdataset/webdataset, "The WebDataset Format"; the key is the path up to the first dot of the file's name.
 */
import type {Dataset, Sample} from './dataset.js';
import {type Entry, fileOf, folderOf, type Listing, readBeside} from './entries.js';
import {labelColumn, labelValue} from './label-columns.js';
import {type LabelValue, ownLabels} from './own-labels.js';
import type {SetContext} from './set-context.js';
import {type DataWarning, warnings} from './warnings.js';

/** Endings of images, the preferred first. */
const IMAGES = ['jpg', 'jpeg', 'png', 'webp', 'ppm', 'pgm', 'pbm', 'pnm', 'bmp', 'tif', 'tiff', 'gif'];
/** Endings of labels. */
const NUMBERS = ['cls', 'class', 'label', 'target', 'index'];
const TEXTS = ['txt', 'text'];
const isLabel = (ending: string) => ending === 'json' || NUMBERS.includes(ending) || TEXTS.includes(ending);

/** A label takes a few bytes, metadata with a caption a few thousand. */
const MAX_LABEL_BYTES = 1 << 20;
/** Labels that are read side by side. */
const TOGETHER = 64;

interface Keyed {
  readonly images: {readonly entry: Entry; readonly ending: string}[];
  readonly labels: Map<string, Entry>;
}

/** The set, or undefined where a listing is none: image files without such companions, or class folders with texts beside the images. */
export async function webdatasetIn(listing: Listing, context: SetContext): Promise<Dataset | undefined> {
  if (!mayBe(listing)) return undefined;
  const {samples, others} = grouped(listing);
  const form = labelForm(listing, samples);
  if (!form) return undefined;
  const images = [...samples.values()].filter((sample) => sample.images.length > 0);
  const chosen = images.map(({images: own}) => best(own));
  const left = images.flatMap(({images: own}) =>
    own.filter(({entry}) => entry !== best(own).entry).map(({entry}) => entry.path),
  );
  const {values, said, taken} = await labelsIn(images, form, listing.name, context);
  const own = ownLabels(values, {name: listing.name, where: (i) => `the ${taken} of ${chosen[i]!.entry.path}`}, context);
  const made = chosen.map(
    ({entry}, index): Sample => ({index, path: `${listing.name}/${entry.path}`, label: own.labels[index], read: entry.read}),
  );
  const endings = [...new Set(chosen.map(({ending}) => ending))].join(', ');
  return {
    name: listing.name,
    samples: made,
    classes: own.classes,
    warnings: [
      ...listing.warnings,
      ...warnings('not-an-image', others, 'neither images nor labels'),
      ...warnings('other-images', left, endings),
      ...said,
      ...(values.every((value) => value === undefined) ? warnings('no-labels', made.length) : []),
      ...own.warnings,
    ],
    close: () => listing.close(),
  };
}

/** Half of the images must have a label: of a large set without any nothing is grouped. */
function mayBe({entries}: Listing): boolean {
  let [images, labels] = [0, 0];
  for (const {path} of entries) {
    const ending = endingOf(path);
    if (IMAGES.includes(ending)) images++;
    else if (isLabel(ending)) labels++;
  }
  return images > 0 && 2 * labels >= images;
}
const endingOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1).toLowerCase();

/** In the order of the archives, which is the order in which they were written. */
function grouped({entries}: Listing): {samples: ReadonlyMap<string, Keyed>; others: readonly string[]} {
  const samples = new Map<string, Keyed>();
  const others: string[] = [];
  for (const entry of entries) {
    const file = fileOf(entry.path);
    const dot = file.indexOf('.', 1);
    const ending = endingOf(file);
    const isImage = IMAGES.includes(ending);
    if (dot < 0 || !(isImage || isLabel(ending))) {
      others.push(entry.path);
      continue;
    }
    const key = entry.path.slice(0, entry.path.length - file.length + dot);
    const sample: Keyed = samples.get(key) ?? {images: [], labels: new Map()};
    if (isImage) sample.images.push({entry, ending: file.slice(dot + 1).toLowerCase()});
    else if (!sample.labels.has(ending)) sample.labels.set(ending, entry);
    samples.set(key, sample);
  }
  return {samples, others};
}

function best(images: Keyed['images']): Keyed['images'][number] {
  const rank = ({ending}: Keyed['images'][number]) => (IMAGES.indexOf(ending) + IMAGES.length + 1) % (IMAGES.length + 1);
  return images.reduce((a, b) => (rank(b) < rank(a) ? b : a));
}

/** The ending that most of the labels have. Texts and JSON beside images in class folders are something else: boxes, captions. */
function labelForm(listing: Listing, samples: ReadonlyMap<string, Keyed>): string | undefined {
  const counts = new Map<string, number>();
  let images = 0;
  let isFlat = true;
  const roots = new Set(['', ...(listing.roots ?? [])]);
  for (const {images: own, labels} of samples.values()) {
    if (own.length === 0) continue;
    images++;
    isFlat &&= roots.has(folderOf(own[0]!.entry.path));
    for (const ending of labels.keys()) counts.set(ending, (counts.get(ending) ?? 0) + 1);
  }
  const enough = (ending: string) => 2 * (counts.get(ending) ?? 0) >= images && images > 0;
  const usable = [...NUMBERS, ...(isFlat ? ['json', ...TEXTS] : [])];
  return usable.find(enough);
}

interface Found {
  readonly values: readonly LabelValue[];
  readonly said: readonly DataWarning[];
  /** What messages call it. */
  readonly taken: string;
}

async function labelsIn(samples: readonly Keyed[], form: string, set: string, {column: asked}: SetContext): Promise<Found> {
  const texts: (string | undefined)[] = [];
  for (let start = 0; start < samples.length; start += TOGETHER) {
    const some = samples.slice(start, start + TOGETHER);
    texts.push(...(await Promise.all(some.map(({labels}) => textOf(set, labels.get(form))))));
  }
  if (form === 'json') return fromRecords(texts, set, asked);
  const values = texts.map((text) => text?.trim() || undefined);
  if (TEXTS.includes(form) && !areLabels(values)) {
    const count = values.filter((value) => value !== undefined).length;
    return {values: values.map(() => undefined), said: warnings('texts-no-labels', count), taken: form};
  }
  return {values, said: [], taken: form};
}

async function textOf(set: string, entry: Entry | undefined): Promise<string | undefined> {
  if (!entry || entry.size > MAX_LABEL_BYTES) return undefined;
  return new TextDecoder().decode(await readBeside(set, entry));
}

/** Numbers, or names that come again and again; captions are of one image each. */
function areLabels(values: readonly LabelValue[]): boolean {
  const texts = values.filter((value) => value !== undefined) as string[];
  if (texts.every((text) => /^\d{1,7}$/.test(text))) return true;
  return new Set(texts).size * 2 <= texts.length && texts.every((text) => text.length <= 100 && !text.includes('\n'));
}

/** A JSON number or text is the label; of an object one of its fields is. */
function fromRecords(texts: readonly (string | undefined)[], set: string, asked: string | undefined): Found {
  const records = texts.map((text) => (text === undefined ? undefined : parsed(text)));
  const first = records.find((record) => record !== undefined);
  if (typeof first !== 'object' || first === null) return {values: records.map(labelValue), said: [], taken: 'json'};
  const columns = Object.keys(first).filter((name) => labelValue((first as Record<string, unknown>)[name]) !== undefined);
  const {column, warnings: said} = labelColumn(set, columns, asked);
  const labelIn = (record: unknown): LabelValue => {
    if (column === undefined || typeof record !== 'object' || record === null || !Object.hasOwn(record, column))
      return undefined;
    return labelValue((record as Record<string, unknown>)[column]);
  };
  return {values: records.map(labelIn), said, taken: column ?? 'json'};
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // an image without a label, which is counted
  }
}
