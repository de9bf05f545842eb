/**
 * What a folder of reference numbers says about its run: the options of the original's two programs, as they are written in its
 * `trajectory*.json`, to the settings of a step. Options that are absent have the original's defaults.
 */
import {GpdError} from '../../core/error.js';
import type {Schedule} from '../options/schedules.js';
import {type GpdLossName, gpdLossNames} from '../step/losses/gpd-losses.js';
import type {LossValues, StaticLossName} from '../step/losses/index.js';
import type {DecayRule} from '../step/parameters/decay-groups.js';
import type {OptimizerConfig} from '../step/parameters/optimizers.js';
import type {GpdOptions, Mix} from '../step/step-config.js';

export type Json = Readonly<Record<string, unknown>>;

/** A step of the plan. */
export interface PlannedStep {
  readonly step: number;
  readonly epoch: number;
  /** `train<n>` of the batches. */
  readonly batch: number;
  readonly mix?: Mix;
}

export interface ReplaySettings {
  readonly imageSize: number;
  /** Every pixel of the stored images is repeated so often along both sides. */
  readonly upsample: number;
  readonly ratio: number;
  /** Attention heads of each stage, of student and static teacher. */
  readonly heads: readonly number[] | undefined;
  readonly teacherHeads: readonly number[] | undefined;
  readonly gpd: GpdOptions | undefined;
  /** What is learnt from the static teacher. */
  readonly kd: readonly StaticLossName[];
  readonly kdValues: Partial<LossValues>;
  /** Channels between the convolutions of ReviewKD's modules, where not the family's. */
  readonly fusionWidth: number | undefined;
  readonly labelSmoothing: number;
  readonly optimizer: OptimizerConfig;
  readonly decay: DecayRule;
  readonly clipNorm: number | undefined;
  readonly emaDecay: number | undefined;
  readonly schedule: Schedule;
  readonly plan: readonly PlannedStep[];
}

/** Reads options with the original's defaults; a value of another type is refused by name. */
class Options {
  constructor(private readonly values: Json) {}

  private typed<T>(name: string, type: string, fallback: T): T {
    const value = this.values[name];
    if (value === undefined || value === null) return fallback;
    if (typeof value === type) return value as T;
    throw new GpdError('CONFIG_INVALID', `${name} is ${JSON.stringify(value)}, not a ${type}`, {at: name});
  }
  number = (name: string, fallback: number): number => this.typed(name, 'number', fallback);
  optional = (name: string): number | undefined => this.typed<number | undefined>(name, 'number', undefined);
  is = (name: string): boolean => this.typed(name, 'boolean', false);
  denies = (name: string): boolean => this.values[name] === false;
  text = (name: string, fallback: string): string => this.typed(name, 'string', fallback);
  numbers = (name: string, fallback: readonly number[]): readonly number[] => this.typed(name, 'object', fallback);
}

const defined = <T>(value: T | undefined, make: (value: T) => object): object => (value === undefined ? {} : make(value));

function optimizerOf(o: Options, name: string): OptimizerConfig {
  const momentum = o.number('momentum', 0.9);
  if (name.startsWith('sgd')) return {kind: 'sgd', momentum, nesterov: name.includes('nesterov')};
  if (name === 'rmsprop') return {kind: 'rmsprop', alpha: 0.9, eps: 0.0316, momentum};
  const [beta1, beta2] = o.numbers('opt_betas', [0.9, 0.999]) as [number, number];
  if (name === 'adamw') return {kind: 'adamw', betas: [beta1, beta2], eps: o.number('opt_eps', 1e-8)};
  throw new GpdError('CONFIG_INVALID', `the optimiser '${name}' is not one that is replayed here`, {
    hint: 'sgd, rmsprop or adamw',
  });
}

function gpdOf(o: Options): GpdOptions | undefined {
  if (o.is('skip_es')) return undefined;
  const kind = o.text('kd_loss_type', 'ce');
  if (!gpdLossNames.some((known) => known === kind))
    throw new GpdError('CONFIG_INVALID', `there is no distillation loss '${kind}'`);
  return {
    kd: {kind: kind as GpdLossName, weight: o.number('kd_ratio', 1)},
    freezeExpanded: o.is('skip_expanded'),
    staticTeacherForExpanded: !o.is('deactive_kd_static_teacher'),
  };
}

type Distilling = Pick<ReplaySettings, 'kd' | 'kdValues'>;
const distillingOf = (o: Options, alpha: number, beta: number): Distilling => ({
  kd: (['dkd', 'reviewkd'] as const).filter((name) => o.is(`use_${name}`)),
  kdValues: {
    ...{'dkd-alpha': alpha, 'dkd-beta': beta, 'dkd-temperature': 1},
    'review-weight': o.number('review_kd_loss_weight', 1),
  },
});

type Side = Omit<ReplaySettings, 'imageSize' | 'upsample' | 'heads' | 'teacherHeads' | 'fusionWidth' | 'plan'>;

