/** Labels that a set carries itself, beside its images or in a table: numbers, which count from 0, or names of classes. */
import {GpdError} from '../core/error.js';
import {compareText} from './entries.js';
import {countedFromZero, type LabelContext} from './label-base.js';
import {type DataWarning, warnings} from './warnings.js';

/** Of one image: a number or a name; undefined where it has none. */
export type LabelValue = number | string | undefined;

export interface OwnLabels {
  readonly labels: readonly (number | undefined)[];
  /** [] where labels are numbers and nothing names them. */
  readonly classes: readonly string[];
  readonly warnings: readonly DataWarning[];
}

interface OfSet {
  readonly name: string;
  /** Where the label of an image stands. */
  where(image: number): string;
  /** In label order, where the set says so. */
  readonly classes?: readonly string[] | undefined;
}

const asNumber = (value: LabelValue): number | undefined =>
  typeof value === 'number' ? value : value !== undefined && /^\s*\d{1,7}(\.0*)?\s*$/.test(value) ? Number(value) : undefined;

/** Throws DATASET_INVALID for numbers that are no labels, and for a mixture. */
export function ownLabels(values: readonly LabelValue[], set: OfSet, context: LabelContext): OwnLabels {
  const places = values.flatMap((value, i) => (value === undefined ? [] : [i]));
  const numbers = values.map(asNumber);
  const named = places.filter((i) => numbers[i] === undefined);
  const said = places.length > 0 ? warnings('some-labels', values.length - places.length) : [];
  if (named.length === 0) {
    const counted = counts(places, numbers as number[], set, context);
    return {...counted, warnings: [...said, ...counted.warnings]};
  }
  if (named.length < places.length) {
    throw invalid(set, `mixes numbers and names: ${set.where(named[0]!)} is '${String(values[named[0]!]).slice(0, 80)}'`);
  }
  const classes = set.classes ?? [...new Set(places.map((i) => values[i] as string))].sort(compareText);
  const label = new Map(classes.map((name, i) => [name, i]));
  const unknown = places.find((i) => !label.has(values[i] as string));
  if (unknown !== undefined) throw invalid(set, `${set.where(unknown)} is none of its classes: '${values[unknown]}'`);
  return {labels: values.map((value) => label.get(value as string)), classes, warnings: said};
}

function counts(places: readonly number[], numbers: readonly number[], set: OfSet, context: LabelContext): OwnLabels {
  const all = places.map((i) => numbers[i]!);
  const odd = places.find((i) => !Number.isSafeInteger(numbers[i]) || numbers[i]! < 0);
  if (odd !== undefined) throw invalid(set, `${set.where(odd)} is ${numbers[odd]}, which is no label`);
  const {classes = []} = set;
  const outside = classes.length === 0 ? undefined : places.find((i) => numbers[i]! >= classes.length);
  if (outside !== undefined) throw invalid(set, `${set.where(outside)} is ${numbers[outside]}, of ${classes.length} classes`);
  if (classes.length > 0) return {labels: numbers, classes, warnings: []};
  const used = places.map((i) => ({label: numbers[i]!, where: () => set.where(i)}));
  // Such sets count from 0, whichever classes they happen to have; only a largest label that is no output says otherwise.
  const isOpen = all.every((n) => n > 0) && all.some((n) => n === context.outputs);
  const base = context.base ?? (isOpen ? undefined : 0);
  const {labels, warnings: said} = countedFromZero({path: set.name, used, all, numbering: undefined}, {...context, base});
  const counted: (number | undefined)[] = numbers.map(() => undefined);
  for (const [k, i] of places.entries()) counted[i] = labels[k];
  return {labels: counted, classes, warnings: said};
}

const invalid = ({name}: OfSet, problem: string): GpdError =>
  new GpdError('DATASET_INVALID', `${name}: ${problem}`, {
    at: name,
    hint: 'mend the labels of the set, or take others with --labels or --label-column',
  });
