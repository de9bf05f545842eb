/** Learning rates as functions of the epoch, from 0. */
import type {EpochMoment} from '../../core/option-kinds.js';

export type Schedule =
  /** The original's for ResNet and MobileNet: linear warm-up, then a tenth from each of these epochs on. */
  | {readonly kind: 'steps'; readonly lr: number; readonly warmupEpochs: number; readonly milestones: readonly number[]}
  /** The original's for RVT: timm's cosine. The warm-up replaces the beginning of the curve, which is not shifted by it. */
  | {
      readonly kind: 'cosine';
      readonly lr: number;
      readonly minLr: number;
      /** Where the curve ends; epochs after it run at `minLr`. */
      readonly epochs: number;
      readonly warmupEpochs: number;
      readonly warmupLr: number;
      /** Whether an epoch runs at the rate of the one before, as in the original: see `compatRules`. */
      readonly lagging: boolean;
    };

const WARMUP_MARGIN = 1e-6; // the original divides by it, so that no warm-up is no division by zero

function stepped({lr, warmupEpochs, milestones}: Extract<Schedule, {kind: 'steps'}>, epoch: number): number {
  if (epoch < warmupEpochs) return (lr * Math.min(epoch + 1, warmupEpochs + WARMUP_MARGIN)) / (warmupEpochs + WARMUP_MARGIN);
  return lr * 0.1 ** milestones.filter((milestone) => epoch >= milestone).length;
}

function cosine(s: Extract<Schedule, {kind: 'cosine'}>, epoch: number): number {
  const t = s.lagging ? Math.max(0, epoch - 1) : epoch;
  if (t < s.warmupEpochs) return s.warmupLr + (t * (s.lr - s.warmupLr)) / s.warmupEpochs;
  if (t >= s.epochs) return s.minLr;
  return s.minLr + 0.5 * (s.lr - s.minLr) * (1 + Math.cos((Math.PI * t) / s.epochs));
}

export interface Milestones {
  /** Whole epochs. Those that were given as such are all here, the ones beyond the end of the run too. */
  readonly milestones: readonly number[];
  /** Shares that come to no epoch of their own in a run as short as this. */
  readonly leftOut: readonly EpochMoment[];
}

/** Which epochs the moments are. Shares are rounded to whole epochs, halves upwards. */
export function resolveMoments(moments: readonly EpochMoment[], epochs: number): Milestones {
  const milestones: number[] = moments.filter((moment) => typeof moment === 'number');
  const leftOut: EpochMoment[] = [];
  for (const moment of moments) {
    if (typeof moment === 'number') continue;
    const epoch = Math.round((epochs * Number.parseFloat(moment)) / 100);
    if (epoch < 1 || epoch >= epochs || milestones.includes(epoch)) leftOut.push(moment);
    else milestones.push(epoch);
  }
  return {milestones: milestones.sort((a, b) => a - b), leftOut};
}

/** The rate at which an epoch runs. */
export const learningRate = (schedule: Schedule, epoch: number): number =>
  schedule.kind === 'steps' ? stepped(schedule, epoch) : cosine(schedule, epoch);
