/** The images from which ranges are measured: photographs where some are given, else seeded noise. */
import {createHash} from 'node:crypto';
import {plural} from '../../core/format.js';
import {type Tensor, tensor} from '../../core/tensor.js';
import {loadBatches} from '../../data/loader.js';
import {openDataset} from '../../data/open-dataset.js';
import type {Recipe} from '../../data/recipe.js';
import {type WarningOfSet, warningsOf} from '../../data/warnings.js';
import {randomInputs} from '../../eval/inputs.js';
import type {Subject} from '../../eval/subject.js';
import type {Calibration, CalibrationImages} from '../../export/precision.js';
import {spread} from '../evaluate.js';

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
/** What a form is checked on; fewer than `ENOUGH` say too little. */
const CHECK_IMAGES = 32;
const ENOUGH = 8;
/** Noise has no rare cases: more of it says no more. */
const RANDOM_IMAGES = 16;

/** A fixed batch gets batches of its size; what is left over at the end is left out. */
export async function calibrationOf({input}: Subject, recipe: Recipe, options: CalibrationOptions): Promise<CalibrationOf> {
  const {calibrate: path, calibrationSamples} = options;
  const size = input.batch ?? BATCH;
  if (path === undefined) return randomCalibration(input.side, size);
  const {count, warnings, classes} = await look(path, options);
  const used = spread(count, Math.min(calibrationSamples, count));
  const others = without(used, count);
  const seen = new SeenImages(classes);
  const read = (indices: readonly number[], see?: SeenImages): Pick<Calibration, 'batches'> => ({
    async *batches() {
      const dataset = await openDataset(path, {use: 'training'});
      try {
        const {workers, onError} = options;
        const load = {recipe, side: input.side, batchSize: size, indices, onError, ...(workers !== undefined && {workers})};
        for await (const {images, labels} of loadBatches(dataset, load)) {
          const isWhole = images.shape[0]! === size || (input.batch === undefined && images.shape[0]! > 0);
          if (!isWhole) continue;
          see?.add(images, labels);
          yield images;
        }
        see?.end();
      } finally {
        await dataset.close();
      }
    },
  });
  const checked = spread(others.length, CHECK_IMAGES).map((i) => others[i]!);
  return {
    warnings,
    description: `${plural(used.length, 'image')} of ${path}`,
    real: true,
    seen,
    ...read(used, seen),
    heldOut: others.length < ENOUGH ? undefined : {description: `${checked.length} other images of ${path}`, ...read(checked)},
  };
}

/** Indices that are not used. */
function without(used: readonly number[], count: number): number[] {
  const taken = new Set(used);
  return Array.from({length: count}, (_, i) => i).filter((i) => !taken.has(i));
}

/** Told apart by their numbers, on the first pass over them. */
class SeenImages implements CalibrationImages {
  private readonly digests = new Set<string>();
  private readonly labels = new Set<number>();
  private done = false;
  images = 0;

  constructor(private readonly of: number) {}

  get distinct(): number {
    return this.digests.size;
  }
  get classes(): CalibrationImages['classes'] {
    return this.labels.size === 0 ? undefined : {found: this.labels.size, of: this.of};
  }

  add({shape, data}: Tensor<'float32'>, labels: Int32Array): void {
    if (this.done) return;
    const size = data.length / shape[0]!;
    for (let i = 0; i < shape[0]!; i++) {
      this.images++;
      this.digests.add(
        createHash('sha1')
          .update(data.subarray(i * size, (i + 1) * size))
          .digest('base64'),
      );
      if (labels[i]! >= 0) this.labels.add(labels[i]!);
    }
  }
  end(): void {
    this.done = true;
  }
}

async function look(path: string, {strictData: strict}: CalibrationOptions) {
  const dataset = await openDataset(path, {imagesOnly: true, strict, use: 'training'});
  await dataset.close();
  return {count: dataset.samples.length, classes: dataset.classes.length, warnings: warningsOf(path, dataset.warnings)};
}

const randomCalibration = (side: number, size: number): CalibrationOf => ({
  warnings: [],
  description: `${Math.ceil(RANDOM_IMAGES / size) * size} random images`,
  real: false,
  seen: {images: RANDOM_IMAGES, distinct: RANDOM_IMAGES, classes: undefined},
  async *batches() {
    for (const {images} of randomInputs(side, 0, Math.ceil(RANDOM_IMAGES / size) * size, size))
      yield tensor('float32', images.shape, images.data);
  },
});
