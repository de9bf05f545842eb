/** Whether a form computes what the float32 student computes: `gpd verify` for models, and the same question for photographs and weights. */
import {openCheckpoint} from '../../checkpoint/open.js';
import {referenceForm} from '../../convert/build.js';
import {fileSource} from '../../core/bytes.js';
import {OutputsComparison, type OutputsDifference, provesNothing} from '../../core/compare-outputs.js';
import {GpdError} from '../../core/error.js';
import {random} from '../../core/random.js';
import {bytesOf, type StateDict, sourceOf, type TensorSource, tensor, toFloat32} from '../../core/tensor.js';
import {normaliser, preprocess} from '../../data/preprocess.js';
import type {Recipe} from '../../data/recipe.js';
import type {Image} from '../../data/resample.js';
import {type InputGroup, randomInputs} from '../../eval/inputs.js';
import {runImages, runPhotographs} from '../../eval/logits.js';
import {type Subject, subjectOfModel} from '../../eval/subject.js';
import type {Calibration, Precision} from '../../export/precision.js';
import {type ResizerName, resizers} from '../../export/preprocess/resize.js';
import {restoreBatchNorms} from '../../export/weights.js';
import {type RecogniseOptions, recognise} from '../../models/recognise.js';
import type {Session, SessionOptions} from '../../onnx/session.js';
import type {Module} from '../../reparam/modules.js';
import {checkAnswers} from './answers.js';

/** How far one set of logits is from the float32 student's. */
export interface LogitsCheck {
  readonly maxAbs: number;
  /** maxAbs over the largest logit, of the worst image. */
  readonly relative: number;
  readonly sameTop1: number;
}
export interface FormCheck extends LogitsCheck {
  /** What was compared: `32 random images`, `6 random photographs`. */
  readonly inputs: string;
  readonly images: number;
  /** Null: measured, not judged. */
  readonly bound: number | null;
  /** Of the written file in onnxruntime, where the numbers above are those of an emulation: float16. */
  readonly file: LogitsCheck | null;
  readonly ok: boolean;
  /** Why not. */
  readonly problem: string | null;
}

/** What is run for a check. The same subject twice, unless the file's arithmetic is not the target's. */
export interface CheckedForm {
  /** What evaluation runs: the file, or the emulation of a float16 one. */
  readonly subject: Subject;
  /** The written file, opened by onnxruntime. */
  readonly file: Subject;
}

export interface CheckImages {
  readonly inputs: AsyncIterable<InputGroup> | Iterable<InputGroup>;
  describe(images: number): string;
}

const SAMPLES = 32;
const BATCH = 8;
const SEED = 0;

export const randomImages = (side: number): CheckImages => ({
  inputs: randomInputs(side, SEED, SAMPLES, BATCH),
  describe: (images) => `${images} random images`,
});

/**
 * Images on which a form without a bound is measured: others than it was calibrated with, if the set has some. Random ones where there are
 * too few images to say anything.
 */
export function imagesFor(side: number, {bound}: Precision, calibration: Calibration): CheckImages {
  const {heldOut, seen, real} = calibration;
  if (bound || !real || (!heldOut && seen.distinct < ENOUGH)) return randomImages(side);
  if (heldOut) return {inputs: groupsOf(heldOut), describe: () => heldOut.description};
  return {
    inputs: groupsOf(calibration),
    describe: (images) => `the calibration images themselves, ${images} of them: there are no others`,
  };
}
/** Fewer say too little. */
const ENOUGH = 8;

async function* groupsOf({batches}: Pick<Calibration, 'batches'>): AsyncGenerator<InputGroup> {
  let seen = 0;
  for await (const images of batches()) {
    const names = Array.from({length: images.shape[0]!}, (_, i) => `image ${seen + i}`);
    seen += names.length;
    yield {kind: 'real', images, names};
    if (seen >= SAMPLES) return;
  }
}

/** Logits of the form, the written file's among them, beside those of the float32 student on the same images. */
export async function checkForm(
  reference: Subject,
  form: CheckedForm,
  {bound}: Precision,
  {inputs, describe}: CheckImages,
): Promise<FormCheck> {
  const run = async (session: Session, subject: Subject, {images}: InputGroup) => runImages(session, subject, images);
  const runs = {reference: {optimize: 'basic'} as const, groups: inputs, run, size: ({names}: InputGroup) => names.length};
  const compared = await compareAll(reference, form, bound?.relative, runs);
  return formCheck(compared, bound?.relative, describe);
}

