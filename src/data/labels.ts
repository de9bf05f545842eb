/**
 * Labels from a file: a label on each line in the order of the images' names (a number, or a class name such as a synset),
 * `FILE LABEL` on each line, or a JSON object {file: label}; or, for images in class folders, the class names in label order.
 */
import {fileSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {numberedClasses} from './class-numbers.js';
import {compareText, fileOf, isImage, some} from './entries.js';
import {areUnknown, numberingOf, numberingOfLines} from './ilsvrc-validation.js';
import {countedFromZero, type LabelContext} from './label-base.js';
import {type DataWarning, warnings} from './warnings.js';

/** ImageNet's 1.3 million training images with their paths take 60 MB. */
const MAX_BYTES = 256 * 1024 * 1024;

export interface LabelFile {
  readonly path: string;
  /** Labels as they stand there, in order. */
  readonly texts: readonly string[];
  /** Whose they are: places in `texts`. Undefined for a label a line, in the order of the images. */
  readonly byFile: ReadonlyMap<string, number> | undefined;
  /** Files with another label further down, and where. */
  readonly again: ReadonlyMap<string, number>;
  /** Where a label stands, for messages: `line 7`. */
  where(place: number): string;
}

const invalid = (path: string, problem: string, hint: string) =>
  new GpdError('DATASET_INVALID', `${path}: ${problem}`, {at: path, hint});
const FORMATS = "give one label on each line, in the order of the images' names, or 'FILE LABEL' on each line";
const onLine = (place: number): string => `line ${place + 1}`;

/** Throws DATASET_INVALID for what is no file of labels. */
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
  if (/^\s*\{/.test(text)) return fromJson(path, text);
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  while (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) throw invalid(path, 'is empty', FORMATS);
  const blank = lines.indexOf('');
  if (blank >= 0) throw invalid(path, `line ${blank + 1} is empty`, FORMATS);
  const pairs = lines.map((line) => /^(.*\S)[\s,;]+(\S+)$/.exec(line));
  if (pairs.every((pair) => pair === null)) return {path, texts: lines, byFile: undefined, again: new Map(), where: onLine};
  const bad = pairs.indexOf(null);
  if (bad >= 0)
    throw invalid(path, `line ${bad + 1}, '${lines[bad]!.slice(0, 60)}', has one column where others have two`, FORMATS);
  const files = pairs.map((pair) => pair![1]!.replace(/[,;]$/, ''));
  return fromPairs(
    path,
    files,
    pairs.map((pair) => pair![2]!),
  );
}

function fromPairs(path: string, files: readonly string[], texts: readonly string[]): LabelFile {
  const [byFile, again] = [new Map<string, number>(), new Map<string, number>()];
  for (const [place, file] of files.entries()) {
    const before = byFile.get(file);
    if (before === undefined) byFile.set(file, place);
    else if (texts[before] !== texts[place]) again.set(file, place);
  }
  return {path, texts, byFile, again, where: onLine};
}

function fromJson(path: string, text: string): LabelFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(path, `is not valid JSON: ${(error as Error).message}`, FORMATS);
  }
  const entries = Object.entries(value as Record<string, unknown>);
  const bad = entries.find(([, label]) => typeof label !== 'string' && typeof label !== 'number');
  if (bad) throw invalid(path, `the label of '${bad[0]}' is neither a number nor a name`, FORMATS);
  const texts = entries.map(([, label]) => String(label));
  return {
    path,
    texts,
    byFile: new Map(entries.map(([file], i) => [file, i])),
    again: new Map(),
    where: (i) => `'${entries[i]![0]}'`,
  };
}

export interface Labelled {
  /** In the order of the paths asked for. */
  readonly labels: readonly number[];
  readonly classes: readonly string[];
  readonly warnings: readonly DataWarning[];
}

/**
 * Labels of images that have no class folders; `paths` in the order of their names. Throws DATASET_INVALID where the file leaves open
 * whose labels it has or how they count, and for a label that the model does not have.
 */
export function labelsOf(file: LabelFile, paths: readonly string[], context: LabelContext): Labelled {
  const places = placesOf(file, paths);
  const labelled = isNumeric(file, places) ? numbersOf(file, paths, places, context) : namesOf(file, places);
  return {...labelled, warnings: [...labelled.warnings, ...unused(file, places)]};
}

/** Of each image, where its label stands. */
function placesOf(file: LabelFile, paths: readonly string[]): readonly number[] {
  const {path, texts, byFile} = file;
  if (!byFile) {
    if (texts.length === paths.length) return paths.map((_, i) => i);
    throw invalid(
      path,
      `has ${texts.length} labels for ${paths.length} images`,
      "give the file that belongs to this set, or 'FILE LABEL' on each line",
    );
  }
  const places = paths.map((p) => byFile.get(p) ?? byFile.get(fileOf(p)));
  const missing = paths.filter((_, i) => places[i] === undefined);
  if (missing.length > 0) {
    throw invalid(
      path,
      `has no label for ${missing.length} of ${paths.length} images: ${some(missing)}`,
      'write their names as they are in the set',
    );
  }
  refuseShared(path, byFile, paths);
  refuseAgain(file, paths);
  return places as number[];
}

function refuseAgain({path, texts, byFile, again, where}: LabelFile, paths: readonly string[]): void {
  const name = again.size === 0 ? undefined : paths.map((p) => (byFile!.has(p) ? p : fileOf(p))).find((p) => again.has(p));
  if (name === undefined) return;
  const labels = [byFile!.get(name)!, again.get(name)!].map((place) => `${texts[place]} on ${where(place)}`);
  throw invalid(path, `gives '${name}' two labels: ${labels.join(', ')}`, 'leave the right one in the file');
}

