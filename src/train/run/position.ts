/** Where a run is, and what it has seen so far: plain data, saved with the weights. */
import {
  computed,
  dictionary,
  either,
  finite,
  flag,
  list,
  maybe,
  object,
  oneOf,
  type Reader,
  text,
  whole,
} from '../../core/schema.js';

export interface Accuracy {
  /** Percent. */
  readonly top1: number;
  readonly top5: number;
  /** Mean cross-entropy. */
  readonly loss: number;
}

/** One evaluation on the validation images. A baseline has no dynamic teacher; the averages are there where one is kept. */
export interface Validation {
  readonly student: Accuracy;
  readonly teacher?: Accuracy;
  readonly emaStudent?: Accuracy;
  readonly emaTeacher?: Accuracy;
}

/** What an epoch came to: a line of metrics.jsonl. */
export interface EpochRow {
  readonly kind: 'epoch';
  /** From 0. */
  readonly epoch: number;
  /** Steps since the beginning of the run. */
  readonly steps: number;
  readonly lr: number;
  /** Means over the steps, weighted by their images, under the names of `StepMetrics`. */
  readonly train: Readonly<Record<string, number>>;
  readonly validation?: Validation;
  readonly images: number;
  readonly seconds: number;
  readonly imagesPerSecond: number;
}

/** Between epochs: a line every so many steps. */
export interface StepRow {
  readonly kind: 'step';
  readonly epoch: number;
  readonly steps: number;
  readonly lr: number;
  readonly metrics: Readonly<Record<string, number | boolean>>;
  readonly imagesPerSecond: number;
}

/** Sums over an epoch under way. */
export interface Sums {
  images: number;
  seconds: number;
  /** Σ metric · images. */
  metrics: Record<string, number>;
}
export const noSums = (): Sums => ({images: 0, seconds: 0, metrics: {}});

export interface Kept {
  readonly epoch: number;
  readonly metric: number;
}

export interface Position {
  /** Of this description. */
  readonly version: 1;
  /** The configuration, as `config.yaml` has it. */
  readonly config: string;
  /** The epoch and the step in it that come next. */
  readonly epoch: number;
  readonly step: number;
  /** Steps since the beginning. */
  readonly steps: number;
  /** How often the run went back because of a loss that was no number: then images come in another order. */
  readonly attempt: number;
  readonly sums: Sums;
  /** Best first. */
  readonly kept: readonly Kept[];
  readonly best: (Kept & {readonly weights: 'model' | 'ema'}) | undefined;
  /** The epochs so far. */
  readonly epochs: readonly EpochRow[];
  /** Of the training set: another one makes another run. */
  readonly images: number;
  /** See `digestOf`. Positions of older versions have none. */
  readonly digest?: string;
}

/** No run has more of them. */
const MAX_EPOCHS = 100_000;
const epoch = whole(MAX_EPOCHS);
const metrics = dictionary(computed, 200);

const accuracy: Reader<Accuracy> = object<Accuracy>({top1: computed, top5: computed, loss: computed});
const validation: Reader<Validation> = object<Validation>({
  student: accuracy,
  teacher: maybe(accuracy) as Reader<Accuracy>,
  emaStudent: maybe(accuracy) as Reader<Accuracy>,
  emaTeacher: maybe(accuracy) as Reader<Accuracy>,
});

export const epochRow: Reader<EpochRow> = object<EpochRow>({
  ...{kind: oneOf('epoch'), epoch, steps: whole(), lr: finite, images: whole(), seconds: finite},
  ...{imagesPerSecond: finite, train: metrics},
  validation: maybe(validation) as Reader<Validation>,
});
export const stepRow: Reader<StepRow> = object<StepRow>({
  ...{kind: oneOf('step'), epoch, steps: whole(), lr: finite},
  ...{metrics: dictionary(either(flag, computed), 200), imagesPerSecond: finite},
});

/** A saved position, field by field. What its numbers mean for a run is for `whyNotPosition` to say. */
export const savedPosition: Reader<Position> = object<Position>({
  ...{version: oneOf(1), config: text(1 << 20), epoch, step: whole(), steps: whole(), attempt: whole(100), images: whole()},
  sums: object<Sums>({images: whole(), seconds: finite, metrics}),
  kept: list(object<Kept>({epoch, metric: finite}), MAX_EPOCHS),
  best: maybe(object<NonNullable<Position['best']>>({epoch, metric: finite, weights: oneOf('model', 'ema')})),
  epochs: list(epochRow, MAX_EPOCHS),
  digest: maybe(text(64)) as Reader<string>,
});

/** Why no run can be at this place. `stepsPerEpoch` is the run's. */
export function whyNotPosition({epoch, step, kept, best, epochs, sums}: Position, stepsPerEpoch: number): string | undefined {
  const later = [...kept, ...epochs, ...(best ? [best] : [])].find((row) => row.epoch >= epoch);
  if (later) return `it knows epoch ${later.epoch}, and is at epoch ${epoch}`;
  if (step > stepsPerEpoch) return `it is at step ${step} of an epoch of ${stepsPerEpoch}`;
  return step > 0 && sums.images === 0 ? `it is at step ${step}, and has seen no image` : undefined;
}
