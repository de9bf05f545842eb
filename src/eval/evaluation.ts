/** The result of an evaluation as plain data: what `--json` prints, tables show and the report draws. Shares are in percent. */

import type {DataWarning} from '../data/warnings.js';
import type {ProviderName} from '../onnx/providers.js';
import type {Outcome, PairOutcome} from './evaluate.js';
import type {ProviderExplanation} from './explain-provider.js';
import type {FastCheck} from './fast-check.js';
import {type GateOptions, type GateResult, judge} from './gates.js';
import type {FoundForm, OutputForm} from './output-form.js';
import type {PairResult, WorstPair} from './pair-tally.js';
import type {Interval} from './statistics.js';
import type {Subject, SubjectForm, SubjectSize} from './subject.js';
import type {WorstImage} from './tally.js';

/** Low and high edge, percent, 95 %. */
type Edges = [low: number, high: number];

/** What was measured of one model. */
export interface ModelSummary {
  name: string;
  path: string;
  form: SubjectForm;
  /** What its numbers are, and why; loss, calibration and confidences are those of its probabilities in any case. */
  outputs: FoundForm;
  /** Tensors of the checkpoint that were left out by name: what was measured is the network without them. */
  without: string[];
  /** What else must be known to read its numbers: weights left out, outputs chosen, answers that are not repeatable. */
  warnings: string[];
  images: number;
  labelled: number;
  /** Percent; null where no image has a label, or where an output is not finite: see `nonFinite`. */
  top1: number | null;
  top5: number | null;
  correct1: number | null;
  correct5: number | null;
  top1Interval: Edges | null;
  top5Interval: Edges | null;
  crossEntropy: number | null;
  /** Percent. */
  calibrationError: number | null;
  /** Percent of images with the baseline's top class. */
  agreement: number | null;
  /** Images with NaN or infinite outputs. One is enough: nothing else is measured then. */
  nonFinite: number;
  /** The first of them. */
  nonFiniteImages: string[];
  size: SubjectSize;
  loadMs: number;
  /** In the model alone, decoding aside. */
  imagesPerSecond: number;
  /** Milliseconds of a batch in the model, at most 4 % too large. */
  latency: {p50: number; p90: number; p99: number; histogram: {low: number; high: number; count: number}[]};
  perClass: {class: string; images: number; top1: number | null; top5: number | null}[];
  /** Wrong answers, most frequent first. */
  confusions: {class: string; predicted: string; images: number}[];
  calibration: {images: number; confidence: number; accuracy: number}[];
  /** Where its answer cost most. */
  worst: WorstSummary[];
}
export interface AnswerSummary {
  class: string;
  /** Percent. */
  confidence: number;
}
export interface WorstSummary {
  index: number;
  path: string;
  class: string | null;
  loss: number;
  answer: AnswerSummary;
}
export interface WorstPairSummary {
  index: number;
  path: string;
  class: string | null;
  /** Largest |Δ| of a number; of which, `compared` says. */
  difference: number;
  a: AnswerSummary;
  b: AnswerSummary;
}
/** What the two say of the same images. */
type PairNumbers = Pick<PairResult, 'bothRight' | 'onlyA' | 'onlyB' | 'bothWrong' | 'mcnemar' | 'difference'>;
interface PairSummary extends Pick<PairResult, 'images' | 'nonFinite' | 'histogram'> {
  a: string;
  b: string;
  /** What their numbers were compared as. */
  compared: OutputForm;
  worst: WorstPairSummary[];
}
/** A pair of models as `PairResult` has it, shares in percent. Where an output of either is not finite nothing is measured. */
export type ComparisonSummary = PairSummary &
  (
    | ({agreement: number | null; agreementInterval: Edges} & PairNumbers)
    | ({agreement: null; agreementInterval: null} & {[K in keyof PairNumbers]: null})
  );
export type MeasuredComparison = Extract<ComparisonSummary, PairNumbers>;
export interface Settings {
  data: string;
  classes: number;
  recipe: object;
  /** Why this recipe. */
  recipeReason: string;
  batchSize: number;
  threads: number | null;
  provider: {asked: string; used: ProviderName; reason: string};
}
/** The result of an evaluation: what `gpd eval --json` prints. */
export interface Evaluation {
  /** False if the run was interrupted: the numbers are of the images that were seen. */
  complete: boolean;
  images: {total: number; seen: number; failed: number};
  failures: {path: string; reason: string}[];
  /** What was left out of the set, guessed, or looks wrong in it. */
  warnings: readonly DataWarning[];
  settings: Settings;
  /** Whose answers the others are compared with. */
  baseline: string;
  models: ModelSummary[];
  comparisons: ComparisonSummary[];
  gates: GateResult[];
  /** Every gate is met. */
  ok: boolean;
  providers: {model: string; explanation: ProviderExplanation}[];
  /** With `--fast`: what it changes, measured on some of the images. */
  fastCheck?: FastCheck;
  timing: Outcome['timing'];
  peakBytes: number;
}

export interface EvaluationContext {
  settings: Settings;
  gates: GateOptions;
  classes: readonly string[];
  warnings: readonly DataWarning[];
  /** Path of an image by its index. */
  pathOf(index: number): string;
  providers: Evaluation['providers'];
}

const percent = (share: number): number => Number((100 * share).toFixed(6));
const percentOrNull = (share: number): number | null => (Number.isFinite(share) ? percent(share) : null);
const edges = ({low, high}: Interval): Edges => [percent(low), percent(high)];
const edgesOrNull = (interval: Interval): Edges | null => (Number.isFinite(interval.low) ? edges(interval) : null);
const finiteOrNull = (x: number): number | null => (Number.isFinite(x) ? x : null);

