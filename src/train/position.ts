/** Where a run is, and what it has seen so far: plain data, saved with the weights. */

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
}