/** A name without its folders must not mean several images. */
function refuseShared(path: string, byFile: ReadonlyMap<string, number>, paths: readonly string[]): void {
  const images = new Map<string, string[]>();
  for (const p of paths) {
    const own = images.get(fileOf(p));
    if (own) own.push(p);
    else images.set(fileOf(p), [p]);
  }
  const shared = paths.find((p) => !byFile.has(p) && images.get(fileOf(p))!.length > 1);
  if (shared === undefined) return;
  const name = fileOf(shared);
  const own = images.get(name)!;
  throw invalid(
    path,
    `gives one label to '${name}', and ${own.length} images have that name: ${some(own)}`,
    `write their folders too, as in '${own[0]} LABEL'`,
  );
}

/** Tables of floats write 5 as 5.0. */
const NUMBER = /^-?\d{1,15}(\.0*)?$/;
/** Of at most this length; classes called by longer ones, such as a synset's eight digits, are names. */
const LABEL = /^\d{1,7}(\.0*)?$/;

/** No class is called so: a file of these alone has labels that are none, such as -1 for 'unknown'. */
const NEGATIVE = /^-\d+(\.0*)?$/;

/** `0.5` is no class, whatever stands beside it; `0x1`, `1e3` and `+1` are names where others are. */
const FRACTION = /^[-+]?(\d+\.\d+|\.\d+)(e[-+]?\d+)?$/i;
const isOddNumber = (text: string): boolean => !/^\d+$/.test(text) && !NUMBER.test(text) && Number.isFinite(Number(text));

function refuseOddNumbers({path, texts, where}: LabelFile, places: readonly number[]): void {
  const allNumbers = places.every((place) => Number.isFinite(Number(texts[place])));
  const bad = places.find((place) => {
    const text = texts[place]!;
    return isOddNumber(text) && (allNumbers || FRACTION.test(text));
  });
  if (bad === undefined) return;
  const problem = `the label '${texts[bad]}' (${where(bad)}) is not a whole number in decimal digits`;
  throw invalid(path, problem, 'write classes as 0, 1, 2 … or by their names');
}

/** Numbers that are no labels are told from names, so that they can be refused as what they are. */
function isNumeric(file: LabelFile, places: readonly number[]): boolean {
  const {path, texts} = file;
  refuseOddNumbers(file, places);
  const count = (kind: RegExp) => places.filter((place) => kind.test(texts[place]!)).length;
  const [labels, numeric] = [count(LABEL), count(NUMBER)];
  if (labels === 0 && !places.every((place) => NEGATIVE.test(texts[place]!))) return false;
  if (numeric < places.length)
    throw invalid(path, `mixes numbers and names (${numeric} of ${places.length} are numbers)`, FORMATS);
  return true;
}

/** Names in their sorted order, as class folders are. A file of more images than the set has knows more classes, too. */
function namesOf({texts, byFile}: LabelFile, places: readonly number[]): Labelled {
  const others = [...(byFile ?? [])].filter(([file]) => isImage(file)).map(([, place]) => place);
  const classes = [...new Set([...places, ...others].map((place) => texts[place]!))].sort(compareText);
  const label = new Map(classes.map((name, i) => [name, i]));
  return {labels: places.map((place) => label.get(texts[place]!)!), classes, warnings: numberedClasses(classes)};
}

function numbersOf(file: LabelFile, paths: readonly string[], places: readonly number[], context: LabelContext): Labelled {
  const {path, texts, byFile, where} = file;
  const named = byFile ? [...byFile] : paths.map((p, i) => [p, i] as const);
  const numbers = named
    .filter(([, place]) => NUMBER.test(texts[place]!))
    .map(([name, place]) => [name, Number(texts[place])] as const);
  const all = numbers.map(([, label]) => label);
  const used = places.map((place) => ({label: Number(texts[place]), where: () => where(place)}));
  const numbering = numberingOf(numbers) ?? (byFile ? undefined : numberingOfLines(all));
  const {labels, warnings: said} = countedFromZero({path, used, all, numbering}, context);
  const names = numbers.map(([name]) => name);
  const unchecked = numbering || !areUnknown(names) ? [] : warnings('unchecked-order', labels.length);
  return {labels, classes: [], warnings: [...said, ...unchecked]};
}

/** Lines of images that the set does not have; a header is none. */
function unused({path, byFile}: LabelFile, places: readonly number[]): DataWarning[] {
  if (!byFile) return [];
  const used = new Set(places);
  const names = [...byFile].filter(([file, place]) => !used.has(place) && isImage(file)).map(([file]) => file);
  return warnings('unused-labels', names, path);
}

/** Whether a file of labels is a list of these classes: then it says their order, and is no label of each image. */
export function listsClasses(path: string, classes: readonly string[]): boolean {
  const {texts, byFile} = readLabelFile(path);
  return !byFile && texts.length === classes.length && texts.every((text, i) => text === classes[i]);
}

/** For images in class folders: the file lists the classes in label order. Throws DATASET_INVALID where one is missing or there twice. */
export function classOrder({path, texts, where}: LabelFile, folders: readonly string[]): readonly string[] {
  const places = new Map<string, number>();
  for (const [place, name] of texts.entries()) places.set(name, places.get(name) ?? place);
  const unknown = folders.filter((folder) => !places.has(folder));
  if (unknown.length > 0)
    throw invalid(
      path,
      `does not list ${unknown.length} of the ${folders.length} class folders: ${some(unknown)}`,
      'list every class by the name of its folder, in label order',
    );
  const again = texts.findIndex((name, place) => places.get(name) !== place);
  if (again < 0) return texts;
  const name = texts[again]!;
  const lines = `${where(places.get(name)!)} and ${where(again)}`;
  throw invalid(path, `lists '${name}' twice, on ${lines}`, 'list every class once, in label order');
}
