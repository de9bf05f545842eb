/** `gpd eval` as a function: arguments in, one plain result out. Composes conversion, data and evaluation, which do not know each other. */

import {GpdError} from '../core/error.js';
import {type Filled, withDefaults} from '../core/with-defaults.js';
import type {Dataset} from '../data/dataset.js';
import {decodeImage} from '../data/image.js';
import type {LabelBase} from '../data/label-base.js';
import {loadBatches} from '../data/loader.js';
import {openDataset} from '../data/open-dataset.js';
import type {Recipe, RecipeName} from '../data/recipe.js';
import {type DataWarning, warnings as dataWarnings, refuseWarnings} from '../data/warnings.js';
import {checkBatch} from '../eval/batch-limit.js';
import {chooseRecipe} from '../eval/choose-recipe.js';
import {inOrderOfModels} from '../eval/class-order.js';
import {amongOutputs, checkClasses} from '../eval/class-subset.js';
import {checkCompatible, evaluate, type Progress} from '../eval/evaluate.js';
import {baselineOf, type Evaluation, type Settings, summarise} from '../eval/evaluation.js';
import {explainProvider} from '../eval/explain-provider.js';
import {checkFast} from '../eval/fast-check.js';
import type {GateOptions} from '../eval/gates.js';
import {edgeInputs} from '../eval/inputs.js';
import {identityOf, StateFile} from '../eval/run-state.js';
import {needsImages, settleSides, withNormalisation} from '../eval/settle-size.js';
import type {Subject} from '../eval/subject.js';
import {chooseProvider, type ProviderName} from '../onnx/providers.js';
import type {SessionOptions} from '../onnx/session.js';
import {openSubjects, type SubjectOptions} from './subjects.js';

/** What `evaluate` measures on; only `data` must be there. */
export interface EvaluateFilesOptions extends SubjectOptions {
  /** A folder, an archive, shards or tables of images: docs/evaluation.md lists all layouts. */
  data: string;
  /** A file: ground truth, a map, or the names of all classes. */
  labels?: string | undefined;
  /** What the first class is in `labels`, where the numbers leave it open. */
  labelBase?: LabelBase | undefined;
  /** Which label, where the set has several. */
  labelColumn?: string | undefined;
  /** Answers are judged among the classes of the set alone. Default: among all outputs. */
  restrictClasses?: boolean | undefined;
  /** What is noticed in the set is an error. */
  strictData?: boolean | undefined;
  /** Default `cpu`. */
  provider?: ProviderName | 'auto' | undefined;
  /** Which device, for cuda and dml. */
  device?: number | undefined;
  /** Refuse a model that the provider cannot run alone. Default false: nodes may be left to the CPU. */
  strict?: boolean | undefined;
  /** Find out which provider runs which nodes. Default false. */
  explainProvider?: boolean | undefined;
  /** For each model. Default: one a core. */
  threads?: number | undefined;
  /** Default 32, of large images 16, on other devices than the CPU 128. */
  batchSize?: number | undefined;
  /** Threads that prepare images beside this one. */
  workers?: number | undefined;
  /** So many images, evenly spread over the set. */
  samples?: number | undefined;
  /** What to do with an image that cannot be read: `stop` (default), or `skip` and list it. */
  onError?: 'stop' | 'skip' | undefined;
  /** Decode JPEGs at no more than about the size that is needed: twice as fast, not exact. Default false. */
  fast?: boolean | undefined;
  /** How images are prepared. Default: as the network was trained. */
  recipe?: RecipeName | undefined;
  /** What differs from the recipe. */
  overrides?: Partial<Recipe> | undefined;
  /** Go on where an interrupted run of the same options ended. Default false. */
  resume?: boolean | undefined;
  /** Where an interrupted run leaves its state; default: named after the run, in the current folder. Null: nowhere. */
  state?: string | null | undefined;
  /** Bounds on accuracy; `ok` says whether all hold. */
  gates?: GateOptions | undefined;
  /** Ends the run after the present batch: the result is of the images that were seen, `complete` is false. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Receives what reports read again: the images. */
  onResult?: ((evaluation: Evaluation, read: (index: number) => Promise<Uint8Array>) => Promise<void>) | undefined;
}

