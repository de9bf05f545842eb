/**
 * Labels from a file: a label on each line in the order of the images' names (a number, or a class name such as a synset),
 * `FILE LABEL` on each line, or a JSON object {file: label}; or, for images in class folders, the class names in label order.
 */
import {fileSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {compareText, fileOf, some} from './entries.js';

/** ImageNet's 1.3 million training images with their paths take 60 MB. */
const MAX_BYTES = 256 * 1024 * 1024;

export interface LabelFile {
  readonly path: string;
  /** A label a line, in order; or labels by file. Values are still text. */
  readonly lines: readonly string[] | undefined;
  readonly byFile: ReadonlyMap<string, string> | undefined;
}

const invalid = (path: string, problem: string, hint: string) =>
  new GpdError('DATASET_INVALID', `${path}: ${problem}`, {at: path, hint});
const FORMATS = "give one label on each line, in the order of the images' names, or 'FILE LABEL' on each line";

export function readLabelFile(path: string): LabelFile {
  const source = fileSource(path);
  let text: string;
  try {
    if (source.size > MAX_BYTES) throw invalid(path, `has ${source.size} bytes; label files have up to ${MAX_BYTES}`, FORMATS);
    text = new TextDecoder('utf-8', {fatal: true}).decode(source.read(0, source.size));
  } catch (error) {
    throw error instanceof TypeError ? invalid(path, 'is not text in UTF-8', FORMATS) : error;
  } finally {
    source.close();
  }
  if (/^\s*\{/.test(text)) return {path, lines: undefined, byFile: fromJson(path, text)};
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  while (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) throw invalid(path, 'is empty', FORMATS);
  const blank = lines.indexOf('');
  if (blank >= 0) throw invalid(path, `line ${blank + 1} is empty`, FORMATS);
  const pairs = lines.map((line) => /^(.*\S)[\s,;]+(\S+)$/.exec(line));
  if (pairs.every((pair) => pair === null)) return {path, lines, byFile: undefined};
  const bad = pairs.indexOf(null);
  if (bad >= 0)
    throw invalid(path, `line ${bad + 1}, '${lines[bad]!.slice(0, 60)}', has one column where others have two`, FORMATS);
  return {path, lines: undefined, byFile: new Map(pairs.map((pair) => [pair![1]!.replace(/[,;]$/, ''), pair![2]!]))};
}

function fromJson(path: string, text: string): Map<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(path, `is not valid JSON: ${(error as Error).message}`, FORMATS);
  }
  const entries = Object.entries(value as Record<string, unknown>);
  const bad = entries.find(([, label]) => typeof label !== 'string' && typeof label !== 'number');
  if (bad) throw invalid(path, `the label of '${bad[0]}' is neither a number nor a name`, FORMATS);
  return new Map(entries.map(([file, label]) => [file, String(label)]));
}

export interface Labelled {
  /** In the order of the paths asked for. */
  readonly labels: readonly number[];
  readonly classes: readonly string[];
  readonly warnings: readonly string[];
}

/** Labels of images that have no class folders; `paths` in the order of their names. */
export function labelsOf(file: LabelFile, paths: readonly string[]): Labelled {
  return resolve(file, textOf(file, paths));
}

function textOf({path, lines, byFile}: LabelFile, paths: readonly string[]): string[] {
  if (lines) {
    if (lines.length === paths.length) return [...lines];
    throw invalid(
      path,
      `has ${lines.length} labels for ${paths.length} images`,
      "give the file that belongs to this set, or 'FILE LABEL' on each line",
    );
  }
  const missing = paths.filter((p) => !byFile!.has(p) && !byFile!.has(fileOf(p)));
  if (missing.length > 0) {
    throw invalid(
      path,
      `has no label for ${missing.length} of ${paths.length} images: ${some(missing)}`,
      'write their names as they are in the set',
    );
  }
  return paths.map((p) => byFile!.get(p) ?? byFile!.get(fileOf(p))!);
}

/** Numbers as they are, counted from 0 or 1; names in their sorted order, as class folders are. */
function resolve({path, lines}: LabelFile, texts: readonly string[]): Labelled {
  const numeric = texts.filter((text) => /^\d{1,7}$/.test(text)).length;
  if (numeric > 0 && numeric < texts.length) {
    throw invalid(path, `mixes numbers and names (${numeric} of ${texts.length} are numbers)`, FORMATS);
  }
  if (numeric === 0) {
    const classes = [...new Set(texts)].sort(compareText);
    const label = new Map(classes.map((name, i) => [name, i]));
    return {labels: texts.map((text) => label.get(text)!), classes, warnings: []};
  }
  const numbers = texts.map(Number);
  if (lines && isDevkitOrder(numbers)) {
    throw invalid(
      path,
      "has ILSVRC2012's own class numbers, which are not in the order of the networks' outputs",
      "give the synset of each image instead ('ILSVRC2012_val_00000001.JPEG n01751748' on each line), or sort the images into synset folders",
    );
  }
  const first = startsAtOne(numbers) ? 1 : 0;
  const warnings = first === 1 ? [`${path}: labels run from 1 to ${largest(numbers)} and were counted from 1`] : [];
  return {labels: numbers.map((n) => n - first), classes: [], warnings};
}

/** Not Math.max(...): a million arguments do not fit on the stack. */
function largest(numbers: Iterable<number>): number {
  let most = 0;
  for (const n of numbers) most = Math.max(most, n);
  return most;
}

/** Every number from 1 to n occurs, and 0 does not. */
function startsAtOne(numbers: readonly number[]): boolean {
  const distinct = new Set(numbers);
  return !distinct.has(0) && distinct.has(1) && largest(distinct) === distinct.size;
}

/** How ILSVRC2012_validation_ground_truth.txt begins. Its numbers are those of the development kit's meta.mat. */
const DEVKIT = [490, 361, 171, 822, 297, 482, 13, 704];
const isDevkitOrder = (numbers: readonly number[]) => DEVKIT.every((n, i) => numbers[i] === n);

/** For images in class folders: the file lists the classes in label order. */
export function classOrder({path, lines}: LabelFile, folders: readonly string[]): readonly string[] {
  const unknown = folders.filter((folder) => !lines!.includes(folder));
  if (unknown.length === 0) return lines!;
  throw invalid(
    path,
    `does not list ${unknown.length} of the ${folders.length} class folders: ${some(unknown)}`,
    'list every class by the name of its folder, in label order',
  );
}
