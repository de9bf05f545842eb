/**
 * What a training step is told, what it starts from and what it reports. The trainer knows nothing of files, epochs or data sets:
 * learning rates, weights that change and draws of random numbers reach it as inputs of each step.
 */
import type {Tensor} from '../../core/tensor.js';
import type {Architecture} from '../../models/layers.js';
import type {GpdForm} from '../../reparam/parameters.js';
import type {Compat} from './compat.js';
import type {GpdLossName} from './losses/gpd-losses.js';
import type {ActiveLoss, StaticLossName} from './losses/index.js';
import type {DecayRule} from './parameters/decay-groups.js';
import type {NamedTensors, OptimizerState} from './parameters/named-tensors.js';
import type {OptimizerConfig} from './parameters/optimizers.js';

/** A frozen, pretrained network: an ordinary one, or any that `recognise` knows. */
export interface StaticTeacher {
  readonly arch: Architecture;
  readonly form: GpdForm;
  /** Its own state dict, without prefixes. */
  readonly state: NamedTensors;
  /** What it teaches by. Tensors of their connectors (`abfs.*`, `abfs_dual.*`) are part of the trained state. */
  readonly losses: readonly ActiveLoss[];
}

/** How the student learns together with its dynamic teacher. */
export interface GpdOptions {
  /** What the student learns from the dynamic teacher's logits. The weight of a step is this times `StepInput.kdScale`. */
  readonly kd: {readonly kind: GpdLossName; readonly weight: number};
  /** Weight of the dynamic teacher's own loss. Default 1. */
  readonly expandedLossWeight?: number;
  /** The dynamic teacher is not trained: what it shares with the student still is. Default false. */
  readonly freezeExpanded?: boolean;
  /** Whether the static teacher teaches the dynamic one too. Default true. */
  readonly staticTeacherForExpanded?: boolean;
}

export interface StepConfig {
  readonly arch: Architecture;
  /** Pixels a side. */
  readonly imageSize: number;
  /** How the trained network is stored: ratio, OREPA convolutions. `formOf` reads it from a state. */
  readonly form: GpdForm;
  /** Absent: the baseline, one network alone (`--skip-es`). Its form has ratio 1. */
  readonly gpd?: GpdOptions;
  readonly staticTeacher?: StaticTeacher;
  /** Share of the uniform distribution in every target. Default 0. */
  readonly labelSmoothing?: number;
  readonly optimizer: OptimizerConfig;
  /** Which parameters decay, and how much. */
  readonly decay: DecayRule;
  /** Gradients are scaled down to this norm over all of them. Absent: they are not. */
  readonly clipNorm?: number;
  /** Absent: no moving average of the weights. */
  readonly emaDecay?: number;
  readonly compat: Compat;
  /** Also computes `grad_norm_after_expanded_backward`, which costs another pass through the dynamic teacher. Default false. */
  readonly expandedNorm?: boolean;
}

/** How a batch is mixed with itself in reverse order. */
export type Mix =
  | {readonly kind: 'mixup' /** Share of the image itself. */; readonly lam: number}
  | {
      readonly kind: 'cutmix';
      /** Share of the target itself: that of the area outside the box. */
      readonly lam: number;
      /** Rows [top, bottom), columns [left, right) that come from the other image. */
      readonly box: readonly [top: number, bottom: number, left: number, right: number];
    };

export interface TrainingBatch {
  /** Normalised, [N, 3, S, S]. */
  readonly images: Tensor<'float32' | 'float64'>;
  /** The class of each image. */
  readonly labels: ArrayLike<number>;
  readonly mix?: Mix;
}

/** What may differ from step to step besides the batch. */
export interface StepInput {
  readonly lr: number;
  /** Times `gpd.kd.weight`. Default 1; 0 before distillation starts. */
  readonly kdScale?: number;
  /** For debugging: told of all gradients before they are clipped. Reading them takes time. */
  readonly onGradients?: (gradients: NamedTensors) => void;
}

/** Which of the two networks that are trained. */
export type Who = 'expanded' | 'tiny';
/** A static teacher's loss, weighted, of each network that learns from it. */
export type DistilledMetrics = Readonly<Partial<Record<StaticLossName, Readonly<Partial<Record<Who, number>>>>>>;

/** The numbers of one step, under the names of the original's log. */
export interface StepMetrics {
  ce_expanded: number;
  loss_expanded: number;
  /** By loss; without those that the static teacher does not teach by. */
  distilled: DistilledMetrics;
  /** The rest of the student's is absent for a baseline, which has one network and calls it expanded. */
  ce_tiny?: number;
  loss_tiny?: number;
  /** Weighted. 0 for a baseline. */
  kd_loss: number;
  /** Of the student with distillation; without the dynamic teacher's own loss. */
  total_loss: number;
  grad_norm_after_expanded_backward?: number;
  /** Over all gradients, before they are clipped. */
  grad_norm: number;
  /** Only where gradients are clipped. */
  clip_coef?: number;
  /** Percent, against the hard labels, of the logits of the training pass. */
  acc1_tiny: number;
  acc5_tiny: number;
  acc1_expanded: number;
  acc5_expanded: number;
  /** Whether parameters changed: not where a loss or a gradient was not finite. */
  applied: boolean;
}

/** As one record: the loss `dkd` of the student as `dkd_tiny`, and so on. */
export function flatMetrics({
  distilled,
  ...metrics
}: StepMetrics): Omit<StepMetrics, 'distilled'> & Record<string, number | boolean> {
  const losses = Object.entries(distilled).flatMap(([loss, of]) =>
    Object.entries(of).map(([who, value]) => [`${loss}_${who}`, value] as const),
  );
  return {...metrics, ...Object.fromEntries(losses)};
}

/** Everything that a bit-identical continuation needs, besides what the caller counts itself. */
export interface TrainerState {
  /** Where a loss has connectors: with `student.` before the network's names, and theirs after it, such as `abfs.*`, `abfs_dual.*`. */
  readonly model: NamedTensors;
  readonly ema?: NamedTensors;
  readonly optimizer: OptimizerState;
  /** Statistics of the static teacher, where it is kept in training mode (compat: reference). */
  readonly staticTeacher?: NamedTensors;
}
/** A new run has a model alone; a fresh optimiser, and an average that starts as a copy. */
export type InitialState = Pick<TrainerState, 'model'> & Partial<TrainerState>;

export interface StepLogits {
  /** [N, classes]. */
  readonly student: Tensor<'float32'>;
  /** Absent for a baseline. */
  readonly teacher?: Tensor<'float32'>;
}

export interface Trainer {
  readonly config: StepConfig;
  /** One optimisation step. Parameters stay as they are where a number is not finite: see `StepMetrics.applied`. */
  step(batch: TrainingBatch, input: StepInput): Promise<StepMetrics>;
  /** Logits in evaluation mode of the weights or of their moving average. */
  evaluate(images: Tensor<'float32' | 'float64'>, weights?: 'model' | 'ema'): Promise<StepLogits>;
  /** A copy of everything: it stays as it is when training goes on. */
  state(): Promise<TrainerState>;
  /** Continues from a state of the same configuration. */
  load(state: InitialState): void;
  /** Gives the memory back. */
  dispose(): void;
}
