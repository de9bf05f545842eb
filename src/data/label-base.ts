/**
 * Where numbers count from. A file of labels does not say; the number of the model's outputs often does, and ILSVRC2012's images do.
 * What stays open is an error with both readings: a wrong guess is chance level, and looks like a bad model.
 */
import {GpdError} from '../core/error.js';
import {ILSVRC_CLASSES, type Numbering} from './ilsvrc-validation.js';
import {type DataWarning, warnings} from './warnings.js';

export type LabelBase = 0 | 1;

/** What is known beside the file. */
export interface LabelContext {
  /** How many outputs the model has; undefined where none is evaluated. */
  readonly outputs?: number | undefined;
  /** What the user says. */
  readonly base?: LabelBase | undefined;
}

export interface LabelNumbers {
  readonly path: string;
  /** Of the images of the set; `where` says where each stands in the file. */
  readonly used: readonly {readonly label: number; where(): string}[];
  /** All numbers of the file, those of images that are not in the set too: they tell the base as well. */
  readonly all: readonly number[];
  /** What the names of the images tell. */
  readonly numbering: Numbering | undefined;
}

/** Outputs of networks that have a class for the background before ImageNet's. */
const WITH_BACKGROUND = ILSVRC_CLASSES + 1;

/** Labels counted from 0. Throws DATASET_INVALID for the development kit's numbers, for an open base, and for a label that is no output. */
export function countedFromZero(
  numbers: LabelNumbers,
  context: LabelContext,
): {labels: number[]; warnings: readonly DataWarning[]} {
  refuseKit(numbers, context);
  const {base, ...said} = baseOf(numbers, context);
  const {outputs} = context;
  const bad = numbers.used.find(({label}) => label < base || (outputs !== undefined && label - base >= outputs));
  if (bad) throw outOfRange(numbers.path, bad, base, outputs);
  return {labels: numbers.used.map(({label}) => label - base), ...said};
}

function baseOf(
  {path, all, used, numbering}: LabelNumbers,
  {outputs, base}: LabelContext,
): {base: LabelBase; warnings: readonly DataWarning[]} {
  if (base !== undefined) return {base, warnings: []};
  const {min, max} = rangeOf(all);
  const one = (why: string) => ({
    base: 1 as const,
    warnings: warnings(
      'label-base',
      used.length,
      `labels in ${path} run from ${min} to ${max} and were counted from 1, ${why}`,
    ),
  });
  const isImagenet = outputs === undefined || outputs === ILSVRC_CLASSES || outputs === WITH_BACKGROUND;
  if (numbering && isImagenet)
    return numbering.base === 1 && outputs !== WITH_BACKGROUND ? one("as ILSVRC2012's images tell") : {base: 0, warnings: []};
  if (min <= 0) return {base: 0, warnings: []}; // below 0 is no label, wherever they count from
  const largest = rangeOf(used.map(({label}) => label)).max;
  if (max === outputs || largest === outputs) return one(`for there are ${outputs} outputs`);
  if (outputs !== undefined && largest > outputs) throw outOfRange(path, used.find(({label}) => label > outputs)!, 0, outputs);
  const known = outputs === undefined ? 'how many classes there are is not known' : `there are ${outputs} outputs`;
  throw new GpdError(
    'DATASET_INVALID',
    `${path}: labels run from ${min} to ${max} and ${known}: they are classes ${min} to ${max} if they count from 0, ${min - 1} to ${max - 1} if they count from 1`,
    {
      at: path,
      hint: 'say which: --label-base 0 if the first class of all is 0, --label-base 1 if it is 1',
      data: {min, max, ...(outputs !== undefined && {outputs})},
    },
  );
}

function outOfRange(
  path: string,
  {label, where}: LabelNumbers['used'][number],
  base: LabelBase,
  outputs: number | undefined,
): GpdError {
  const range = outputs === undefined ? `from ${base} on` : `${base} to ${outputs - 1 + base}`;
  const model = outputs === undefined ? '' : ` of a model with ${outputs} outputs`;
  return new GpdError('DATASET_INVALID', `${path}: ${where()}: ${label} is not among the labels${model}, ${range}`, {
    at: `${path}: ${where()}`,
    hint: 'give the file of labels that belongs to these images and this model, or the base with --label-base',
    data: {where: where(), label, ...(outputs !== undefined && {outputs})},
  });
}

/** A network of fewer classes has an order of its own, in which a number may be the kit's by chance. */
function refuseKit({path, numbering, used}: LabelNumbers, {outputs = ILSVRC_CLASSES}: LabelContext): void {
  if (numbering?.order !== 'kit') return;
  if (outputs >= ILSVRC_CLASSES || used.some(({label}) => label > outputs))
    throw kitNumbers(path, numbering.base === 1 ? '' : ', less one');
}

/** `what` has the development kit's numbers. */
export const kitNumbers = (what: string, how = ''): GpdError =>
  new GpdError(
    'DATASET_INVALID',
    `${what}: has ILSVRC2012's own class numbers${how}, which are not in the order of the networks' outputs`,
    {
      at: what,
      hint: "give the synset of each image instead ('ILSVRC2012_val_00000001.JPEG n01751748' on each line), or sort the images into synset folders",
    },
  );

/** Not Math.max(...): a million arguments do not fit on the stack. */
function rangeOf(numbers: Iterable<number>): {min: number; max: number} {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const n of numbers) [min, max] = [Math.min(min, n), Math.max(max, n)];
  return {min, max};
}
