/**
 * Accuracy of one model over a stream of images, in memory that does not depend on their number. The state is plain data, so that
 * a run can be interrupted and taken up again.
 */
import {Largest} from './largest.js';
import type {Score} from './scores.js';
import {type Interval, wilson} from './statistics.js';

/** Expected calibration error is usually given for 15 bins: Guo et al. 2017, arXiv 1706.04599, section 5. */
export const CALIBRATION_BINS = 15;
/** How many of the worst images are remembered. */
export const WORST = 12;
const TOP = 5;

export interface WorstImage {
  /** The loss. */
  key: number;
  index: number;
  label: number;
  predicted: number;
  confidence: number;
}

export interface TallyState {
  classes: number;
  images: number;
  labelled: number;
  top1: number;
  top5: number;
  nonFinite: number;
  /** The first images with a NaN or infinite logit. */
  nonFiniteImages: number[];
  lossSum: number;
  calibration: {count: number; confidence: number; correct: number}[];
  perClass: {images: number; top1: number; top5: number}[];
  /** [label, predicted, images], wrong answers only. */
  confusions: [label: number, predicted: number, images: number][];
  worst: readonly WorstImage[];
}

export interface ClassAccuracy {
  label: number;
  images: number;
  top1: number;
  top5: number;
}
export interface Confusion {
  label: number;
  predicted: number;
  images: number;
}
export interface CalibrationBin {
  images: number;
  /** Mean confidence, and the share that was right. */
  confidence: number;
  accuracy: number;
}

/** Shares are 0 to 1. Where an image has a NaN or infinite logit no number is a measurement: shares, counts and losses are NaN. */
export interface TallyResult {
  images: number;
  labelled: number;
  correct1: number;
  correct5: number;
  top1: number;
  top5: number;
  interval1: Interval;
  interval5: Interval;
  crossEntropy: number;
  calibrationError: number;
  calibration: CalibrationBin[];
  /** Images with a NaN or infinite logit, and the places of the first. */
  nonFinite: number;
  nonFiniteImages: readonly number[];
  perClass: ClassAccuracy[];
  /** Most frequent first. */
  confusions: Confusion[];
  worst: readonly WorstImage[];
}

const empty = (classes: number): TallyState => ({
  classes,
  images: 0,
  labelled: 0,
  top1: 0,
  top5: 0,
  nonFinite: 0,
  nonFiniteImages: [],
  lossSum: 0,
  calibration: Array.from({length: CALIBRATION_BINS}, () => ({count: 0, confidence: 0, correct: 0})),
  perClass: Array.from({length: classes}, () => ({images: 0, top1: 0, top5: 0})),
  confusions: [],
  worst: [],
});

export class Tally {
  private readonly s: TallyState;
  private readonly confusions: Map<number, number>;
  private readonly worst: Largest<WorstImage>;

  constructor(classes: number, state: TallyState = empty(classes)) {
    this.s = structuredClone(state);
    this.confusions = new Map(state.confusions.map(([label, predicted, n]) => [label * classes + predicted, n]));
    this.worst = new Largest(WORST, state.worst);
  }

  add(index: number, label: number, score: Score): void {
    const {s} = this;
    s.images++;
    if (!score.finite) this.addNonFinite(index);
    if (label < 0 || !score.finite) return;
    const [right1, right5] = [Number(score.rank === 0), Number(score.rank < TOP)];
    s.labelled++;
    s.top1 += right1;
    s.top5 += right5;
    s.lossSum += score.loss;
    this.addToBin(score, right1);
    const own = s.perClass[label]!;
    own.images++;
    own.top1 += right1;
    own.top5 += right5;
    if (right1) return;
    const pair = label * s.classes + score.predicted;
    this.confusions.set(pair, (this.confusions.get(pair) ?? 0) + 1);
    const {predicted, confidence, loss: key} = score;
    if (key > this.worst.threshold) this.worst.add({key, index, label, predicted, confidence});
  }

  private addNonFinite(index: number): void {
    this.s.nonFinite++;
    if (this.s.nonFiniteImages.length < WORST) this.s.nonFiniteImages.push(index);
  }

  /** Bins are open below and closed above: (0, 1/15], (1/15, 2/15], … */
  private addToBin({confidence}: Score, right: number): void {
    const at = Math.max(0, Math.min(CALIBRATION_BINS - 1, Math.ceil(confidence * CALIBRATION_BINS) - 1));
    const bin = this.s.calibration[at]!;
    bin.count++;
    bin.confidence += confidence;
    bin.correct += right;
  }

  /** Share of right answers so far; NaN as in the result. */
  get top1(): number {
    return this.s.nonFinite > 0 ? Number.NaN : this.s.top1 / this.s.labelled;
  }

  state(): TallyState {
    const {classes} = this.s;
    const confusions = [...this.confusions].map(
      ([pair, n]) => [Math.floor(pair / classes), pair % classes, n] as [number, number, number],
    );
    return {...structuredClone(this.s), confusions, worst: this.worst.items()};
  }

  result(): TallyResult {
    return this.s.nonFinite > 0 ? this.unmeasured() : this.measured();
  }

  private unmeasured(): TallyResult {
    const {images, labelled, nonFinite, nonFiniteImages} = this.s;
    const nothing = {low: Number.NaN, high: Number.NaN};
    return {
      ...{images, labelled, correct1: Number.NaN, correct5: Number.NaN, top1: Number.NaN, top5: Number.NaN},
      ...{interval1: nothing, interval5: nothing, crossEntropy: Number.NaN, calibrationError: Number.NaN},
      ...{nonFinite, nonFiniteImages, calibration: [], perClass: [], confusions: [], worst: []},
    };
  }

  private measured(): TallyResult {
    const {images, labelled, top1, top5, lossSum, calibration, perClass} = this.s;
    return {
      images,
      labelled,
      correct1: top1,
      correct5: top5,
      top1: top1 / labelled,
      top5: top5 / labelled,
      interval1: wilson(top1, labelled),
      interval5: wilson(top5, labelled),
      crossEntropy: lossSum / labelled,
      // ECE = Σ n_b/n · |accuracy − confidence|: Naeini et al. 2015, AAAI, equation 3.
      calibrationError: calibration.reduce((sum, b) => sum + Math.abs(b.correct - b.confidence), 0) / labelled,
      calibration: calibration.map(({count, confidence, correct}) => ({
        images: count,
        confidence: count ? confidence / count : 0,
        accuracy: count ? correct / count : 0,
      })),
      nonFinite: 0,
      nonFiniteImages: [],
      perClass: perClass.map(({images: n, ...right}, label) => ({
        label,
        images: n,
        top1: right.top1 / n,
        top5: right.top5 / n,
      })),
      confusions: this.state()
        .confusions.map(([label, predicted, n]) => ({label, predicted, images: n}))
        .sort((a, b) => b.images - a.images || a.label - b.label || a.predicted - b.predicted),
      worst: this.worst.items(),
    };
  }
}
