/** THE table of losses of a static teacher, by their word in `--kd`. A new one is its file and a line here. */
import type * as tf from '@tensorflow/tfjs-core';
import type {Architecture} from '../../../models/layers.js';
import {attentionTransfer} from './attention-transfer.js';
import {dkd} from './dkd.js';
import {reviewKd} from './review-kd.js';
import type {Connectors, LossInput, StaticLoss, TapMoment, ValuesOf} from './static-loss.js';

/** Where several are used they are added in this order, whatever order they are given in. */
export const staticLosses = {
  reviewkd: reviewKd,
  dkd,
  at: attentionTransfer,
};

export type StaticLossName = keyof typeof staticLosses;
export const staticLossNames = Object.keys(staticLosses) as StaticLossName[];

type Intersection<T> = (T extends unknown ? (x: T) => void : never) extends (x: infer I) => void ? I : never;
/** The options of all losses. */
export type LossOptionTable = Intersection<(typeof staticLosses)[StaticLossName]['options']>;
export const lossOptions: LossOptionTable = Object.assign({}, ...Object.values(staticLosses).map(({options}) => options));
export type LossValues = ValuesOf<LossOptionTable>;

/** A loss with its options, made ready for two networks. */
export interface ActiveLoss {
  readonly name: StaticLossName;
  readonly features?: TapMoment | undefined;
  readonly connectors?: Connectors | undefined;
  compute(input: LossInput): tf.Scalar;
}

/** The losses of these names, in the table's order. Throws CONFIG_INVALID where one does not fit the networks. */
export function activeLosses(
  names: readonly StaticLossName[],
  values: LossValues,
  {student, teacher, imageSize}: {student: Architecture; teacher: Architecture; imageSize: number},
): ActiveLoss[] {
  return staticLossNames
    .filter((name) => names.includes(name))
    .map((name) => {
      const loss: StaticLoss = staticLosses[name];
      return {
        name,
        features: loss.features,
        connectors: loss.prepare?.(student, teacher, imageSize),
        compute: (input) => loss.loss(input, values),
      };
    });
}
