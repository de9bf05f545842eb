/**
 * Sets with a file that lists their images: `metadata.jsonl` or `metadata.csv` of Hugging Face's imagefolder, and Tiny ImageNet's
 * `val_annotations.txt`. The names in it are relative to the folder that it lies in.
 */
import {csvRows} from './csv-rows.js';
import type {Dataset, Sample} from './dataset.js';
import {compareText, type Entry, fileOf, isImage, type Listing, readBeside} from './entries.js';
import {labelColumn, labelValue} from './label-columns.js';
import {type LabelValue, ownLabels} from './own-labels.js';
import type {SetContext} from './set-context.js';
import {type DataWarning, warnings} from './warnings.js';

type FileRecord = Readonly<Record<string, unknown>>;
interface ListForm {
  readonly file: RegExp;
  /** What names the image in a record. */
  readonly name: string;
  /** Folders beside the file in which the images may lie. */
  readonly folders: readonly string[];
  read(text: string): readonly FileRecord[];
}

/** THE table of such files. */
const forms: readonly ListForm[] = [
  {file: /^metadata\.jsonl$/, name: 'file_name', folders: [''], read: jsonLines},
  {file: /^metadata\.csv$/, name: 'file_name', folders: [''], read: withHeader},
  {
    file: /^val_annotations\.txt$/,
    name: 'file',
    folders: ['images/', ''],
    read: (text) => lines(text).map((line) => ({file: line.split('\t')[0], label: line.split('\t')[1]})),
  },
];

const formOf = (path: string): ListForm | undefined => forms.find(({file}) => file.test(fileOf(path)));

/** A million images with captions. */
const MAX_BYTES = 256 << 20;

const lines = (text: string): string[] => text.split(/\r?\n/).filter((line) => line.trim() !== '');

function jsonLines(text: string): FileRecord[] {
  return lines(text).flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return typeof value === 'object' && value !== null ? [value as FileRecord] : [];
    } catch {
      return []; // its image has no label, and is counted
    }
  });
}

function withHeader(text: string): FileRecord[] {
  const [header = [], ...rows] = csvRows(text);
  return rows.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i]])));
}

interface Listed {
  /** Where the record stands, and what it says of an image. */
  readonly from: string;
  readonly record: FileRecord;
}

/** The set, or undefined where nothing lists the images, or says no label of them. */
export async function listedIn(listing: Listing, context: SetContext): Promise<Dataset | undefined> {
  if (!listing.entries.some(({path}) => formOf(path))) return undefined;
  const images = listing.entries.filter(({path}) => isImage(path)).sort((a, b) => compareText(a.path, b.path));
  const found = await recordsIn(listing);
  if (!found || images.length === 0) return undefined;
  const {records, names, lists} = found;
  const first = images.map(({path}) => records.get(path)).find((listed) => listed !== undefined);
  if (!first) return undefined;
  const columns = Object.keys(first.record).filter(
    (name) => !names.includes(name) && labelValue(first.record[name]) !== undefined,
  );
  const {column, warnings: said} = labelColumn(listing.name, columns, context.column);
  if (column === undefined) return undefined;
  const values = images.map(({path}): LabelValue => labelValue(records.get(path)?.record[column]));
  const where = (i: number) => `the ${column} of ${images[i]!.path} in ${records.get(images[i]!.path)!.from}`;
  const own = ownLabels(values, {name: listing.name, where}, context);
  const samples = images.map(
    ({path, read}, index): Sample => ({index, path: `${listing.name}/${path}`, label: own.labels[index], read}),
  );
  return {
    name: listing.name,
    samples,
    classes: own.classes,
    warnings: [...listing.warnings, ...leftOut(listing, lists), ...unused(records, images), ...said, ...own.warnings],
    close: () => listing.close(),
  };
}

/** By the path of the image. */
async function recordsIn({
  name: set,
  entries,
}: Listing): Promise<{records: ReadonlyMap<string, Listed>; names: string[]; lists: ReadonlySet<string>} | undefined> {
  const records = new Map<string, Listed>();
  const lists = new Set<string>();
  const images = new Set(entries.filter(({path}) => isImage(path)).map(({path}) => path));
  for (const entry of entries) {
    const {path, size} = entry;
    const form = formOf(path);
    if (!form || size > MAX_BYTES) continue;
    lists.add(path);
    const folder = path.slice(0, path.length - fileOf(path).length);
    for (const record of form.read(new TextDecoder().decode(await readBeside(set, entry)).replace(/^\ufeff/, ''))) {
      const file = record[form.name];
      if (typeof file !== 'string') continue;
      const places = form.folders.map((inside) => `${folder}${inside}${file.replace(/^\.\//, '')}`);
      records.set(places.find((place) => images.has(place)) ?? places[0]!, {from: path, record});
    }
  }
  return lists.size === 0 ? undefined : {records, names: forms.map(({name}) => name), lists};
}

function leftOut({entries}: Listing, lists: ReadonlySet<string>): DataWarning[] {
  const others = entries.filter(({path}) => !isImage(path) && !lists.has(path)).map(({path}) => path);
  return warnings('not-an-image', others, 'beside what lists the images');
}

function unused(records: ReadonlyMap<string, Listed>, images: readonly Entry[]): DataWarning[] {
  const there = new Set(images.map(({path}) => path));
  const names = [...records.keys()].filter((path) => !there.has(path));
  return warnings('unused-labels', names, [...records.values()][0]?.from);
}