/** The student before deployment where a checkpoint is given, else the first model. */
export const baselineOf = (subjects: readonly Pick<Subject, 'form'>[]): number =>
  Math.max(
    0,
    subjects.findIndex(({form}) => form === 'student'),
  );

export function summarise(outcome: Outcome, context: EvaluationContext): Evaluation {
  const subjects = outcome.models.map(({subject}) => subject);
  const reference = baselineOf(subjects);
  const models = outcome.models.map((_, m) => summariseModel(outcome, m, reference, context));
  const baseline = models[reference]!;
  const gates = judge(context.gates, models, baseline);
  return {
    complete: outcome.complete,
    images: {total: outcome.total, seen: outcome.done, failed: outcome.failures.count},
    failures: outcome.failures.list,
    warnings: context.warnings,
    settings: context.settings,
    baseline: baseline.name,
    models,
    comparisons: outcome.pairs.map((pair) => summarisePair(pair, subjects, context)),
    gates,
    ok: gates.every((gate) => gate.ok),
    providers: context.providers,
    timing: outcome.timing,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
}

const className = (classes: readonly string[], label: number): string => classes[label] ?? String(label);
const pairOf = (pairs: readonly PairOutcome[], a: number, b: number) =>
  pairs.find((p) => (p.a === a && p.b === b) || (p.a === b && p.b === a));

function summariseModel(
  {models, pairs}: Outcome,
  m: number,
  reference: number,
  {classes, pathOf}: EvaluationContext,
): ModelSummary {
  const {subject, interval1, interval5, ...r} = models[m]!;
  const pair = m === reference ? undefined : pairOf(pairs, m, reference)!;
  const agreement = pair ? (pair.nonFinite > 0 ? Number.NaN : pair.agreement) : 1;
  return {
    name: subject.name,
    path: subject.path,
    form: subject.form,
    outputs: r.outputs,
    without: [...subject.without],
    warnings: [...subject.warnings],
    images: r.images,
    labelled: r.labelled,
    top1: percentOrNull(r.top1),
    top5: percentOrNull(r.top5),
    correct1: finiteOrNull(r.correct1),
    correct5: finiteOrNull(r.correct5),
    top1Interval: r.labelled > 0 ? edgesOrNull(interval1) : null,
    top5Interval: r.labelled > 0 ? edgesOrNull(interval5) : null,
    crossEntropy: finiteOrNull(r.crossEntropy),
    calibrationError: percentOrNull(r.calibrationError),
    agreement: r.images > 0 && r.nonFinite === 0 ? percentOrNull(agreement) : null,
    nonFinite: r.nonFinite,
    nonFiniteImages: r.nonFiniteImages.map(pathOf),
    size: subject.size,
    loadMs: r.loadMs,
    imagesPerSecond: r.runImagesPerSecond,
    latency: {
      p50: r.latency.quantile(0.5),
      p90: r.latency.quantile(0.9),
      p99: r.latency.quantile(0.99),
      histogram: r.latency.chart(16),
    },
    perClass: r.perClass.map(({label, images, top1, top5}) => ({
      class: className(classes, label),
      images,
      top1: percentOrNull(top1),
      top5: percentOrNull(top5),
    })),
    confusions: r.confusions.map(({label, predicted, images}) => ({
      class: className(classes, label),
      predicted: className(classes, predicted),
      images,
    })),
    calibration: r.calibration.map(({images, confidence, accuracy}) => ({
      images,
      confidence: percent(confidence),
      accuracy: percent(accuracy),
    })),
    worst: r.worst.map((image) => summariseWorst(image, classes, pathOf)),
  };
}

const answerOf = (
  classes: readonly string[],
  {predicted, confidence}: {predicted: number; confidence: number},
): AnswerSummary => ({
  class: className(classes, predicted),
  confidence: percent(confidence),
});
const labelOf = (classes: readonly string[], label: number): string | null => (label < 0 ? null : className(classes, label));

const summariseWorst = (image: WorstImage, classes: readonly string[], pathOf: EvaluationContext['pathOf']): WorstSummary => ({
  index: image.index,
  path: pathOf(image.index),
  class: labelOf(classes, image.label),
  loss: image.key,
  answer: answerOf(classes, image),
});

const summariseWorstPair = (
  pair: WorstPair,
  classes: readonly string[],
  pathOf: EvaluationContext['pathOf'],
): WorstPairSummary => ({
  index: pair.index,
  path: pathOf(pair.index),
  class: labelOf(classes, pair.label),
  difference: pair.difference,
  a: answerOf(classes, pair.a),
  b: answerOf(classes, pair.b),
});

const NOT_MEASURED = {
  ...{agreement: null, agreementInterval: null, bothRight: null, onlyA: null, onlyB: null, bothWrong: null, mcnemar: null},
  ...{difference: null, histogram: [], worst: []},
};

function summarisePair(
  pair: PairOutcome,
  subjects: readonly Subject[],
  {classes, pathOf}: EvaluationContext,
): ComparisonSummary {
  const {a, b, compared, images, nonFinite, agreement, agreementInterval, worst, ...rest} = pair;
  const place = {a: subjects[a]!.name, b: subjects[b]!.name, compared, images, nonFinite};
  if (nonFinite > 0) return {...place, ...NOT_MEASURED};
  return {
    ...place,
    ...rest,
    agreement: percentOrNull(agreement),
    agreementInterval: edges(agreementInterval),
    worst: worst.map((image) => summariseWorstPair(image, classes, pathOf)),
  };
}
