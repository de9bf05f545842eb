/** The images from which ranges are measured: photographs where some are given, else seeded noise. */
import {tensor} from '../core/tensor.js';
import {loadBatches} from '../data/loader.js';
import {openDataset} from '../data/open-dataset.js';
import type {Recipe} from '../data/recipe.js';
import {randomInputs} from '../eval/inputs.js';
import type {Subject} from '../eval/subject.js';
import type {Calibration} from '../export/precision.js';
import {spread} from './evaluate-files.js';

export interface CalibrationOptions {
  calibrate?: string | undefined;
  calibrationSamples: number;
  workers?: number | undefined;
  onError: 'stop' | 'skip';
}

const BATCH = 8;
/** Noise has no rare cases: more of it says no more. */
const RANDOM_IMAGES = 16;

/** A fixed batch gets batches of its size; what is left over at the end is left out. */
export async function calibrationOf({input}: Subject, recipe: Recipe, options: CalibrationOptions): Promise<Calibration> {
  const {calibrate: path, calibrationSamples} = options;
  const size = input.batch ?? BATCH;
  if (path === undefined) return randomCalibration(input.side, size);
  const samples = Math.min(calibrationSamples, await countOf(path));
  return {
    description: `${samples} images of ${path}`,
    real: true,
    async *batches() {
      const dataset = await openDataset(path);
      try {
        const indices = spread(dataset.samples.length, samples);
        const {workers, onError} = options;
        const load = {recipe, batchSize: size, indices, onError, ...(workers !== undefined && {workers})};
        for await (const {images} of loadBatches(dataset, load))
          if (images.shape[0]! === size || (input.batch === undefined && images.shape[0]! > 0)) yield images;
      } finally {
        await dataset.close();
      }
    },
  };
}

async function countOf(path: string): Promise<number> {
  const dataset = await openDataset(path);
  await dataset.close();
  return dataset.samples.length;
}

const randomCalibration = (side: number, size: number): Calibration => ({
  description: `${Math.ceil(RANDOM_IMAGES / size) * size} random images`,
  real: false,
  async *batches() {
    for (const {images} of randomInputs(side, 0, Math.ceil(RANDOM_IMAGES / size) * size, size))
      yield tensor('float32', images.shape, images.data);
  },
});
