/**
 * The names that models and sets give their classes, held against each other: labels that count in another order than the outputs give
 * chance level, and look like a bad model.
 */
import {GpdError} from '../core/error.js';
import type {Dataset} from '../data/dataset.js';
import {type DataWarning, warnings} from '../data/warnings.js';
import type {Subject} from './subject.js';

type Named = Pick<Subject, 'name' | 'path' | 'metadata' | 'classes'>;

/** Entries in which tools write the names: ours, and those of others. */
const KEYS = ['labels', 'names', 'classes', 'class_names', 'classNames', 'id2label'];
/** 22,000 classes take 400 kB. */
const MAX_LENGTH = 2 ** 22;
/** Of a Python dictionary as text: 3: 'cat' */
const PAIR = /(\d+)\s*:\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g;

/** The names that a model's metadata gives its classes, in the order of its outputs. Undefined where it has none for each. */
export function ownClassNames({metadata, classes}: Pick<Named, 'metadata' | 'classes'>): readonly string[] | undefined {
  for (const key of KEYS) {
    const text = metadata.get(key);
    const names = text !== undefined && text.length <= MAX_LENGTH ? namesIn(text) : undefined;
    if (names?.length === classes && new Set(names.map(spelledAlike)).size === classes) return names;
  }
  return undefined;
}

function namesIn(text: string): readonly string[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return value.every((name) => typeof name === 'string') ? value : undefined;
    if (typeof value === 'object' && value !== null) return numbered(Object.entries(value));
    return undefined;
  } catch {
    return /^\s*\{/.test(text) ? numbered([...text.matchAll(PAIR)].map(([, at, one, two]) => [at!, one ?? two])) : undefined;
  }
}

/** {0: …, 1: …} without gaps. */
function numbered(entries: readonly [string, unknown][]): readonly string[] | undefined {
  const byNumber = new Map(entries.map(([at, name]) => [Number(at), name]));
  const names = entries.map((_, i) => byNumber.get(i));
  return entries.length > 0 && names.every((name) => typeof name === 'string') ? (names as string[]) : undefined;
}

/** Spelling that does not matter: Unicode's forms, case, underscores for spaces. */
export const spelledAlike = (name: string): string =>
  name
    .normalize('NFC')
    .toLowerCase()
    .replace(/[\s_-]+/g, ' ')
    .trim();

/** unrelated: they share fewer than half of the names, and cannot be held against each other. */
export interface ClassOrder {
  kind: 'same' | 'permuted' | 'conflicting' | 'unrelated';
  /** Places at which the two have different names, of those that both know. */
  moved: readonly number[];
  /** Of each class of the second, its place in the first; undefined where the first does not have it. */
  places: readonly (number | undefined)[];
}

/** How the second list orders the classes of the first. */
export function compareClassOrder(first: readonly string[], second: readonly string[]): ClassOrder {
  const at = new Map(first.map((name, i) => [spelledAlike(name), i]));
  const places = second.map((name) => at.get(spelledAlike(name)));
  const known = places.filter((place) => place !== undefined).length;
  const moved = places.flatMap((place, i) => (place === undefined || place === i ? [] : [i]));
  const isPermutation = known === second.length && first.length === second.length && new Set(places).size === known;
  if (2 * known < second.length) return {kind: 'unrelated', moved, places};
  return {kind: moved.length === 0 ? 'same' : isPermutation ? 'permuted' : 'conflicting', moved, places};
}

/** `class 3 is 'cat' in A, 'dog' in B, …; 7 of 10 places differ` */
export function describeClassOrder(
  {moved}: ClassOrder,
  [first, second]: readonly [readonly string[], readonly string[]],
  [of, other]: readonly [string, string],
): string {
  const examples = moved.slice(0, 2).map((i) => `class ${i} is '${first[i]}' ${of} and '${second[i]}' ${other}`);
  return `${examples.join(', ')}${moved.length > 2 ? ', …' : ''}; ${moved.length} of ${second.length} places differ`;
}

const SET = 'in the order of the set';

/** The set with its labels in the order of the models' outputs, where they name the same classes in another. */
export function inOrderOfModels(subjects: readonly Named[], set: Dataset): Dataset {
  const named = subjects.flatMap((subject) => {
    const names = ownClassNames(subject);
    return names ? [{subject, names}] : [];
  });
  refuseTwoOrders(named);
  const [first] = named;
  if (!first || set.classes.length === 0) return set;
  const order = compareClassOrder(first.names, set.classes);
  if (order.kind === 'same' || order.kind === 'unrelated') return set;
  const what = describeClassOrder(order, [first.names, set.classes], [`in ${first.subject.name}`, SET]);
  const said = (end: string): Dataset => ({...set, warnings: [...set.warnings, ...noticed(order, `${what}: ${end}`)]});
  if (set.classesListed) return said('evaluated in the order of --labels, as was asked for');
  if (order.kind === 'permuted') return withPlaces(said('evaluated by name'), order.places as number[], first.names);
  throw new GpdError('SHAPE_MISMATCH', what, {
    at: first.subject.path,
    hint: 'the names do not all occur in both, so neither order can be told to be right: list the classes of the images in the order of the outputs, a name on each line, with --labels',
  });
}

const noticed = ({moved}: ClassOrder, what: string): DataWarning[] => warnings('class-order', moved.length, what);

/** The set with labels that are outputs: class `c` has the place `places[c]` among `names`, which keep the set's own spelling there. */
export function withPlaces(set: Dataset, places: readonly number[], names: readonly string[]): Dataset {
  const classes = [...names];
  for (const [c, place] of places.entries()) classes[place] = set.classes[c]!;
  const samples = set.samples.map((sample) => ({
    ...sample,
    read: () => sample.read(),
    label: sample.label === undefined ? undefined : places[sample.label],
  }));
  return {...set, classes, samples};
}

function refuseTwoOrders(named: readonly {subject: Named; names: readonly string[]}[]): void {
  const [first, ...others] = named;
  for (const {subject, names} of others) {
    const order = compareClassOrder(first!.names, names);
    if (order.kind !== 'permuted') continue;
    const what = describeClassOrder(order, [first!.names, names], [`in ${first!.subject.name}`, `in ${subject.name}`]);
    throw new GpdError('SHAPE_MISMATCH', what, {
      at: subject.path,
      hint: 'the labels can follow one order alone: evaluate them one by one',
    });
  }
}

/** No sentence, or one on two models that name the same classes in another order. */
export function classOrderWarnings(reference: Named, actual: Named): string[] {
  const [want, got] = [ownClassNames(reference), ownClassNames(actual)];
  const order = want && got && compareClassOrder(want, got);
  if (!order || (order.kind !== 'permuted' && order.kind !== 'conflicting')) return [];
  const what = describeClassOrder(order, [want, got], [`in ${reference.name}`, 'here']);
  return [`it names its classes in another order: ${what}. The outputs are compared place by place`];
}
