/** The labels of a file (see `label-file.ts`) for the images of a set; or, for images in class folders, the class names in label order. */
import {GpdError} from '../core/error.js';
import {numberedClasses} from './class-numbers.js';
import {compareText, isImage, some} from './entries.js';
import {LabelledNames, plainName} from './file-names.js';
import {areUnknown, numberingOf, numberingOfLines} from './ilsvrc-validation.js';
import {imagenetSubset} from './imagenet-subset.js';
import {countedFromZero, type LabelContext} from './label-base.js';
import {LABEL_FORMATS, type LabelFile} from './label-file.js';
import {type DataWarning, warnings} from './warnings.js';

const invalid = (path: string, problem: string, hint: string) =>
  new GpdError('DATASET_INVALID', `${path}: ${problem}`, {at: path, hint});

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
  const labelled = isNumeric(file, places) ? numbersOf(file, paths, places, context) : namesOf(file, places, context);
  return {...labelled, warnings: [...file.warnings, ...labelled.warnings, ...unused(file, places)]};
}

/** Of each image, where its label stands. */
function placesOf(file: LabelFile, paths: readonly string[]): readonly number[] {
  const {path, texts, byFile, doubt} = file;
  if (doubt !== undefined) throw invalid(path, doubt, LABEL_FORMATS);
  if (!byFile) {
    if (texts.length === paths.length) return paths.map((_, i) => i);
    throw invalid(
      path,
      `has ${texts.length} labels for ${paths.length} images`,
      "give the file that belongs to this set, or 'FILE LABEL' on each line",
    );
  }
  const names = new LabelledNames(byFile.keys());
  const keys = paths.map((p) => names.find(p));
  const places = keys.map((key) => (key === undefined ? undefined : byFile.get(key)));
  const missing = paths.filter((_, i) => places[i] === undefined);
  if (missing.length > 0) {
    throw invalid(
      path,
      `has no label for ${missing.length} of ${paths.length} images: ${some(missing)}`,
      'write their names as they are in the set',
    );
  }
  refuseShared(path, keys as string[], paths);
  refuseAgain(file, keys as string[]);
  return places as number[];
}

function refuseAgain({path, texts, byFile, again, where}: LabelFile, keys: readonly string[]): void {
  const name = again.size === 0 ? undefined : keys.find((key) => again.has(key));
  if (name === undefined) return;
  const labels = [byFile!.get(name)!, again.get(name)!].map((place) => `${texts[place]} on ${where(place)}`);
  throw invalid(path, `gives '${name}' two labels: ${labels.join(', ')}`, 'leave the right one in the file');
}

/** A name without its folders must not mean several images. `keys`: which line each image was given. */
function refuseShared(path: string, keys: readonly string[], paths: readonly string[]): void {
  const images = new Map<string, string[]>();
  for (const [i, key] of keys.entries()) {
    const own = images.get(key);
    if (own) own.push(paths[i]!);
    else images.set(key, [paths[i]!]);
  }
  const [name, own] = [...images].find(([, shared]) => shared.length > 1) ?? [];
  if (name === undefined) return;
  throw invalid(
    path,
    `gives one label to '${name}', and ${own!.length} images have that name: ${some(own!)}`,
    `write their folders too, as in '${own![0]} LABEL'`,
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
    throw invalid(path, `mixes numbers and names (${numeric} of ${places.length} are numbers)`, LABEL_FORMATS);
  return true;
}

/** Names in their sorted order, as class folders are. A file of more images than the set has knows more classes, too. */
function namesOf({texts, byFile}: LabelFile, places: readonly number[], {outputs}: LabelContext): Labelled {
  const others = [...(byFile ?? [])].filter(([file]) => isImage(file)).map(([, place]) => place);
  const classes = [...new Set([...places, ...others].map((place) => texts[place]!))].sort(compareText);
  const known = imagenetSubset(classes, outputs);
  const order = known?.classes ?? classes;
  const label = new Map(order.map((name, i) => [name, i]));
  const labels = places.map((place) => label.get(texts[place]!)!);
  return {labels, classes: order, warnings: known?.warnings ?? numberedClasses(classes)};
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

/** Whether lines that might be a file and its label each are the names of these folders: `small dog`. */
export const namesFolders = ({lists}: LabelFile, folders: readonly string[]): boolean =>
  lists.some((list) => isListed(list, folders.map(plainName)));

/** For images in class folders: the file lists the classes in label order. Throws DATASET_INVALID where one is missing or there twice. */
export function classOrder({path, texts, lists, where}: LabelFile, folders: readonly string[]): readonly string[] {
  const candidates = lists.length > 0 ? lists : [texts];
  const plain = folders.map(plainName);
  const names = candidates.find((list) => isListed(list, plain)) ?? candidates[0]!;
  const listed = new Set(names.map(plainName));
  const unknown = folders.filter((_, i) => !listed.has(plain[i]!));
  if (unknown.length > 0)
    throw invalid(
      path,
      `does not list ${unknown.length} of the ${folders.length} class folders: ${some(unknown)}`,
      'list every class by the name of its folder, in label order',
    );
  const places = new Map<string, number>();
  for (const [place, name] of names.entries()) places.set(plainName(name), places.get(plainName(name)) ?? place);
  const again = names.findIndex((name, place) => places.get(plainName(name)) !== place);
  const own = new Map(folders.map((folder, i) => [plain[i]!, folder]));
  if (again < 0) return names.map((name) => own.get(plainName(name)) ?? name);
  const name = names[again]!;
  const lines = `${where(places.get(plainName(name))!)} and ${where(again)}`;
  throw invalid(path, `lists '${name}' twice, on ${lines}`, 'list every class once, in label order');
}

function isListed(list: readonly string[], folders: readonly string[]): boolean {
  const names = new Set(list.map(plainName));
  return folders.every((folder) => names.has(folder));
}
