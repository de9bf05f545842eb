/** Seeded images and operations on them, whose results PIL was asked for too: `pil-operations.json` has digests of its answers. */
import {random} from '../../src/core/random.js';
import {affine, rotate} from '../../src/data/augment/affine.js';
import * as colour from '../../src/data/augment/colour.js';
import type {Image} from '../../src/data/resample.js';

export const FILL = [124, 116, 104] as const;

export interface PilCase {
  readonly operation: string;
  readonly argument: number;
  readonly filter: 'bicubic' | 'bilinear';
  readonly image: Image;
  run(): Image;
}

function imageOf(k: number, r: ReturnType<typeof random>): Image {
  const [width, height] = [1 + r.integer(40), 1 + r.integer(40)];
  const low = r.integer(200);
  const span = k % 4 === 0 ? 1 : 1 + r.integer(256 - low); // some are of one colour
  return {width, height, data: new Uint8Array(width * height * 3).map(() => low + r.integer(span))};
}

export function pilCases(): PilCase[] {
  const r = random('images for PIL');
  return Array.from({length: 60}, (_, k) => {
    const image = imageOf(k, r);
    const factor = 2 * r.uniform();
    const [level, degrees, shear] = [Math.trunc(128 * factor), (r.uniform() - 0.5) * 60, (r.uniform() - 0.5) * 0.6];
    const shift = (r.uniform() - 0.5) * 0.9 * image.width;
    const filter = k % 2 === 0 ? 'bicubic' : 'bilinear';
    const options = {filter, fill: FILL} as const;
    const table: [operation: string, argument: number, run: () => Image][] = [
      ['autocontrast', 0, () => colour.autoContrast(image)],
      ['equalize', 0, () => colour.equalize(image)],
      ['invert', 0, () => colour.invert(image)],
      ['solarize', level, () => colour.solarize(image, level)],
      ['solarizeAdd', level, () => colour.solarizeAdd(image, level)],
      ['posterize', k % 5, () => colour.posterize(image, k % 5)],
      ['color', factor, () => colour.saturation(image, factor)],
      ['contrast', factor, () => colour.contrast(image, factor)],
      ['brightness', factor, () => colour.brightness(image, factor)],
      ['sharpness', factor, () => colour.sharpness(image, factor)],
      ['rotate', degrees, () => rotate(image, degrees, options)],
      ['shearX', shear, () => affine(image, [1, shear, 0, 0, 1, 0], options)],
      ['shearY', shear, () => affine(image, [1, 0, 0, shear, 1, 0], options)],
      ['translateX', shift, () => affine(image, [1, 0, shift, 0, 1, 0], options)],
      ['translateY', shift, () => affine(image, [1, 0, 0, 0, 1, shift], options)],
    ];
    return table.map(([operation, argument, run]) => ({operation, argument, filter, image, run}) as const);
  }).flat();
}
