/**
 * RandAugment (Cubuk et al. 2020, arXiv 1909.13719) as timm 0.6.13 draws it: of fifteen operations some are taken, with
 * replacement, each is applied half of the time, with a magnitude that varies around one for all. And the older jitter of colours.
 */
import type {Random} from '../../core/random.js';
import type {Image} from '../resample.js';
import {type AffineMatrix, type AffineOptions, affine, rotate} from './affine.js';
import * as colour from './colour.js';
import {between} from './crop.js';

export interface RandAugment {
  /** How many operations are taken. */
  readonly layers: number;
  /** 0 to 10. */
  readonly magnitude: number;
  readonly magnitudeStd: number;
}

const PROBABILITY = 0.5;
const MAX_MAGNITUDE = 10;

/** `rand-m9-mstd0.5-inc1`, with `n` for the number of operations. Throws an Error that says what is read. */
export function parseRandAugment(policy: string): RandAugment {
  const [name, ...parts] = policy.split('-');
  const values = new Map(
    parts.map((part) => {
      const match = /^(mstd|m|n|inc)(\d+(?:\.\d+)?)$/.exec(part);
      if (!match) throw new Error(`'${part}' is none of mN, nN, mstdX, inc1`);
      return [match[1]!, Number(match[2])];
    }),
  );
  if (name !== 'rand') throw new Error(`policies begin with 'rand': AutoAugment and AugMix are not made here`);
  if (values.get('inc') !== 1) throw new Error(`inc1 is needed: operations that grow with the magnitude`);
  const {layers, magnitude} = {layers: values.get('n') ?? 2, magnitude: values.get('m') ?? MAX_MAGNITUDE};
  if (!Number.isInteger(layers) || magnitude > MAX_MAGNITUDE) throw new Error('n is a whole number, m up to 10');
  return {layers, magnitude, magnitudeStd: values.get('mstd') ?? 0};
}

type Operation = (image: Image, level: number, r: Random, options: AffineOptions) => Image;

const sign = (r: Random) => (r.uniform() > 0.5 ? -1 : 1);
/** 1 is no change; the further from it, the stronger. */
const factor = (level: number, r: Random) => Math.max(0.1, 1 + sign(r) * level * 0.9);
const moved =
  (matrix: (amount: number, image: Image) => AffineMatrix, most: number): Operation =>
  (image, level, r, options) =>
    affine(image, matrix(sign(r) * level * most, image), options);

/** `level` is the magnitude over ten. In timm's order, which a draw counts in. */
export const operations: Readonly<Record<string, Operation>> = {
  autoContrast: (image) => colour.autoContrast(image),
  equalize: (image) => colour.equalize(image),
  invert: (image) => colour.invert(image),
  rotate: (image, level, r, options) => rotate(image, sign(r) * level * 30, options),
  posterize: (image, level) => colour.posterize(image, 4 - Math.trunc(level * 4)),
  solarize: (image, level) => colour.solarize(image, 256 - Math.trunc(level * 256)),
  solarizeAdd: (image, level) => colour.solarizeAdd(image, Math.trunc(level * 110)),
  color: (image, level, r) => colour.saturation(image, factor(level, r)),
  contrast: (image, level, r) => colour.contrast(image, factor(level, r)),
  brightness: (image, level, r) => colour.brightness(image, factor(level, r)),
  sharpness: (image, level, r) => colour.sharpness(image, factor(level, r)),
  shearX: moved((amount) => [1, amount, 0, 0, 1, 0], 0.3),
  shearY: moved((amount) => [1, 0, 0, amount, 1, 0], 0.3),
  translateX: moved((amount, {width}) => [1, 0, amount * width, 0, 1, 0], 0.45),
  translateY: moved((amount, {height}) => [1, 0, 0, 0, 1, amount * height], 0.45),
};
const all = Object.values(operations);

export function randAugment(r: Random, image: Image, policy: RandAugment, options: AffineOptions): Image {
  const taken = Array.from({length: policy.layers}, () => all[r.integer(all.length)]!);
  return taken.reduce((current, operation) => {
    if (r.uniform() > PROBABILITY) return current;
    const magnitude = policy.magnitudeStd > 0 ? policy.magnitude + policy.magnitudeStd * r.normal() : policy.magnitude;
    const level = Math.max(0, Math.min(magnitude, MAX_MAGNITUDE)) / MAX_MAGNITUDE;
    return operation(current, level, r, options);
  }, image);
}

/** Brightness, contrast and saturation, each by up to `range`, in random order: torchvision's ColorJitter. */
export function jitter(r: Random, image: Image, range: number): Image {
  const steps = [colour.brightness, colour.contrast, colour.saturation];
  for (let i = steps.length - 1; i > 0; i--) {
    const j = r.integer(i + 1);
    [steps[i], steps[j]] = [steps[j]!, steps[i]!];
  }
  return steps.reduce((current, step) => step(current, between(r, Math.max(0, 1 - range), 1 + range)), image);
}
