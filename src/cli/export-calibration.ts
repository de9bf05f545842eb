/** The images from which ranges are measured: photographs where some are given, else seeded noise. */
import {tensor} from '../core/tensor.js';
import {loadBatches} from '../data/loader.js';
import {openDataset} from '../data/open-dataset.js';
import type {Recipe} from '../data/recipe.js';
import {type WarningOfSet, warningsOf} from '../data/warnings.js';
import {randomInputs} from '../eval/inputs.js';
import type {Subject} from '../eval/subject.js';
import type {Calibration} from '../export/precision.js';
import {spread} from './evaluate-files.js';

export interface CalibrationOptions {
  calibrate?: string | undefined;
  calibrationSamples: number;
  workers?: number | undefined;
  onError: 'stop' | 'skip';
  strictData?: boolean | undefined;
}

/** With what is wrong with the images, which a person should know. */
export interface CalibrationOf extends Calibration {
  readonly warnings: readonly WarningOfSet[];
}

const BATCH = 8;
/** Noise has no rare cases: more of it says no more. */
const RANDOM_IMAGES = 16;

/** A fixed batch gets batches of its size; what is left over at the end is left out. */
export async function calibrationOf({input}: Subject, recipe: Recipe, options: CalibrationOptions): Promise<CalibrationOf> {
  const {calibrate: path, calibrationSamples} = options;
  const size = input.batch ?? BATCH;
  if (path === undefined) return randomCalibration(input.side, size);
  const {count, warnings} = await look(path, options);
  const samples = Math.min(calibrationSamples, count);
  return {
    warnings,
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

async function look(path: string, {strictData: strict}: CalibrationOptions) {
  const dataset = await openDataset(path, {imagesOnly: true, strict});
  await dataset.close();
  return {count: dataset.samples.length, warnings: warningsOf(path, dataset.warnings)};
}

const randomCalibration = (side: number, size: number): CalibrationOf => ({
  warnings: [],
  description: `${Math.ceil(RANDOM_IMAGES / size) * size} random images`,
  real: false,
  async *batches() {
    for (const {images} of randomInputs(side, 0, Math.ceil(RANDOM_IMAGES / size) * size, size))
      yield tensor('float32', images.shape, images.data);
  },
});