/** What is not asked for. */
export const evaluateDefaults = {
  ema: false,
  provider: 'cpu',
  strict: false,
  explainProvider: false,
  onError: 'stop',
  fast: false,
  resume: false,
  overrides: {},
  gates: {},
} as const;
type Complete = Filled<EvaluateFilesOptions, keyof typeof evaluateDefaults>;

/** Larger batches gain nothing on a CPU and take memory for every layer: 16 images of 224 px, 32 small ones. A device is fed less often. */
const defaultBatch = (provider: ProviderName, side: number): number =>
  provider !== 'cpu' ? 128 : Math.max(1, Math.min(32, Math.floor(MAX_CPU_NUMBERS / (3 * side * side))));
const MAX_CPU_NUMBERS = 2_500_000;

/** Evenly spread, because sets are ordered by class. */
export const spread = (total: number, samples: number): number[] =>
  Array.from({length: Math.min(samples, total)}, (_, i) => Math.floor((i * total) / Math.min(samples, total)));

/** Outputs that an image of the set is labelled with, rising. Throws CONFIG_INVALID where there are none. */
function classesIn({name, samples}: Dataset): number[] {
  const labels = new Set(samples.flatMap(({label}) => (label === undefined || label < 0 ? [] : [label])));
  if (labels.size > 0) return [...labels].sort((a, b) => a - b);
  throw new GpdError('CONFIG_INVALID', `${name}: no image has a label, so there are no classes to restrict answers to`, {
    at: name,
    hint: 'give labels with --labels, or leave out --restrict-classes',
  });
}

/** Said instead of how a subset is judged without being asked. */
const withRestriction = (said: readonly DataWarning[], count: number): DataWarning[] => [
  ...said.filter(({kind}) => kind !== 'class-subset' && kind !== 'imagenet-subset'),
  ...dataWarnings('restricted-classes', count),
];

/** `path` is where an unfinished run was saved. */
export interface EvaluationRun {
  evaluation: Evaluation;
  path: string | undefined;
}

/** Of checkpoints and ONNX files: every model sees the same batches. Throws GpdError. */
export const evaluateFiles = async (models: readonly string[], options: EvaluateFilesOptions): Promise<EvaluationRun> =>
  evaluateSubjects(await openSubjects(models, options), options);

/** The same of models that are open already. */
export async function evaluateSubjects(opened: readonly Subject[], given: EvaluateFilesOptions): Promise<EvaluationRun> {
  const options = withDefaults(given, evaluateDefaults);
  const choice = chooseProvider(options.provider);
  checkTogether(opened, options); // before the set is opened, which may take minutes
  const {labels, labelBase, labelColumn, strictData: strict} = options;
  const found = await openDataset(options.data, {labels, labelBase, labelColumn, strict, outputs: opened[0]!.classes});
  try {
    const among = amongOutputs(opened[0]!, found);
    checkClasses(opened[0]!, among);
    const shown = needsImages(opened) ? await sideShown(found) : undefined;
    const {subjects, recipe, reason} = checkTogether(opened, options, shown);
    const dataset = inOrderOfModels(subjects, among);
    if (strict) refuseWarnings(options.data, dataset.warnings);
    const settings: Settings = {
      data: options.data,
      classes: dataset.classes.length,
      recipe,
      recipeReason: reason,
      batchSize: options.batchSize ?? defaultBatch(choice.name, subjects[0]!.input.side),
      threads: options.threads ?? null,
      provider: {asked: options.provider, used: choice.name, reason: choice.reason},
    };
    checkBatch(settings.batchSize, subjects[0]!.input.side, subjects[0]!.path);
    return await run(options, {subjects, dataset, recipe, settings});
  } finally {
    await found.close();
  }
}

