/**
 * What a loss of a static teacher is: its options, what it needs of the networks, the function, and what the documentation says of
 * it, in one file. `index.ts` is the table of them; flags, configuration files, docs, initial states and steps follow from it.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type {OptionKind} from '../../../core/option-kinds.js';
import type {Shape} from '../../../core/tensor.js';
import type {Architecture} from '../../../models/layers.js';
import type {LogitsTensor} from './losses.js';

/** An option of `gpd train` that belongs to the loss. */
export interface LossOption<T> {
  /** A fragment, for help. */
  readonly describe: string;
  readonly kind: OptionKind<T>;
  /** The default. */
  readonly or: T;
  /** What the original's CNN and RVT programs call it. */
  readonly cnn?: string;
  readonly rvt?: string;
}
/** By the name of the flag. No two losses may use the same. */
export type LossOptions = Readonly<Record<string, LossOption<unknown>>>;
export type ValuesOf<O> = {readonly [K in keyof O]: O[K] extends {kind: OptionKind<infer T>} ? T : never};

/** Where features are taken: the map of every stage before its last activation or after it, and the pooled vector. */
export type TapMoment = 'beforeActivation' | 'afterActivation';

/** What one pass of a network shows. */
export interface Seen {
  /** [N, classes]. */
  readonly logits: LogitsTensor;
  /** Maps [N, H, W, C], shallow to deep, the pooled vector as [N, 1, 1, C]; empty unless the loss asks for them. */
  readonly features: readonly tf.Tensor[];
}

/** A tensor that is trained along with the student, and how it begins. */
export interface ConnectorTensor {
  readonly key: string;
  readonly shape: Shape;
  /** A constant, a counter of batches, or uniform draws with deviation √(gain/fan). */
  readonly initial: {readonly constant: number} | 'counter' | {readonly fan: number; readonly gain: number};
}
/** Modules between the student's features and the teacher's. */
export interface Connectors {
  /**
   * Keys of the student's begin with it and a dot, those of the dynamic teacher's with `<name>_dual.`. By such names readers of
   * checkpoints know that they serve training alone.
   */
  readonly name: 'abfs' | `connector_${string}`;
  /** In the order in which they are stored. `widening`: how many times as many channels the features have. */
  tensors(prefix: string, widening: number): readonly ConnectorTensor[];
}
/** The connectors' tensors in a step. */
export interface ConnectorParameters {
  readonly prefix: string;
  readonly weight: (key: string) => tf.Tensor;
  /** With the statistics of the batch. */
  readonly batchNorm: (x: tf.Tensor, layer: string) => tf.Tensor;
}

export interface LossInput {
  /** The network that learns: the student, or the dynamic teacher. */
  readonly student: Seen;
  /** No gradient flows to it. */
  readonly teacher: Seen;
  /** Distributions [N, classes]: smoothed and mixed labels. */
  readonly targets: LogitsTensor;
  readonly connectors: ConnectorParameters;
}

/** A loss that a static teacher teaches by. */
export interface StaticLoss<O extends LossOptions = LossOptions> {
  /** As messages and charts name it. */
  readonly title: string;
  /** What is compared: a sentence for docs/training.md. */
  readonly describe: string;
  /** Authors, venue, arXiv number. */
  readonly source: string;
  /** The original's switch for it, where it has one. */
  readonly original?: string;
  readonly options: O;
  /** Absent: logits are enough. */
  readonly features?: TapMoment;
  /** Checks that the networks fit, and says what is trained along. Throws CONFIG_INVALID. */
  prepare?(student: Architecture, teacher: Architecture, imageSize: number): Connectors | undefined;
  /** Weighted, the mean over the batch. */
  loss(input: LossInput, values: ValuesOf<O>): tf.Scalar;
}

/** Checks the types of a loss, and leaves it as it is. */
export const staticLoss = <const O extends LossOptions>(loss: StaticLoss<O>): StaticLoss<O> => loss;
