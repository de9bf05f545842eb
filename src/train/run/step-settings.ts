/** From the options of a run to what its parts are told: the step, the rates, the mixing, the images. */

import {GpdError} from '../../core/error.js';
import type {Erasing} from '../../data/augment/erasing.js';
import {parseRandAugment, type RandAugment} from '../../data/augment/rand-augment.js';
import {fillOf, type TrainTransform} from '../../data/augment/transform.js';
import {type Recipe, recipes} from '../../data/recipe.js';
import type {Architecture} from '../../models/layers.js';
import type {TrainOptions} from '../options/options.js';
import {resolveMoments, type Schedule} from '../options/schedules.js';
import {asReference} from '../step/compat.js';
import type {DecayRule} from '../step/parameters/decay-groups.js';
import type {OptimizerConfig} from '../step/parameters/optimizers.js';
import type {StaticTeacher, StepConfig} from '../step/step-config.js';
import type {Initial} from './initial-state.js';
import type {Mixing} from './mixing.js';

const pair = (values: readonly number[]) => values as readonly [number, number];

const optimizers: Readonly<Record<TrainOptions['optimizer'], (o: TrainOptions) => OptimizerConfig>> = {
  sgd: ({momentum}) => ({kind: 'sgd', momentum, nesterov: false}),
  nesterov: ({momentum}) => ({kind: 'sgd', momentum, nesterov: true}),
  rmsprop: ({momentum}) => ({kind: 'rmsprop', alpha: 0.9, eps: 0.0316, momentum}), // the original's constants
  adamw: (o) => ({kind: 'adamw', betas: pair(o.betas), eps: o['opt-eps']}),
};
export const optimizerOf = (o: TrainOptions): OptimizerConfig => optimizers[o.optimizer](o);

export function decayOf(o: TrainOptions): DecayRule {
  const weightDecay = o['weight-decay'];
  if (o.decay === 'matrices') return {kind: 'matrices', weightDecay};
  const [norm, bias] = [o['norm-weight-decay'], o['bias-weight-decay']];
  return {kind: 'all', weightDecay, ...(norm !== null && {norm}), ...(bias !== null && {bias})};
}

export function stepConfigOf(
  o: TrainOptions,
  {arch, initial, staticTeacher}: {arch: Architecture; initial: Initial; staticTeacher: StaticTeacher | undefined},
): StepConfig {
  const weight = o['teacher-loss-weight'];
  const gpd = {
    kd: {kind: o['gpd-loss'], weight: o['gpd-weight']},
    ...(weight === 0 ? {freezeExpanded: true} : {expandedLossWeight: weight}),
    staticTeacherForExpanded: o['kd-for'] === 'both',
  };
  return {
    arch,
    form: initial.form,
    imageSize: o['image-size'],
    labelSmoothing: o['label-smoothing'],
    optimizer: optimizerOf(o),
    decay: decayOf(o),
    compat: o.compat,
    ...(o.ratio > 1 && {gpd}),
    ...(staticTeacher && {staticTeacher}),
    ...(o['clip-norm'] > 0 && {clipNorm: o['clip-norm']}),
    ...(o.ema && {emaDecay: o['ema-decay']}),
  };
}

export const scheduleOf = (o: TrainOptions): Schedule =>
  o.schedule === 'step'
    ? {
        kind: 'steps',
        lr: o.lr,
        warmupEpochs: o['warmup-epochs'],
        milestones: resolveMoments(o['lr-steps'], o.epochs).milestones,
      }
    : {
        kind: 'cosine',
        lr: o.lr,
        minLr: o['min-lr'],
        epochs: o.epochs - o['cooldown-epochs'],
        warmupEpochs: o['warmup-epochs'],
        warmupLr: o['warmup-lr'],
        lagging: asReference(o.compat, 'laggingSchedule'),
      };

export const mixingOf = (o: TrainOptions): Mixing => ({
  mixup: o.mixup,
  cutmix: o.cutmix,
  ...(o['cutmix-minmax'] && {minmax: pair(o['cutmix-minmax'])}),
  probability: o['mixup-prob'],
  switchProbability: o['mixup-switch-prob'],
});

/** How validation images are prepared; training images share its interpolation and normalisation. */
export const recipeOf = (o: TrainOptions): Recipe => ({
  ...recipes.cnn(o['image-size']),
  interpolation: o.interpolation,
  resize: o['val-resize'] === 0 ? undefined : o['val-resize'],
});

function randAugmentOf(policy: string): RandAugment {
  try {
    return parseRandAugment(policy);
  } catch (error) {
    throw new GpdError('CONFIG_INVALID', `rand-augment ${policy}: ${(error as Error).message}`, {
      hint: 'write a policy such as rand-m9-mstd0.5-inc1',
    });
  }
}

export function transformOf(o: TrainOptions): TrainTransform {
  const recipe = recipeOf(o);
  const {resize, crop, interpolation} = recipe;
  return {
    geometry: {resize, crop, interpolation},
    side: o['image-size'],
    crop: o.crop,
    cropArea: pair(o['crop-area']),
    flip: o.flip,
    jitter: o['color-jitter'],
    fill: fillOf(recipe),
    ...(o['rand-augment'] !== null && {randAugment: randAugmentOf(o['rand-augment'])}),
  };
}

export const erasingOf = (o: TrainOptions): Erasing | undefined =>
  o.erasing > 0 ? {probability: o.erasing, mode: o['erasing-mode'], count: o['erasing-count']} : undefined;
