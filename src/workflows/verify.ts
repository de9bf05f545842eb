/** `gpd verify` as a function: two files in, one plain result out. */

import {type Filled, withDefaults} from '../core/with-defaults.js';
import type {Dataset} from '../data/dataset.js';
import type {LabelBase} from '../data/label-base.js';
import {loadBatches} from '../data/loader.js';
import {openDataset} from '../data/open-dataset.js';
import {type Recipe, type RecipeName, recipes} from '../data/recipe.js';
import type {DataWarning} from '../data/warnings.js';
import {chooseRecipe} from '../eval/choose-recipe.js';
import {classOrderWarnings} from '../eval/class-order.js';
import {edgeInputs, type InputGroup, randomInputs, roundedToBytes} from '../eval/inputs.js';
import {settleSides, withNormalisation} from '../eval/settle-size.js';
import type {Subject} from '../eval/subject.js';
import {type Verification, verify} from '../eval/verify.js';
import {readGpd} from '../onnx/gpd-metadata.js';
import {chooseProvider, type ProviderName} from '../onnx/providers.js';
import type {Role} from '../reparam/parameters.js';
import {spread} from './evaluate.js';
import {checkOutputName, openSubject, refuseUnusedIgnore, type SubjectOptions} from './subjects.js';

/** What `verify` compares on. */
export interface VerifyFilesOptions extends SubjectOptions {
  /** Which network of a checkpoint; default: the one that the other file says it is, else the student. */
  role?: Role | undefined;
  /** Real images, as `evaluate` takes them. */
  data?: string | undefined;
  /** Random images, and as many real ones where there is data. Default 64. */
  samples?: number | undefined;
  /** Of the random images. Default 0. */
  seed?: number | undefined;
  /** Largest |Δ| over the largest output of an image. Default 1e-4. */
  tolerance?: number | undefined;
  /** Compare layer by layer even if the outputs agree. Default false. */
  layers?: boolean | undefined;
  /** Default `cpu`. */
  provider?: ProviderName | 'auto' | undefined;
  device?: number | undefined;
  threads?: number | undefined;
  /** Refuse a model that the provider cannot run alone. Default false. */
  strict?: boolean | undefined;
  workers?: number | undefined;
  /** What to do with an image that cannot be read. Default `stop`. */
  onError?: 'stop' | 'skip' | undefined;
  /** Decode JPEGs at about the size that is needed: not exact. Default false. */
  fast?: boolean | undefined;
  labels?: string | undefined;
  labelBase?: LabelBase | undefined;
  /** Which label, where the set has several. */
  labelColumn?: string | undefined;
  strictData?: boolean | undefined;
  recipe?: RecipeName | undefined;
  /** What differs from the recipe. */
  overrides?: Partial<Recipe> | undefined;
  /** In images. */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Ends the comparison after the present batch: `complete` is false. */
  signal?: AbortSignal | undefined;
}

/** What is not asked for. */
export const verifyDefaults = {
  ema: false,
  samples: 64,
  seed: 0,
  layers: false,
  provider: 'cpu',
  strict: false,
  onError: 'stop',
  fast: false,
  overrides: {},
} as const;
type Complete = Filled<VerifyFilesOptions, keyof typeof verifyDefaults>;

/** `without`: tensors of the checkpoint that were left out by name; `warnings`: what else must be known of the model. */
export type VerifiedModel = Pick<Subject, 'name' | 'path' | 'without' | 'warnings'>;

/** How two models differ: what `gpd verify --json` prints. */
export interface VerificationResult extends Verification {
  reference: VerifiedModel;
  actual: VerifiedModel;
  provider: {asked: string; used: ProviderName; reason: string};
  seed: number;
  /** What was left out of the real images, or looks wrong in them. */
  warnings: readonly DataWarning[];
}

/** Images at a time: activations of large networks are what takes memory. */
const BATCH = 16;

