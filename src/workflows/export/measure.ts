/** Accuracy and speed of all forms of one export, side by side with the float32 student. */

import {plural} from '../../core/format.js';
import {enterPhase} from '../../core/phases.js';
import {bench} from '../../eval/bench.js';
import type {Evaluation, ModelSummary} from '../../eval/evaluation.js';
import {type Subject, subjectOfModel} from '../../eval/subject.js';
import type {Model} from '../../onnx/graph.js';
import {type EvaluateFilesOptions, evaluateSubjects} from '../evaluate.js';
import type {ExportSettings} from './options.js';
import type {ExportSource} from './source.js';
import type {StagedForm} from './staged-form.js';

export interface MeasuredForm {
  /** Percent, null without labels. */
  top1: number | null;
  /** Percent of images with the float32 student's top class. */
  agreement: number | null;
  /** Median of one image, or of one batch where that is fixed. */
  latencyMs: number | null;
  /** In batches. */
  imagesPerSecond: number | null;
  /** Every gate is met, or none was asked for. */
  gatesOk: boolean;
  /** Why it could not be timed. */
  timingFailed: string | null;
  /** Far below float32, though no gate was asked for. */
  warnings: readonly string[];
}
export interface Measured {
  source: Pick<MeasuredForm, 'top1' | 'latencyMs' | 'imagesPerSecond' | 'timingFailed'>;
  forms: MeasuredForm[];
  evaluation: Evaluation | undefined;
}

interface Candidates {
  source: ExportSource;
  forms: readonly StagedForm[];
  options: ExportSettings;
}

/** Batches of the throughput. */
const THROUGHPUT_BATCH = 16;
const ROUND_MS = 100;

export async function measureForms({source: {subject: source, onnxPath}, forms, options}: Candidates): Promise<Measured> {
  const subjects = forms.flatMap(({subject}) => subject ?? []);
  if (options.data !== undefined) await enterPhase(options, 'evaluate');
  const evaluation = options.data === undefined ? undefined : await evaluateAll([source, ...subjects], options);
  if (options.rounds > 0) await enterPhase(options, 'time');
  const speeds = options.rounds > 0 ? await timeAll({...source, path: onnxPath}, forms, options) : new Map<string, Speed>();
  const summaryOf = (name: string) => evaluation?.models.find((m) => m.name === name);
  return {
    source: {top1: summaryOf(source.name)?.top1 ?? null, ...speedOf(speeds, source.name)},
    forms: forms.map(({plan}) => ({
      ...accuracyOf(summaryOf(plan.name)),
      warnings: farBelow(summaryOf(source.name), summaryOf(plan.name)),
      ...speedOf(speeds, plan.name),
      gatesOk: (evaluation?.gates ?? []).every(({model, ok}) => model !== plan.name || ok),
    })),
    evaluation,
  };
}

/** Points of top-1 that nobody gives away unasked, and images that are no chance. */
const FAR_BELOW = {points: 5, images: 5};

function farBelow(source: ModelSummary | undefined, form: ModelSummary | undefined): string[] {
  if (source?.top1 == null || form?.top1 == null) return [];
  const drop = source.top1 - form.top1;
  if (drop < FAR_BELOW.points || (drop / 100) * form.images < FAR_BELOW.images) return [];
  return [`top-1 is ${drop.toFixed(2)} points below float32: see --max-drop`];
}

const accuracyOf = (m: ModelSummary | undefined) => ({top1: m?.top1 ?? null, agreement: m?.agreement ?? null});

function evaluationOptions(options: ExportSettings): EvaluateFilesOptions {
  const {data, checkSamples, gates, workers, onError, threads, ema, key, onEvaluation, recipe, overrides, strictData} = options;
  return {
    ...{data: data!, samples: checkSamples, gates, workers, onError, threads, ema, key, strictData},
    ...{recipe, overrides, state: null, signal: options.signal},
    ...(onEvaluation && {onResult: onEvaluation}),
  };
}

async function evaluateAll(subjects: readonly Subject[], options: ExportSettings): Promise<Evaluation> {
  return (await evaluateSubjects(subjects, evaluationOptions(options))).evaluation;
}

/** Percent right of a model in memory, on the images of the gates. */
export const top1Of =
  (source: Subject, options: ExportSettings) =>
  async (model: Model): Promise<number> => {
    const subject = subjectOfModel(source.path, 'student', model, source.family);
    const {onEvaluation: _, ...own} = options;
    const evaluation = await evaluateAll([subject], {...own, gates: {}});
    return evaluation.models[0]!.top1 ?? 0;
  };

type Speed = Pick<MeasuredForm, 'latencyMs' | 'imagesPerSecond' | 'timingFailed'>;
const speedOf = (speeds: ReadonlyMap<string, Speed>, name: string): Speed =>
  speeds.get(name) ?? {latencyMs: null, imagesPerSecond: null, timingFailed: null};

async function timeAll(source: Subject, forms: readonly StagedForm[], options: ExportSettings): Promise<Map<string, Speed>> {
  const models = [source, ...forms.flatMap(({timed}) => timed ?? [])];
  const {rounds, threads, memoryLimit} = options;
  const {rows, failures} = await bench({
    models,
    rounds,
    roundMs: ROUND_MS,
    warmUpMs: ROUND_MS,
    threads: [threads],
    batches: [1, THROUGHPUT_BATCH],
    memoryLimit,
    signal: options.signal,
  });
  return new Map(
    models.map(({name}): [string, Speed] => {
      const own = rows.filter((row) => row.model === name);
      const single = own.reduce((a, b) => (b.batch < a.batch ? b : a), own[0]!);
      const best = own.reduce((a, b) => (b.imagesPerSecond > a.imagesPerSecond ? b : a), own[0]!);
      const failure = failures.find(({model}) => model === name);
      const timingFailed = failure ? `${plural(failure.batch, 'image')} at once: ${failure.reason}` : null;
      return [name, {latencyMs: single?.p50 ?? null, imagesPerSecond: best?.imagesPerSecond ?? null, timingFailed}];
    }),
  );
}
