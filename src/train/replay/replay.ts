/** The steps of a stored run again: from its initial state, teacher and batches, without data or random numbers of our own. */
import {GpdError} from '../../core/error.js';
import {float64, type StateDict, type Tensor} from '../../core/tensor.js';
import {recipes} from '../../data/recipe.js';
import type {Architecture} from '../../models/layers.js';
import {recognise} from '../../models/recognise.js';
import {learningRate} from '../options/schedules.js';
import {asReference, type Compat} from '../step/compat.js';
import {type ActiveLoss, activeLosses, type LossValues, lossOptions} from '../step/losses/index.js';
import {fusionModules, reviewKdSize} from '../step/losses/review-kd.js';
import type {NamedTensors} from '../step/parameters/named-tensors.js';
import {
  flatMetrics,
  type StaticTeacher,
  type StepConfig,
  type StepMetrics,
  type TrainerState,
  type TrainingBatch,
} from '../step/step-config.js';
import {createTrainer, type Trainer} from '../step/trainer.js';
import {type Json, type PlannedStep, type ReplaySettings, replaySettings} from './replay-settings.js';

/** What lies in the folder. */
export interface ReplayFiles {
  /** `trajectory64.json`. */
  readonly trajectory: Json;
  /** `init.pth.tar`. */
  readonly initial: StateDict;
  /** `teacher.pth`. */
  readonly teacher?: StateDict | undefined;
  /** `batches.safetensors`: `train<n>.images` uint8 [N, 3, H, W], `train<n>.labels`. */
  readonly batches: StateDict;
}

export interface ReplayOptions {
  readonly compat: Compat;
  /** Told of the gradients of the first step, before clipping. */
  readonly onGradients?: (gradients: NamedTensors) => void;
  readonly onStep?: (step: TracedStep) => void;
}

/** What the original's log names in every step, those at work or not. */
interface TracedLosses {
  reviewkd_expanded: number;
  dkd_expanded: number;
  /** Absent for a baseline. */
  reviewkd_tiny?: number;
  dkd_tiny?: number;
}
export type TracedStep = {step: number; epoch: number; lr: number} & Omit<StepMetrics, 'distilled'> & TracedLosses;

export interface Replay {
  readonly steps: readonly TracedStep[];
  readonly final: TrainerState;
  /** Logits in evaluation mode of the stored `eval0` batch, by `<model|ema>.<tiny|expanded>`; empty where there is none. */
  readonly evaluation: NamedTensors;
}

const tensorsOf = (stateDict: StateDict): NamedTensors => new Map([...stateDict].map(([key, source]) => [key, source.read()]));

function teacherOf(files: ReplayFiles, settings: ReplaySettings, student: Pick<StepConfig, 'arch'>): StaticTeacher | undefined {
  const {kd, imageSize, teacherHeads} = settings;
  if (kd.length === 0) return undefined;
  if (!files.teacher) {
    throw new GpdError('FILE_UNREADABLE', 'the run has a static teacher, but there is no teacher.pth', {hint: 'add the file'});
  }
  const {arch, form, stateDict} = recognise(files.teacher, undefined, {imageSize, heads: teacherHeads});
  return {
    arch,
    form,
    state: tensorsOf(stateDict),
    losses: lossesOf(settings, student.arch, arch),
  };
}

function lossesOf(
  {kd, kdValues, fusionWidth, imageSize}: ReplaySettings,
  student: Architecture,
  teacher: Architecture,
): ActiveLoss[] {
  const defaults = Object.fromEntries(Object.entries(lossOptions).map(([name, {or}]) => [name, or])) as unknown as LossValues;
  const losses = activeLosses(kd, {...defaults, ...kdValues}, {student, teacher, imageSize});
  if (fusionWidth === undefined) return losses;
  const connectors = fusionModules({...reviewKdSize(student, teacher, imageSize), mid: fusionWidth});
  return losses.map((loss) => (loss.connectors ? {...loss, connectors} : loss));
}

