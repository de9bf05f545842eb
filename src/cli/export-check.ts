/** Whether a form computes what the float32 student computes: `gpd verify` for models, and the same question for photographs and weights. */
import {openCheckpoint} from '../checkpoint/open.js';
import {referenceForm} from '../convert/build.js';
import {fileSource} from '../core/bytes.js';
import {random} from '../core/random.js';
import {bytesOf, type StateDict, sourceOf, type TensorSource, tensor, toFloat32} from '../core/tensor.js';
import {normaliser, preprocess} from '../data/preprocess.js';
import type {Recipe} from '../data/recipe.js';
import type {Image} from '../data/resample.js';
import {randomInputs} from '../eval/inputs.js';
import {runImages, runPhotographs} from '../eval/logits.js';
import {argmax} from '../eval/scores.js';
import {type Subject, subjectOfModel} from '../eval/subject.js';
import {verify} from '../eval/verify.js';
import type {Calibration, Precision} from '../export/precision.js';
import {type ResizerName, resizers} from '../export/preprocess/resize.js';
import {restoreBatchNorms} from '../export/weights.js';
import {type RecogniseOptions, recognise} from '../models/recognise.js';
import type {Module} from '../reparam/modules.js';

export interface FormCheck {
  /** What was compared: `32 random images`, `6 random photographs`. */
  readonly inputs: string;
  readonly images: number;
  readonly maxAbs: number;
  /** maxAbs over max(1, largest logit), of the worst image. */
  readonly relative: number;
  readonly sameTop1: number;
  /** Null: measured, not judged. */
  readonly bound: number | null;
  readonly ok: boolean;
}

const SAMPLES = 32;
const BATCH = 8;
const SEED = 0;

/** Logits on the same images; where random ones say nothing, on those of the calibration. */
export async function checkModel(
  reference: Subject,
  actual: Subject,
  {bound}: Precision,
  calibration: Calibration,
): Promise<FormCheck> {
  const useCalibration = !bound && calibration.real;
  const inputs = useCalibration ? calibrationInputs(calibration) : randomInputs(reference.input.side, SEED, SAMPLES, BATCH);
  const tolerance = bound?.relative ?? Number.MAX_VALUE;
  const {outputs, ok} = await verify({reference, actual, inputs, tolerance});
  const {images, maxAbs, relative, sameTop1} = outputs[0]!;
  const what = useCalibration ? calibration.description : `${images} random images`;
  return {inputs: what, images, maxAbs, relative, sameTop1, bound: bound?.relative ?? null, ok};
}

async function* calibrationInputs(calibration: Calibration) {
  let seen = 0;
  for await (const images of calibration.batches()) {
    const names = Array.from({length: images.shape[0]!}, (_, i) => `calibration image ${seen + i}`);
    seen += names.length;
    yield {kind: 'real', images, names};
    if (seen >= SAMPLES) return;
  }
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
  actual: Subject,
  precision: Precision,
  {recipe, resizer}: {recipe: Recipe; resizer: ResizerName},
): Promise<FormCheck> {
  const bound = precision.bound && precision.bound.relative + resizers[resizer].bound;
  const {side} = reference.input;
  const photographs = sizesFor(side).map(([w, h], i) => randomPhotograph(w, h, `photograph ${SEED}/${i}`));
  const [first, second] = [await reference.open({}), await actual.open({})];
  let [maxAbs, relative, sameTop1] = [0, 0, 0];
  try {
    for (const photograph of photographs) {
      const images = tensor('float32', [1, 3, side, side], prepared(photograph, recipe, side) as Float32Array<ArrayBuffer>);
      const want = await runImages(first, reference, images);
      const got = await runPhotographs(second, actual, [photograph]);
      const distance = want.reduce((most, v, i) => Math.max(most, Math.abs(v - got[i]!)), 0);
      const largest = want.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
      maxAbs = Math.max(maxAbs, distance);
      relative = Math.max(relative, distance / largest);
      if (argmax(want) === argmax(got)) sameTop1++;
    }
  } finally {
    await first.close();
    await second.close();
  }
  const images = photographs.length;
  const ok = Number.isFinite(maxAbs) && (bound === undefined || relative <= bound);
  return {inputs: `${images} random photographs`, images, maxAbs, relative, sameTop1, bound: bound ?? null, ok};
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
export async function checkWeights(
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
    const nothing = {maxAbs: 0, relative: 0, sameTop1: 0, bound: null, ok: true};
    if (folded === 'unknown') return {inputs: `${read.size} tensors read back`, images: 0, ...nothing};
    const complete = folded ? restoreBatchNorms(read, folded) : read;
    const recognised = recognise(complete, undefined, {...options, ratio: undefined, arch: undefined});
    const actual = subjectOfModel(path, 'student', await referenceForm(recognised, 'student', {}));
    const check = await checkModel(reference, actual, precision, noCalibration);
    return {...check, inputs: `${read.size} tensors read back, ${check.inputs}`};
  } finally {
    checkpoint.close();
  }
}

const noCalibration: Calibration = {description: 'none', real: false, async *batches() {}};
