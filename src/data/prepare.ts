/** From a file's bytes to the crop that a network sees: what a worker does for each image. */
import {prepareTraining, type TrainTransform} from './augment/transform.js';
import {decodeFast} from './decode-fast.js';
import {decodeImage} from './image.js';
import {type Geometry, neededPart, preprocess} from './preprocess.js';
import type {Image} from './resample.js';

export interface EvaluationOptions {
  readonly recipe: Geometry;
  /** See `decodeFast`: not exact. */
  readonly fast: boolean;
}
export interface TrainingOptions {
  readonly transform: TrainTransform;
  /** See `streamOf`. */
  readonly stream: string;
}
export type PrepareOptions = EvaluationOptions | TrainingOptions;

export async function prepare(bytes: Uint8Array, options: PrepareOptions): Promise<Image> {
  if ('transform' in options) return prepareTraining(bytes, options.transform, options.stream);
  const {recipe, fast} = options;
  const image = await (fast ? decodeFast(bytes, recipe) : decodeImage(bytes, (size) => neededPart(size, recipe)));
  return preprocess(image, recipe);
}
