/**
 * What becomes of a training image: seed, epoch, sample and copy decide every pixel, whoever computes it and when. Plain data, so
 * that it travels to other threads.
 */
import {random} from '../../core/random.js';
import {decodeImage} from '../image.js';
import {type Geometry, neededPart, preprocess} from '../preprocess.js';
import type {Recipe} from '../recipe.js';
import {type Image, imageSize, neededBox, resample, type Size} from '../resample.js';
import type {Colour} from './affine.js';
import {drawResizedCrop, flipped, paddedCrop} from './crop.js';
import {jitter, type RandAugment, randAugment} from './rand-augment.js';

export interface TrainTransform {
  /** Resize and crop of validation, for `centre`; its `interpolation` serves all. */
  readonly geometry: Geometry;
  /** Pixels a side of what comes out. */
  readonly side: number;
  readonly crop: 'resized' | 'padded' | 'centre';
  /** Least and largest part of the image that a resized crop covers. */
  readonly cropArea: readonly [number, number];
  /** Probability. */
  readonly flip: number;
  readonly randAugment?: RandAugment;
  /** Range of brightness, contrast and saturation; 0: none. */
  readonly jitter: number;
  /** What comes from outside the image. */
  readonly fill: Colour;
}

/** As timm has it: the mean in bytes. */
export const fillOf = ({mean}: Pick<Recipe, 'mean'>): Colour =>
  mean.map((m) => Math.min(255, Math.round(255 * m))) as unknown as Colour;

/** One augmentation of one image. Names a stream of random numbers of its own. */
export const streamOf = (seed: number, epoch: number, index: number, copy: number): string =>
  `${seed}/${epoch}/${index}/${copy}`;

export async function prepareTraining(bytes: Uint8Array, transform: TrainTransform, stream: string): Promise<Image> {
  const place = placeOf(transform, stream);
  const image = await decodeImage(bytes, place.needed);
  const r = random(`${stream} look`);
  const cut = place.cut(image);
  const turned = r.uniform() < transform.flip ? flipped(cut) : cut;
  const {randAugment: policy, jitter: range, fill, geometry} = transform;
  if (policy) return randAugment(r, turned, policy, {filter: geometry.interpolation, fill});
  return range > 0 ? jitter(r, turned, range) : turned;
}

/** The crop follows from the size of the photograph, so that what lies beyond it need not be decoded. */
function placeOf({crop, geometry, side, cropArea}: TrainTransform, stream: string) {
  const r = () => random(`${stream} crop`);
  if (crop === 'centre')
    return {needed: (size: Size) => neededPart(size, geometry), cut: (i: Image) => preprocess(i, geometry)};
  if (crop === 'padded') return {needed: undefined, cut: (image: Image) => paddedCrop(r(), image, side)};
  const options = (size: Size) => ({
    box: drawResizedCrop(r(), size, cropArea),
    size: {width: side, height: side},
    filter: geometry.interpolation,
  });
  return {
    needed: (size: Size) => neededBox(size, options(size)),
    cut: (image: Image) => resample(image, options(imageSize(image))),
  };
}
