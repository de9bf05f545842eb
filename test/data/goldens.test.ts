/** The original implementation's own crops, to the bit: PIL decodes and resizes, torchvision decides where. */
import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {decodeImage} from '../../src/data/image.js';
import {normaliser, preprocess} from '../../src/data/preprocess.js';
import {recipes} from '../../src/data/recipe.js';
import {type Image, resample} from '../../src/data/resample.js';
import {describeShared, shared} from '../shared.js';

const folder = 'goldens/train/preprocess';
const read = (name: string) => new Uint8Array(readFileSync(shared(folder, name)));
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function worst(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((max, v, i) => Math.max(max, Math.abs(v - b[i]!)), 0);
}
function flipped({width, height, data}: Image): Image {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      out.set(data.subarray((y * width + x) * 3, (y * width + x + 1) * 3), (y * width + width - 1 - x) * 3);
  return {width, height, data: out};
}

interface Golden {
  png: string;
  rgb_sha256: string;
  normalised_channel_mean: number[];
  normalised_first_pixel: number[];
}
interface Manifest {
  files: {file: string; mode: string; decoded_rgb_sha256: string; cnn: Golden; rvt: Golden}[];
  train_crop: {
    file: string;
    box_top_left_height_width: [number, number, number, number];
    interpolation: 'bilinear' | 'bicubic';
    hflip: boolean;
    png: string;
  }[];
}

describeShared(folder, 'preprocessing goldens', () => {
  const manifest = JSON.parse(readFileSync(shared(folder, 'manifest.json'), 'utf8')) as Manifest;

  test.each(manifest.files)('$file ($mode)', async ({file, mode, ...golden}) => {
    const image = await decodeImage(read(file));
    if (mode !== 'CMYK') expect(sha256(image.data)).toBe(golden.decoded_rgb_sha256);
    for (const name of ['cnn', 'rvt'] as const) {
      const recipe = recipes[name](224);
      const crop = preprocess(image, recipe);
      const expected = await decodeImage(read(golden[name].png));
      expect([crop.width, crop.height]).toEqual([224, 224]);
      expect(worst(crop.data, expected.data)).toBeLessThanOrEqual(mode === 'CMYK' ? 1 : 0);
      expect(sha256(expected.data)).toBe(golden[name].rgb_sha256);
      const floats = new Float32Array(3 * 224 * 224);
      normaliser(recipe)(expected.data, floats);
      golden[name].normalised_first_pixel.forEach((v, c) => {
        expect(floats[c * 224 * 224]).toBeCloseTo(v, 5);
      });
      golden[name].normalised_channel_mean.forEach((v, c) => {
        const plane = floats.subarray(c * 224 * 224, (c + 1) * 224 * 224);
        expect(plane.reduce((sum, x) => sum + x, 0) / plane.length).toBeCloseTo(v, 5);
      });
    }
  });

  test.each(manifest.train_crop)('$png', async ({file, box_top_left_height_width: [top, left, height, width], ...crop}) => {
    const image = await decodeImage(read(file));
    const expected = await decodeImage(read(crop.png));
    const box = {left, top, width, height};
    const cut = resample(image, {box, size: {width: expected.width, height: expected.height}, filter: crop.interpolation});
    expect(worst((crop.hflip ? flipped(cut) : cut).data, expected.data)).toBe(0);
  });
});