/** Holds `path` against `referencePath`, checkpoints or ONNX files. Throws GpdError where they cannot be compared at all. */
export async function verifyFiles(
  referencePath: string,
  path: string,
  given: VerifyFilesOptions = {},
): Promise<VerificationResult> {
  const options = withDefaults(given, verifyDefaults);
  const {signal, onProgress, tolerance, layers, seed, device, threads, strict} = options;
  const choice = chooseProvider(options.provider);
  const [reference, actual, recipe] = await openPair(referencePath, path, options);
  const dataset = await openReal(options, actual);
  let done = 0;
  const total = options.samples * (dataset ? 2 : 1);
  const work = verify({
    reference,
    actual,
    inputs: inputsOf(options, [reference, actual], recipe, dataset),
    tolerance,
    layers,
    session: {provider: choice.name, deviceId: device, threads, strict},
    signal,
    onProgress: (_, images) => {
      done += images;
      onProgress?.(Math.min(done, total), total);
    },
  });
  const result = await work.finally(() => dataset?.close());
  const file = ({name, path, without, warnings}: Subject) => ({name, path, without, warnings});
  const provider = {asked: options.provider, used: choice.name, reason: choice.reason};
  const warnings = dataset?.warnings ?? [];
  const named = {...actual, warnings: [...actual.warnings, ...classOrderWarnings(reference, actual)]};
  return {...result, reference: file(reference), actual: file(named), provider, seed, warnings};
}

async function openReal(options: Complete, {classes: outputs}: Subject): Promise<Dataset | undefined> {
  const {data, labels, labelBase, labelColumn, strictData: strict} = options;
  return data === undefined
    ? undefined
    : openDataset(data, {labels, labelBase, labelColumn, outputs, strict, imagesOnly: true});
}

/** A teacher is held against a teacher: the ONNX file says what it was made of. */
async function openPair(referencePath: string, path: string, options: Complete): Promise<[Subject, Subject, Recipe]> {
  const actual = await openOne(path, options, options.role);
  const made = readGpd(actual.metadata, 'form')?.endsWith('teacher') ? 'teacher' : 'student';
  const reference = await openOne(referencePath, options, options.role ?? (actual.form === 'onnx' ? made : actual.form));
  refuseUnusedIgnore([reference, actual], options);
  checkOutputName([reference, actual], options);
  const {subjects, note} = settleSides([reference, actual], options.recipe);
  const isShown = options.data !== undefined || subjects.some(({input}) => input.takes === 'pixels');
  const {recipe} = isShown
    ? chooseRecipe(subjects, options.recipe, options.overrides)
    : {recipe: recipes.cnn(subjects[0]!.input.side)};
  const [first, second] = withNormalisation(subjects, recipe) as [Subject, Subject];
  return [first, note === '' ? second : {...second, warnings: [...second.warnings, `images of ${note}`]}, recipe];
}

const openOne = async (path: string, options: SubjectOptions, role: Role = 'student'): Promise<Subject> => {
  const [subject] = await openSubject(path, options, [role]);
  return subject ?? (await openSubject(path, options, ['student']))[0]!; // a plain network has only one
};

async function* inputsOf(
  options: Complete,
  subjects: readonly Subject[],
  recipe: Recipe,
  dataset: Dataset | undefined,
): AsyncGenerator<InputGroup> {
  const {side} = subjects[0]!.input;
  const takesBytes = subjects.some(({input}) => input.takes === 'pixels');
  const seen = (group: InputGroup) => (takesBytes ? roundedToBytes(group, recipe) : group);
  for (const group of randomInputs(side, options.seed, options.samples, BATCH)) yield seen(group);
  yield seen(edgeInputs(side, options.seed));
  if (dataset) yield* realInputs(dataset, options, recipe);
}

async function* realInputs(dataset: Dataset, options: Complete, recipe: Recipe): AsyncGenerator<InputGroup> {
  const {workers, onError, fast, samples} = options;
  const indices = spread(dataset.samples.length, samples);
  const load = {recipe, batchSize: BATCH, onError, fast, indices, ...(workers !== undefined && {workers})};
  for await (const {images, indices: own} of loadBatches(dataset, load)) {
    if (own.length > 0) yield {kind: 'real', images, names: Array.from(own, (i) => dataset.samples[i]!.path)};
  }
}