interface Runs<G> {
  readonly reference: SessionOptions;
  readonly groups: AsyncIterable<G> | Iterable<G>;
  run(session: Session, subject: Subject, group: G, role: 'reference' | 'form'): Promise<Float32Array>;
  size(group: G): number;
}
interface Compared {
  readonly images: number;
  /** Of the form as evaluation runs it, then of the file where that is another. */
  readonly differences: readonly OutputsDifference[];
  /** What onnxruntime says of the form where it cannot open or run it. */
  readonly refused: string | undefined;
  /** What is wrong with the outputs beside the logits. */
  readonly answers: string | undefined;
}

/** The form, not the student that it is held against, does not run. */
class FormRefused extends Error {}
async function ofForm<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof GpdError && error.code === 'ENGINE_FAILED' ? new FormRefused(error.message) : error;
  }
}

async function compareAll<G>(
  reference: Subject,
  {subject, file}: CheckedForm,
  bound: number | undefined,
  {reference: options, groups, run, size}: Runs<G>,
): Promise<Compared> {
  const subjects = subject === file ? [subject] : [subject, file];
  const comparisons = subjects.map(() => new OutputsComparison(bound ?? Number.POSITIVE_INFINITY));
  const sessions: Session[] = [await reference.open(options)];
  let images = 0;
  let [refused, answers]: (string | undefined)[] = [];
  try {
    for (const actual of subjects) sessions.push(await ofForm(() => actual.open({})));
    for await (const group of groups) {
      const want = await run(sessions[0]!, reference, group, 'reference');
      for (const [i, actual] of subjects.entries())
        addRows(comparisons[i]!, want, await ofForm(() => run(sessions[i + 1]!, actual, group, 'form')), size(group));
      const all = (output: string) => ofForm(() => run(sessions.at(-1)!, {...file, output}, group, 'form'));
      if (images === 0) answers = await checkAnswers(file, all);
      images += size(group);
    }
  } catch (error) {
    if (!(error instanceof FormRefused)) throw error;
    refused = error.message;
  } finally {
    for (const session of sessions) await session.close();
  }
  return {images, differences: comparisons.map((c) => c.result()), refused, answers};
}

function addRows(comparison: OutputsComparison, want: Float32Array, got: Float32Array, rows: number): void {
  const width = want.length / rows;
  for (let i = 0; i < rows; i++)
    comparison.add(want.subarray(i * width, (i + 1) * width), got.subarray(i * width, (i + 1) * width));
}

function formCheck(
  {images, differences, refused, answers}: Compared,
  bound: number | undefined,
  describe: (images: number) => string,
): FormCheck {
  const [first, file] = differences as [OutputsDifference, OutputsDifference | undefined];
  const numbers = ({maxAbs, relative, sameTop1}: OutputsDifference): LogitsCheck => ({maxAbs, relative, sameTop1});
  const reason = refused ?? problemOf(first) ?? (file && problemOf(file)) ?? answers;
  return {
    inputs: describe(images),
    images,
    ...numbers(first),
    bound: bound ?? null,
    file: file ? numbers(file) : null,
    ok: reason === undefined,
    problem: reason ?? null,
  };
}

/** An int8 network that is calibrated well agrees on more than nine images in ten. */
const LEAST_AGREEMENT = 0.9;

/** A warning for a form that answers otherwise, where no gate asks. */
export function farFromFloat32({images, sameTop1, inputs, ok}: FormCheck): string[] {
  if (!ok || images < ENOUGH || sameTop1 >= LEAST_AGREEMENT * images) return [];
  return [`far from float32: the same top class on ${sameTop1} of ${images} only (${inputs})`];
}

/** Outputs that are the same for every input show nothing, however equal they are. */
function problemOf(difference: OutputsDifference): string | undefined {
  const {verdict, images, nonFinite, otherTop1} = difference;
  if (nonFinite > 0) return `logits are NaN or infinite on ${nonFinite} of ${images.length} images`;
  if (verdict !== 'different') return provesNothing(difference);
  return otherTop1 > 0 ? `another class is on top in ${otherTop1} of ${images.length} images` : 'the logits are too far apart';
}