export function replayConfig(files: ReplayFiles, settings: ReplaySettings, compat: Compat): StepConfig {
  const {imageSize, ratio, heads, gpd, clipNorm, emaDecay, labelSmoothing, optimizer, decay} = settings;
  const {arch, form} = recognise(files.initial, undefined, {imageSize, heads, ...(ratio > 1 && {ratio})});
  const staticTeacher = teacherOf(files, settings, {arch});
  return {
    arch,
    form,
    imageSize,
    labelSmoothing,
    optimizer,
    decay,
    compat,
    expandedNorm: true,
    ...(gpd && {gpd}),
    ...(staticTeacher && {staticTeacher}),
    ...(clipNorm !== undefined && {clipNorm}),
    ...(emaDecay !== undefined && {emaDecay}),
  };
}

/** Bytes [N, 3, H, W] to normalised numbers, every pixel repeated `upsample` times along both sides. */
function normalised(images: Tensor, upsample: number): Tensor<'float64'> {
  const [batch, channels, height, width] = images.shape as [number, number, number, number];
  const {mean, std} = recipes.cifar(height);
  const shape = [batch, channels, height * upsample, width * upsample];
  const out = new Float64Array(batch * channels * height * width * upsample ** 2);
  const row = width * upsample;
  for (let at = 0; at < out.length; at++) {
    const line = Math.floor(at / row); // of all planes
    const plane = Math.floor(line / (height * upsample));
    const y = Math.floor((line % (height * upsample)) / upsample);
    const x = Math.floor((at % row) / upsample);
    const c = plane % channels;
    out[at] = (Number(images.data[(plane * height + y) * width + x]) / 255 - mean[c]!) / std[c]!;
  }
  return float64(shape, out);
}

function stored(batches: StateDict, name: string): {images: Tensor; labels: number[]} {
  const [images, labels] = [batches.get(`${name}.images`), batches.get(`${name}.labels`)];
  if (!images || !labels)
    throw new GpdError('KEY_MISSING', `batches.safetensors has no '${name}.images' and '${name}.labels'`, {at: name});
  return {images: images.read(), labels: Array.from(labels.read().data as ArrayLike<number | bigint>, Number)};
}

function batchOf(files: ReplayFiles, {upsample}: ReplaySettings, {batch, mix}: PlannedStep): TrainingBatch {
  const {images, labels} = stored(files.batches, `train${batch}`);
  return {images: normalised(images, upsample), labels, ...(mix && {mix})};
}

async function evaluation(trainer: Trainer, files: ReplayFiles, {upsample}: ReplaySettings): Promise<NamedTensors> {
  const logits = new Map<string, Tensor>();
  if (!files.batches.has('eval0.images')) return logits;
  const images = normalised(stored(files.batches, 'eval0').images, upsample);
  for (const weights of trainer.config.emaDecay === undefined ? (['model'] as const) : (['model', 'ema'] as const)) {
    const {student, teacher} = await trainer.evaluate(images, weights);
    if (teacher) logits.set(`${weights}.tiny`, student);
    logits.set(`${weights}.expanded`, teacher ?? student); // a baseline has one network, and calls it so
  }
  return logits;
}

/** Under the original's names, in its order: losses that are not at work are 0. */
const traced = (metrics: StepMetrics): Omit<StepMetrics, 'distilled'> & TracedLosses => ({
  ...{ce_expanded: 0, reviewkd_expanded: 0, dkd_expanded: 0, loss_expanded: 0},
  ...('loss_tiny' in metrics && {ce_tiny: 0, reviewkd_tiny: 0, dkd_tiny: 0, loss_tiny: 0}),
  ...flatMetrics(metrics),
});

/** On the current TensorFlow.js backend. */
export async function replay(files: ReplayFiles, {compat, onGradients, onStep}: ReplayOptions): Promise<Replay> {
  const settings = replaySettings(files.trajectory, asReference(compat, 'laggingSchedule'));
  const trainer = createTrainer(replayConfig(files, settings, compat), {model: tensorsOf(files.initial)});
  try {
    const steps: TracedStep[] = [];
    for (const planned of settings.plan) {
      const lr = learningRate(settings.schedule, planned.epoch);
      const watched = planned.step === 0 && onGradients ? {onGradients} : {};
      const metrics = await trainer.step(batchOf(files, settings, planned), {lr, ...watched});
      steps.push({step: planned.step, epoch: planned.epoch, lr, ...traced(metrics)});
      onStep?.(steps.at(-1)!);
    }
    return {steps, final: await trainer.state(), evaluation: await evaluation(trainer, files, settings)};
  } finally {
    trainer.dispose();
  }
}
