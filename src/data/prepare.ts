/** From a file's bytes to the crop that a network sees: what a worker does for each image. */
import {decodeFast} from './decode-fast.js';
import {decodeImage} from './image.js';
import {type Geometry, neededPart, preprocess} from './preprocess.js';
import type {Image} from './resample.js';

export interface PrepareOptions {
  readonly recipe: Geometry;
  /** Let the JPEG decoder shrink: faster for large photographs, not exact. */
  readonly fast: boolean;
}

export async function prepare(bytes: Uint8Array, {recipe, fast}: PrepareOptions): Promise<Image> {
  const image = await (fast ? decodeFast(bytes, recipe.resize) : decodeImage(bytes, (size) => neededPart(size, recipe)));
  return preprocess(image, recipe);
}