/** `train_dkd.py` and `train_reviewkd.py`: their β differs. */
function cnnSide(o: Options, script: string): Side {
  const beta = script.includes('reviewkd') || o.text('model', '') !== 'MobileNet' ? 0.5 : 2;
  return {
    ratio: o.is('skip_es') ? 1 : o.number('gpd_ratio', 1),
    gpd: gpdOf(o),
    ...distillingOf(o, 1, beta),
    labelSmoothing: o.number('label_smoothing', 0),
    optimizer: optimizerOf(o, o.text('opt', 'sgd')),
    decay: {
      kind: 'all',
      weightDecay: o.number('weight_decay', 1e-4),
      ...defined(o.optional('norm_weight_decay'), (norm) => ({norm})),
      ...defined(o.optional('bias_weight_decay'), (bias) => ({bias})),
      ...defined(o.optional('transformer_embedding_decay'), (embedding) => ({embedding})),
    },
    clipNorm: o.number('clip_grad_norm', 5),
    emaDecay: o.is('model_ema') ? o.number('model_ema_decay', 0.99996) : undefined,
    schedule: {
      kind: 'steps',
      lr: o.number('learning_rate', 0.2),
      warmupEpochs: o.number('lr_warmup_epochs', 0),
      milestones: o.numbers('lr_adjust_step', [30, 60, 90]),
    },
  };
}

/** `main_gpd.py`. Its rate is the one after scaling by the batch. */
function rvtSide(o: Options, lagging: boolean): Side {
  const gpd = gpdOf(o);
  const opt = o.text('opt', 'adamw');
  return {
    ratio: gpd ? o.number('gpd_ratio', 1) : 1,
    gpd: gpd && {...gpd, expandedLossWeight: o.number('expanded_loss_weight', 1)},
    ...distillingOf(o, o.number('dkd_alpha', 1), o.number('dkd_beta', 0.5)),
    labelSmoothing: o.number('smoothing', 0.1),
    // timm: 'sgd' has Nesterov's momentum, 'momentum' has not
    optimizer: optimizerOf(o, opt === 'sgd' ? 'sgd_nesterov' : opt === 'momentum' ? 'sgd' : opt),
    decay: {kind: 'matrices', weightDecay: o.number('weight_decay', 0.05)},
    clipNorm: o.optional('clip_grad'),
    emaDecay: o.denies('model_ema') ? undefined : o.number('model_ema_decay', 0.99996),
    schedule: {
      kind: 'cosine',
      lr: o.number('lr', 5e-4),
      minLr: o.number('min_lr', 1e-5),
      epochs: o.number('epochs', 300),
      warmupEpochs: o.number('warmup_epochs', 5),
      warmupLr: o.number('warmup_lr', 1e-6),
      lagging,
    },
  };
}

interface StoredMix {
  readonly kind: string;
  readonly lam: number;
  readonly bbox_yl_yh_xl_xh?: readonly [number, number, number, number] | null;
}
function mixOf(stored: StoredMix | undefined | null): Mix | undefined {
  if (!stored) return undefined;
  const box = stored.bbox_yl_yh_xl_xh;
  return box ? {kind: 'cutmix', lam: stored.lam, box} : {kind: 'mixup', lam: stored.lam};
}

function planOf(trajectory: Json): PlannedStep[] {
  const mixes = (trajectory['mixup'] ?? []) as readonly (StoredMix | null)[];
  const epochs = trajectory['plan'] as readonly (readonly [epoch: number, batches: readonly number[]])[];
  const steps = epochs.flatMap(([epoch, batches]) => batches.map((batch) => ({epoch, batch})));
  return steps.map((planned, step) => ({...planned, step, ...defined(mixOf(mixes[step]), (mix) => ({mix}))}));
}

const headsOf = (network: unknown): readonly number[] | undefined => (network as {heads?: readonly number[]} | null)?.heads;

/** `lagging`: see `compatRules.laggingSchedule`. Throws CONFIG_INVALID where the file does not say what is needed. */
export function replaySettings(trajectory: Json, lagging: boolean): ReplaySettings {
  const options = (trajectory['config'] ?? trajectory['args_overridden']) as Json | undefined;
  const imageSize = trajectory['image_size'];
  if (!options || !Array.isArray(trajectory['plan']) || typeof imageSize !== 'number') {
    throw new GpdError('CONFIG_INVALID', 'the trajectory has no configuration, plan or image size', {
      hint: "give a folder whose trajectory64.json has 'config' (or 'args_overridden'), 'plan' and 'image_size'",
    });
  }
  const read = new Options(options);
  const review = (trajectory['reviewkd'] ?? options['reviewkd']) as {mid_channel?: number} | undefined;
  const script = String(trajectory['script'] ?? '');
  const side = trajectory['config'] ? cnnSide(read, script) : rvtSide(read, lagging);
  return {
    ...side,
    imageSize,
    upsample: typeof trajectory['input_upsample'] === 'number' ? trajectory['input_upsample'] : 1,
    heads: headsOf(trajectory['student']),
    teacherHeads: headsOf(trajectory['teacher']),
    fusionWidth: review?.mid_channel,
    plan: planOf(trajectory),
  };
}
