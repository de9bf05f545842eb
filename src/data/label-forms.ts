/** THE table of forms that a file of labels has, most telling first. Each sees the text and answers, or leaves it to the next. */
import type {GpdError} from '../core/error.js';
import {isRecord} from '../core/schema.js';
import {csvRows} from './csv-rows.js';
import {isImage} from './entries.js';
import {labelColumn} from './label-columns.js';
import type {DataWarning} from './warnings.js';

/** One image and its label, and where they stand. */
export interface LabelRow {
  readonly file: string;
  readonly label: string;
  readonly where: string;
}

/** Labels of named files, or one label a line: `names`. */
export type LabelsFound = {
  readonly lists?: readonly (readonly string[])[];
  readonly doubt?: string;
  readonly warnings?: readonly DataWarning[];
} & (
  | {readonly rows: readonly LabelRow[]; readonly names?: undefined}
  | {readonly names: readonly string[]; readonly rows?: undefined}
);

interface Asked {
  readonly path: string;
  readonly column: string | undefined;
  invalid(problem: string, hint?: string): GpdError;
}
type Form = (text: string, asked: Asked) => LabelsFound | undefined;

const isWhole = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value);
const isName = (value: unknown): value is string | number => typeof value === 'string' || typeof value === 'number';
/** 0, 1, 2, … in some order. */
const countUp = (values: readonly number[]): boolean =>
  new Set(values).size === values.length && values.every((n) => Number.isInteger(n) && n >= 0 && n < values.length);

/** What files of images are called in tables. */
const FILE_COLUMN =
  /^(file_?names?|files?|images?|image_?(id|name|path|file)s?|img(_?(id|name|path))?|id(_code)?|path|filepath|name)$/i;
/** ILSVRC's `LOC_val_solution.csv`: the synset, then boxes. */
const BOXES = /^(n\d{8})( \d+){4}/;

/** Records with a name of a file and a label each. */
function fromRecords(records: readonly Record<string, unknown>[], {path, column, invalid}: Asked): LabelsFound | undefined {
  const columns = Object.keys(records[0] ?? {});
  const files =
    columns.find((name) => records.every((record) => typeof record[name] === 'string' && isImage(record[name]))) ??
    columns.find((name) => FILE_COLUMN.test(name) && records.every((record) => isName(record[name]) && record[name] !== ''));
  if (files === undefined) return undefined;
  const others = columns.filter((name) => name !== files && name !== '' && records.some((record) => isName(record[name])));
  const isAlone = others.length === 1 && column === undefined;
  const {column: only, warnings} = isAlone ? {column: others[0], warnings: []} : labelColumn(path, others, column);
  if (only === undefined) {
    const ways =
      others.length === 0 ? 'give a column of labels' : `name the column with --label-column: ${others.slice(0, 8).join(', ')}`;
    throw invalid(`which of its ${others.length} columns beside '${files}' holds the labels is open`, ways);
  }
  const rows = records.map((record, i): LabelRow => {
    const label = record[only];
    if (!isName(label)) throw invalid(`the ${only} of '${record[files]}' is neither a number nor a name`);
    return {file: String(record[files]), label: BOXES.exec(String(label))?.[1] ?? String(label), where: `row ${i + 1}`};
  });
  return {rows, warnings};
}

function parsed(text: string, {invalid}: Asked): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(`is not valid JSON: ${(error as Error).message}`);
  }
}

const jsonLines: Form = (text, asked) => {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length < 2 || !lines.every((line) => /^\s*\{.*\}\s*$/.test(line))) return undefined;
  const records = lines.map((line) => parsed(line, asked)).filter(isRecord);
  const found = fromRecords(records, asked);
  if (!found) throw asked.invalid('has no field that names the images');
  return found;
};