/** One size and one preparation for all models. Throws SHAPE_MISMATCH where there is none. */
function checkTogether(opened: readonly Subject[], {recipe: asked, overrides}: Complete, shown?: number) {
  const settled = settleSides(opened, asked, shown);
  const {recipe, reason} = chooseRecipe(settled.subjects, asked, overrides);
  const subjects = withNormalisation(settled.subjects, recipe);
  checkCompatible(subjects);
  return {subjects, recipe, reason: settled.note === '' ? reason : `${reason}; ${settled.note}`};
}

/** Of the first image, where it is square. One that cannot be read is met again in the run. */
async function sideShown({samples}: Dataset): Promise<number | undefined> {
  try {
    const {width, height} = await decodeImage(await samples[0]!.read());
    return width === height ? width : undefined;
  } catch {
    return undefined;
  }
}

interface Prepared {
  subjects: readonly Subject[];
  dataset: Dataset;
  recipe: Recipe;
  settings: Settings;
}

/** Prepared both ways after a `--fast` run: enough to see half a percent, a few seconds of work. */
const FAST_CHECK_IMAGES = 500;

async function run(options: Complete, prepared: Prepared): Promise<EvaluationRun> {
  const {subjects, dataset, recipe, settings} = prepared;
  const {onError, fast, signal, onProgress, workers, ema, key, gates} = options;
  const {batchSize} = settings;
  const among = options.restrictClasses ? classesIn(dataset) : undefined;
  const {length} = dataset.samples;
  const order = spread(length, options.samples ?? length);
  const session = sessionOf(options, settings.provider.used);
  const providers = options.explainProvider ? await explainAll(subjects, session) : [];
  const identity = identityOf(subjects, {
    settings,
    order: order.length,
    of: length,
    onError,
    fast,
    ema,
    ...(key !== undefined && {key}),
    ...(among && {among}),
  });
  const file =
    options.state === null
      ? undefined
      : new StateFile(options.state ?? `gpd-eval-${identity.slice(0, 8)}.state.json`, identity);
  const load = {recipe, side: subjects[0]!.input.side, batchSize, onError, fast, ...(workers !== undefined && {workers})};
  let saved = false;
  const outcome = await evaluate({
    subjects,
    session,
    among,
    total: order.length,
    photographs: (indices) => Promise.all(Array.from(indices, async (i) => decodeImage(await dataset.samples[i]!.read()))),
    batches: (from) => loadBatches(dataset, {...load, indices: order.slice(from)}),
    state: options.resume ? file?.read() : undefined,
    save: (state) => {
      file?.write(state);
      saved = true;
    },
    signal,
    ...(onProgress && {onProgress}),
  });
  if (outcome.complete) file?.remove();
  const pathOf = (index: number) => dataset.samples[index]!.path;
  const evaluation = summarise(outcome, {
    settings,
    gates,
    classes: dataset.classes,
    warnings: among ? withRestriction(dataset.warnings, among.length) : dataset.warnings,
    pathOf,
    providers,
  });
  if (fast && outcome.complete) {
    const some = spread(order.length, FAST_CHECK_IMAGES).map((i) => order[i]!);
    const batches = (own: boolean) => loadBatches(dataset, {...load, fast: own, indices: some});
    evaluation.fastCheck = await checkFast(subjects[baselineOf(subjects)]!, session, batches);
  }
  await options.onResult?.(evaluation, (index) => dataset.samples[index]!.read());
  return {evaluation, path: saved && !outcome.complete ? file?.path : undefined};
}

const sessionOf = ({threads, strict, device}: Complete, provider: ProviderName): SessionOptions => ({
  provider,
  strict,
  deviceId: device,
  threads,
});

/** Before the run, on images that need no data: a refusal or a fallback is known in seconds. */
async function explainAll(subjects: readonly Subject[], session: SessionOptions): Promise<Evaluation['providers']> {
  const explained: Evaluation['providers'] = [];
  for (const subject of subjects) {
    const {images} = edgeInputs(subject.input.side, 0);
    explained.push({model: subject.name, explanation: await explainProvider(subject, session, images)});
  }
  return explained;
}