/** Landscape, portrait, square, tiny, exactly fitting, and one that is large. */
const sizesFor = (side: number): readonly (readonly [width: number, height: number])[] => [
  ...(
    [
      [1.8, 1.4],
      [1.3, 2.1],
      [1, 1],
      [0.4, 0.5],
      [3.1, 2.9],
      [1.01, 1.4],
    ] as const
  ).map(([w, h]) => [Math.max(1, Math.round(w * side)), Math.max(1, Math.round(h * side))] as const),
];

function randomPhotograph(width: number, height: number, seed: string): Image {
  const {integer} = random(seed);
  return {width, height, data: Uint8Array.from({length: width * height * 3}, () => integer(256))};
}

/** A photograph as the network of `gpd eval` sees it. */
function prepared(image: Image, recipe: Recipe, side: number): Float32Array {
  const geometry = {resize: recipe.resize ?? side, crop: recipe.crop ?? side, interpolation: recipe.interpolation};
  const planes = new Float32Array(3 * side * side);
  normaliser(recipe)(preprocess(image, geometry).data, planes);
  return planes;
}

/** A model that prepares photographs itself against the float32 student on photographs that were prepared outside. */
export async function checkPhotographs(
  reference: Subject,
  form: CheckedForm,
  precision: Precision,
  {recipe, resizer}: {recipe: Recipe; resizer: ResizerName},
): Promise<FormCheck> {
  const bound = precision.bound && precision.bound.relative + resizers[resizer].bound;
  const {side} = reference.input;
  const photographs = sizesFor(side).map(([w, h], i) => randomPhotograph(w, h, `photograph ${SEED}/${i}`));
  const outside = (photograph: Image) =>
    tensor('float32', [1, 3, side, side], prepared(photograph, recipe, side) as Float32Array<ArrayBuffer>);
  const run = (session: Session, subject: Subject, photograph: Image, role: 'reference' | 'form') =>
    role === 'reference' ? runImages(session, subject, outside(photograph)) : runPhotographs(session, subject, [photograph]);
  const compared = await compareAll(reference, form, bound, {reference: {}, groups: photographs, run, size: () => 1});
  return formCheck(compared, bound, (images) => `${images} random photographs`);
}

export interface WrittenWeights {
  /** Where they are now, and where they will be. */
  readonly temporaryPath: string;
  readonly path: string;
  /** What was to be written. */
  readonly weights: StateDict;
  /** The original's name of each. */
  readonly originals: ReadonlyMap<string, string>;
  /** Layers of the network, where batch norms were folded: without them nothing can be run. */
  readonly folded: readonly Module[] | 'unknown' | undefined;
}

/** Reads the file back, compares every number with what was to be written, and runs the plain network on it. */
export async function checkWeightsForm(
  reference: Subject,
  written: WrittenWeights,
  precision: Precision,
  options: RecogniseOptions,
): Promise<FormCheck> {
  const {temporaryPath, path, weights, originals, folded} = written;
  const checkpoint = openCheckpoint(fileSource(temporaryPath));
  try {
    const read = new Map<string, TensorSource>();
    for (const [key, source] of weights) {
      const found = checkpoint.stateDict.get(key)?.read();
      if (!found || Buffer.compare(bytesOf(found), bytesOf(source.read())) !== 0)
        throw new Error(`${path}: '${key}' was read back with other numbers than were written`);
      read.set(originals.get(key)!, sourceOf(found.dtype === 'float16' ? toFloat32(found) : found));
    }
    const nothing = {maxAbs: 0, relative: 0, sameTop1: 0, bound: null, file: null, ok: true, problem: null};
    if (folded === 'unknown') return {inputs: `${read.size} tensors read back`, images: 0, ...nothing};
    const complete = folded ? restoreBatchNorms(read, folded) : read;
    const recognised = recognise(complete, undefined, {
      ...options,
      prefix: undefined,
      ratio: undefined,
      arch: undefined,
      ignore: undefined,
    });
    const actual = subjectOfModel(path, 'student', await referenceForm(recognised, 'student', {}));
    const images = randomImages(reference.input.side);
    const check = await checkForm(reference, {subject: actual, file: actual}, precision, images);
    return {...check, inputs: `${read.size} tensors read back, ${check.inputs}`};
  } finally {
    checkpoint.close();
  }
}