const jsonList: Form = (text, asked) => {
  if (!/^\s*\[/.test(text)) return undefined;
  const list = parsed(text, asked) as unknown[];
  if (list.length > 0 && list.every(isName)) return {names: list.map(String)};
  if (list.length > 0 && list.every(isRecord)) {
    const found = fromRecords(list, asked);
    if (found) return found;
  }
  const pairs = list.filter(
    (pair): pair is [string, string | number] => Array.isArray(pair) && pair.length === 2 && pair.every(isName),
  );
  if (list.length === 0 || pairs.length < list.length)
    throw asked.invalid('is a JSON list, but not of labels, or of pairs of file and label');
  return {rows: pairs.map(([file, label], i) => ({file, label: String(label), where: `entry ${i + 1}`}))};
};

/** Keys 0, 1, 2, …: names of classes; Keras has a synset and a name for each. */
function classIndex(entries: readonly (readonly [string, unknown])[]): LabelsFound | undefined {
  if (!entries.every(([key]) => /^\d{1,7}$/.test(key)) || !countUp(entries.map(([key]) => Number(key)))) return undefined;
  const sorted = [...entries].sort(([a], [b]) => Number(a) - Number(b)).map(([, value]) => value);
  if (sorted.every((value): value is string => typeof value === 'string' && !/^\d+$/.test(value))) return {names: sorted};
  const named = sorted.filter(
    (value): value is string[] => Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string'),
  );
  if (named.length < sorted.length) return undefined;
  const lists = named[0]!.map((_, i) => named.map((names) => names[i] ?? ''));
  return {names: lists[0]!, lists: lists.slice(1)};
}

/** torchvision's `class_to_idx`: names of classes to 0, 1, 2, … */
function classToIndex(entries: readonly (readonly [string, unknown])[]): LabelsFound | undefined {
  if (entries.some(([key, value]) => isImage(key) || !isWhole(value)) || !countUp(entries.map(([, value]) => value as number)))
    return undefined;
  const sorted = [...entries].sort(([, a], [, b]) => (a as number) - (b as number));
  return {names: sorted.map(([name]) => name)};
}

const jsonMap: Form = (text, asked) => {
  if (!/^\s*\{/.test(text)) return undefined;
  const entries = Object.entries(parsed(text, asked) as Record<string, unknown>);
  if (entries.length === 0) throw asked.invalid('is empty');
  const someFile = entries.some(
    ([, files]) => Array.isArray(files) && files.some((file) => typeof file === 'string' && isImage(file)),
  );
  if (someFile && entries.every(([, files]) => Array.isArray(files) && files.every((file) => typeof file === 'string'))) {
    const rows = entries.flatMap(([label, files]) => (files as string[]).map((file) => ({file, label, where: `'${label}'`})));
    return {rows};
  }
  const classes = classIndex(entries) ?? classToIndex(entries);
  if (classes) return classes;
  const bad = entries.find(([, label]) => !isName(label));
  if (bad) throw asked.invalid(`the label of '${bad[0]}' is neither a number nor a name`);
  return {
    rows: entries.map(([file, label]) => ({file, label: String(label), where: `'${file}'`})),
  };
};

/** `n01440764 tench, Tinca tinca` on each line: ILSVRC's `LOC_synset_mapping.txt`, and `words.txt`. */
const synsetNames: Form = (text) => {
  const lines = linesOf(text);
  const pairs = lines.map((line) => /^(n\d{8})[ \t]+(.+)$/.exec(line));
  if (!pairs.every((pair) => pair !== null)) return undefined;
  return {
    names: pairs.map((pair) => pair![1]!),
    lists: [pairs.map((pair) => pair![2]!), pairs.map((pair) => pair![2]!.split(',')[0]!.trim())],
  };
};

const SEPARATORS = [',', '\t', ';'] as const;

/** Every row has as many fields as the first, two or more. */
function tableOf(text: string): string[][] | undefined {
  for (const separator of SEPARATORS) {
    const rows = csvRows(text, separator).map((row) => row.map((cell) => cell.trim()));
    const width = rows[0]?.length ?? 0;
    if (width >= 2 && rows.every((row) => row.length === width || (row.length === width + 1 && row.at(-1) === ''))) return rows;
  }
  return undefined;
}

const table: Form = (text, asked) => {
  const rows = tableOf(text);
  if (!rows) return undefined;
  const [header, ...body] = rows as [string[], ...string[][]];
  const hasHeader =
    body.length > 0 &&
    header.every((cell) => !isImage(cell) && !/^\d+(\.0*)?$/.test(cell)) &&
    new Set(header).size === header.length &&
    (header.some((cell) => FILE_COLUMN.test(cell)) || body.every((row) => row.some(isImage)));
  const names = hasHeader ? header : header.map((_, i) => `${i + 1}`);
  const records = (hasHeader ? body : rows).map((row) => Object.fromEntries(names.map((name, i) => [name, row[i] ?? ''])));
  if (hasHeader) return fromRecords(records, asked);
  const file = names.find((name) => records.every((record) => isImage(record[name]!)));
  if (file === undefined || names.length === 2) return file === undefined ? undefined : twoColumns(records, file, names);
  return fromRecords(records, asked);
};

function twoColumns(records: readonly Record<string, string>[], file: string, names: readonly string[]): LabelsFound {
  const label = names.find((name) => name !== file)!;
  return {rows: records.map((record, i) => ({file: record[file]!, label: record[label]!, where: `line ${i + 1}`}))};
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  while (lines.at(-1) === '') lines.pop();
  return lines;
}

/** A label on each line, or `FILE LABEL`. Either may be names of classes with spaces in them, too. */
const lines: Form = (text, {invalid}) => {
  const all = linesOf(text);
  const blank = all.indexOf('');
  if (blank >= 0) throw invalid(`line ${blank + 1} is empty`);
  const withImages = all.map((line) => /^(.+?\.(?:png|jpe?g|bmp|webp|gif|tiff?|p[bgpn]m))[\s,;]+(.+)$/i.exec(line));
  const pairs = withImages.every((pair) => pair !== null) ? withImages : all.map((line) => /^(.*\S)[\s,;]+(\S+)$/.exec(line));
  if (pairs.every((pair) => pair === null)) return {names: all};
  const bad = pairs.indexOf(null);
  if (bad >= 0) {
    const doubt = `line ${bad + 1}, '${all[bad]!.slice(0, 60)}', has one column where others have two`;
    return {names: all, doubt};
  }
  const rows = pairs.map((pair, i) => ({file: pair![1]!.replace(/[,;]$/, ''), label: pair![2]!, where: `line ${i + 1}`}));
  return {rows, lists: [all]};
};

const forms: readonly Form[] = [jsonLines, jsonList, jsonMap, synsetNames, table, lines];

/** Throws DATASET_INVALID where the text contradicts the form that it begins with. */
export function labelFormOf(text: string, asked: Asked): LabelsFound {
  for (const form of forms) {
    const found = form(text, asked);
    if (found) return found;
  }
  throw asked.invalid('has no form that is known');
}
