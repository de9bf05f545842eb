/** How two models differ over the same stream of images, in fixed memory. */
import {Largest} from './largest.js';
import {LogHistogram, type LogHistogramState} from './log-histogram.js';
import type {Score} from './scores.js';
import {type Interval, mcnemar, wilson} from './statistics.js';
import {WORST} from './tally.js';

export interface Answer {
  predicted: number;
  confidence: number;
}
export interface WorstPair {
  /** Disagreements come first; then the largest difference of a logit. */
  key: number;
  index: number;
  label: number;
  difference: number;
  a: Answer;
  b: Answer;
}

export interface PairState {
  images: number;
  nonFinite: number;
  agree: number;
  labelled: number;
  bothRight: number;
  onlyA: number;
  onlyB: number;
  histogram: LogHistogramState;
  worst: readonly WorstPair[];
}

export interface PairResult {
  images: number;
  /** Images where one of the models gave NaN or infinite numbers: they agree on nothing, and count in none of what follows. */
  nonFinite: number;
  /** Share of images with the same top class. */
  agreement: number;
  agreementInterval: Interval;
  /** Images on which both, only the first, only the second, or neither was right. */
  bothRight: number;
  onlyA: number;
  onlyB: number;
  bothWrong: number;
  /** Probability of so uneven a split if both were equally good: McNemar's exact test. */
  mcnemar: number;
  /** Largest |Δ| of a logit, image by image. */
  difference: {median: number; p99: number; max: number};
  histogram: {low: number; high: number; count: number}[];
  worst: readonly WorstPair[];
}

const DISAGREES = 1e12;

/** max |aᵢ − bᵢ|; infinite where a number is not finite, in one or in both. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!Number.isFinite(difference)) return Number.POSITIVE_INFINITY;
    if (difference > largest) largest = difference;
  }
  return largest;
}

export class PairTally {
  private counts = {images: 0, nonFinite: 0, agree: 0, labelled: 0, bothRight: 0, onlyA: 0, onlyB: 0};
  private readonly histogram: LogHistogram;
  private readonly worst: Largest<WorstPair>;

  constructor(state?: PairState) {
    const {histogram, worst = [], ...counts} = state ?? {};
    Object.assign(this.counts, counts);
    this.histogram = histogram ? LogHistogram.from(histogram) : new LogHistogram();
    this.worst = new Largest(WORST, worst);
  }

  /** `difference` is the largest |Δ| of a logit. */
  add(index: number, label: number, a: Score, b: Score, difference: number): void {
    const {counts} = this;
    counts.images++;
    if (!a.finite || !b.finite) {
      counts.nonFinite++;
      return;
    }
    const same = a.predicted === b.predicted;
    if (same) counts.agree++;
    this.histogram.add(difference);
    if (label >= 0) this.addLabelled(a.rank === 0, b.rank === 0);
    const key = (same ? 0 : DISAGREES) + difference;
    if (key > this.worst.threshold && key > 0) this.worst.add({key, index, label, difference, a: answer(a), b: answer(b)});
  }

  private addLabelled(rightA: boolean, rightB: boolean): void {
    this.counts.labelled++;
    if (rightA && rightB) this.counts.bothRight++;
    else if (rightA) this.counts.onlyA++;
    else if (rightB) this.counts.onlyB++;
  }

  state(): PairState {
    return {...this.counts, histogram: this.histogram.state(), worst: this.worst.items()};
  }

  result(): PairResult {
    const {images, nonFinite, agree, labelled, bothRight, onlyA, onlyB} = this.counts;
    return {
      images,
      nonFinite,
      agreement: agree / images,
      agreementInterval: wilson(agree, images),
      bothRight,
      onlyA,
      onlyB,
      bothWrong: labelled - bothRight - onlyA - onlyB,
      mcnemar: mcnemar(onlyA, onlyB),
      difference: {median: this.histogram.quantile(0.5), p99: this.histogram.quantile(0.99), max: this.histogram.max},
      histogram: this.histogram.chart(8),
      worst: this.worst.items(),
    };
  }
}

const answer = ({predicted, confidence}: Score): Answer => ({predicted, confidence});
