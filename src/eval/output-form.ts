/**
 * What a classifier's numbers are. Many models end in a softmax: their rows are probabilities, and a loss that takes them for logits is
 * that of another model, nearly flat. The graph's last node says so, and so do the numbers themselves.
 */
import {lastNode} from '../onnx/class-table.js';
import type {Model} from '../onnx/graph.js';
import {logSumExp} from './scores.js';

export type OutputForm = 'logits' | 'probabilities' | 'log-probabilities' | 'sigmoids';

/** For sentences about a single number. */
export const oneNumber: Readonly<Record<OutputForm, string>> = {
  logits: 'logit',
  probabilities: 'probability',
  'log-probabilities': 'log-probability',
  sigmoids: 'sigmoid',
};

/** What is made of them. */
export const howScored = (form: OutputForm): string =>
  form === 'sigmoids'
    ? 'loss and calibration take them for logits, and are not those of the network without it'
    : 'loss and calibration are computed from them as such';

export interface FoundForm {
  readonly form: OutputForm;
  /** Why, for people: `it ends in Softmax 'probs'`. Empty for logits. */
  readonly because: string;
}

const ENDS: Readonly<Record<string, OutputForm>> = {
  Softmax: 'probabilities',
  LogSoftmax: 'log-probabilities',
  Sigmoid: 'sigmoids',
};

const LOGITS: FoundForm = {form: 'logits', because: ''};
/** Of a sum of probabilities: half precision rounds each by 2⁻¹¹. */
const ROUNDING = 2e-3;
/** Where the graph says softmax, 8-bit numbers may have rounded a thousand small ones away. */
const COARSE = 0.5;

type Fits = (row: Float32Array, tolerance: number) => boolean;
const fits: Readonly<Record<Exclude<OutputForm, 'logits'>, Fits>> = {
  probabilities: (row, tolerance) => row.every((p) => p >= 0) && Math.abs(row.reduce((sum, p) => sum + p, 0) - 1) <= tolerance,
  sigmoids: (row) => row.every((p) => p >= 0 && p <= 1),
  'log-probabilities': (row, tolerance) => row.every((l) => l <= tolerance) && Math.abs(logSumExp(row)) <= tolerance,
};

/** Of some rows that the model gave; undefined where none of them is finite. */
export function formOf(model: Model, output: string, rows: readonly Float32Array[]): FoundForm | undefined {
  const finite = rows.filter((row) => row.every(Number.isFinite));
  if (finite.length === 0) return undefined;
  const allFit = (form: keyof typeof fits, tolerance: number) => finite.every((row) => fits[form](row, tolerance));
  const node = lastNode(model, output);
  const ending = node && ENDS[node.opType];
  if (ending && ending !== 'logits' && allFit(ending, COARSE)) return {form: ending, because: `it ends in ${node}`};
  if (finite[0]!.length < 2) return LOGITS; // one class: any number is as good as another
  if (allFit('probabilities', ROUNDING))
    return {form: 'probabilities', because: 'no number is below 0, and those of an image sum to 1'};
  if (allFit('log-probabilities', ROUNDING))
    return {form: 'log-probabilities', because: 'the exponentials of the numbers of an image sum to 1'};
  return LOGITS;
}

/** What a probability that was rounded to 0 counts as: the least that a float32 holds, so that a loss stays a number. */
const LEAST = 2 ** -149;

/** The row as logits: a softmax of them gives the model's probabilities. */
export const logitsOf = (row: Float32Array, form: OutputForm): ArrayLike<number> =>
  form === 'probabilities' ? Float64Array.from(row, (p) => (p < LEAST ? Math.log(LEAST) : Math.log(p))) : row;

/** Probabilities, in which models of different forms can be compared. */
export function probabilitiesOf(row: Float32Array, form: OutputForm): ArrayLike<number> {
  const logits = logitsOf(row, form);
  const normaliser = logSumExp(logits);
  return Float64Array.from(logits, (l) => Math.exp(l - normaliser));
}
