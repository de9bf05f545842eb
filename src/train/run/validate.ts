/** How good student and dynamic teacher are on the validation images, and their moving averages. */
import {GpdError} from '../../core/error.js';
import {float32, type Tensor} from '../../core/tensor.js';
import type {Trainer} from '../step/step-config.js';
import type {Accuracy, Validation} from './position.js';

export interface LabelledImages {
  /** [n, 3, S, S]. */
  readonly images: Tensor<'float32'>;
  readonly labels: ArrayLike<number>;
}

const TOP = 5;

/** Sums over images. */
export class ValidationTally {
  images = 0;
  private top1 = 0;
  private top5 = 0;
  private loss = 0;

  /** The first `labels.length` rows of the logits. Of equal logits the first class counts. */
  add(logits: Tensor<'float32'>, labels: ArrayLike<number>): void {
    const classes = logits.shape[1]!;
    for (let i = 0; i < labels.length; i++) {
      const row = logits.data.subarray(i * classes, (i + 1) * classes);
      const label = labels[i]!;
      const own = row[label]!;
      let rank = row.every(Number.isFinite) ? 0 : classes + TOP; // whoever gives NaN is right about nothing
      let max = Number.NEGATIVE_INFINITY;
      for (let c = 0; c < classes; c++) {
        const value = row[c]!;
        if (!(value < own) && (value !== own || c < label)) rank++;
        if (value > max) max = value;
      }
      let sum = 0;
      for (const value of row) sum += Math.exp(value - max);
      this.images++;
      this.top1 += Number(rank === 0);
      this.top5 += Number(rank < TOP);
      this.loss += Math.log(sum) + max - own;
    }
  }

  get accuracy(): Accuracy {
    const {images, top1, top5, loss} = this;
    return {top1: (100 * top1) / images, top5: (100 * top5) / images, loss: loss / images};
  }
}

/** A smaller batch would be compiled anew: it is filled up with black images, whose logits nobody reads. */
export function filledUp(images: Tensor<'float32'>, size: number): Tensor<'float32'> {
  const [count, ...shape] = images.shape as [number, number, number, number];
  if (count === size) return images;
  const data = new Float32Array(size * shape.reduce((n, d) => n * d, 1));
  data.set(images.data);
  return float32([size, ...shape], data);
}

export interface ValidateOptions {
  readonly batches: AsyncIterable<LabelledImages>;
  readonly batchSize: number;
  readonly onBatch?: () => void;
}

/** Throws DATASET_INVALID where no batch has an image. */
export async function validate(trainer: Trainer, {batches, batchSize, onBatch}: ValidateOptions): Promise<Validation> {
  const tallies = {
    student: new ValidationTally(),
    teacher: new ValidationTally(),
    emaStudent: new ValidationTally(),
    emaTeacher: new ValidationTally(),
  };
  const [hasTeacher, hasEma] = [trainer.config.gpd !== undefined, trainer.config.emaDecay !== undefined];
  for await (const {images, labels} of batches) {
    const whole = filledUp(images, batchSize);
    const model = await trainer.evaluate(whole, 'model');
    tallies.student.add(model.student, labels);
    if (model.teacher) tallies.teacher.add(model.teacher, labels);
    if (hasEma) {
      const ema = await trainer.evaluate(whole, 'ema');
      tallies.emaStudent.add(ema.student, labels);
      if (ema.teacher) tallies.emaTeacher.add(ema.teacher, labels);
    }
    onBatch?.();
  }
  if (tallies.student.images === 0) {
    throw new GpdError('DATASET_INVALID', 'none of the validation images can be read', {hint: 'name others with --val'});
  }
  return {
    student: tallies.student.accuracy,
    ...(hasTeacher && {teacher: tallies.teacher.accuracy}),
    ...(hasEma && {emaStudent: tallies.emaStudent.accuracy}),
    ...(hasEma && hasTeacher && {emaTeacher: tallies.emaTeacher.accuracy}),
  };
}

/** The better of weights and average, in percent: what the best checkpoint is chosen by, as in the original. */
export function bestOf({student, emaStudent}: Validation): {metric: number; weights: 'model' | 'ema'} {
  return emaStudent && emaStudent.top1 > student.top1
    ? {metric: emaStudent.top1, weights: 'ema'}
    : {metric: student.top1, weights: 'model'};
}
