/** The options of a run under the original's names, as its checkpoints carry them (`argparse` turns `--net_version` into `model`, and so on). */
import {float, type Writable} from '../../checkpoint/write-pickle.js';
import {familyNamed} from '../../models/families/index.js';
import {type LossValues, staticLosses, staticLossNames} from '../step/losses/index.js';
import type {StaticLoss} from '../step/losses/static-loss.js';
import {staticTeacherOf} from './config.js';
import type {TrainOptions} from './options.js';
import {resolveMoments} from './schedules.js';

/** What the original calls the networks that it has. */
const archNames: Readonly<Record<string, string>> = {mobilenet: 'MobileNet'};
export const originalArch = (arch: string): string => archNames[arch] ?? arch;

function teacherOf(o: TrainOptions): {arch: string; path: string} | undefined {
  const given = staticTeacherOf(o);
  return given && {...given, arch: originalArch(given.arch)};
}
const optional = (value: number | null): Writable => (value === null ? null : float(value));
const optimizers = {sgd: 'sgd', nesterov: 'sgd_nesterov', rmsprop: 'rmsprop', adamw: 'adamw'} as const;

/** What all of its programs have. `skip_es` is its word for no GPD. */
const common = (o: TrainOptions): [string, Writable][] => [
  ['model', originalArch(o.arch)],
  ['gpd_ratio', o.ratio],
  ['kd_ratio', float(o['gpd-weight'])],
  ['kd_loss_type', o['gpd-loss']],
  ['expanded_loss_weight', float(o['teacher-loss-weight'])],
  ['skip_es', o.ratio === 1],
  ['use_orepa', o.orepa],
  ['skip_expanded', o['teacher-loss-weight'] === 0],
  ['deactive_kd_static_teacher', o['kd-for'] === 'student'],
  ['teacher', teacherOf(o)?.arch ?? null],
  ['teacher_weight', teacherOf(o)?.path ?? null],
  ['batch_size', o['batch-size']],
  ['model_ema', o.ema],
  ['model_ema_decay', float(o['ema-decay'])],
  ['opt', optimizers[o.optimizer]],
  ['momentum', float(o.momentum)],
  ['weight_decay', float(o['weight-decay'])],
  ['seed', o.seed],
];

const cnn = (o: TrainOptions): [string, Writable][] => [
  ['learning_rate', float(o.lr)],
  ['lr_adjust_step', resolveMoments(o['lr-steps'], o.epochs).milestones],
  ['lr_warmup_epochs', o['warmup-epochs']],
  ['epoch_init', o.epochs],
  ['num_branches_orepa', 6],
  ['label_smoothing', float(o['label-smoothing'])],
  ['clip_grad_norm', float(o['clip-norm'])],
  ['norm_weight_decay', optional(o['norm-weight-decay'])],
  ['bias_weight_decay', optional(o['bias-weight-decay'])],
  ['train_crop_size', o['image-size']],
  ['val_crop_size', o['image-size']],
  ['val_resize_size', o['val-resize']],
  ['checkpoint_hist', o.keep],
];

const rvt = (o: TrainOptions): [string, Writable][] => [
  ['input_size', o['image-size']],
  ['epochs', o.epochs - o['cooldown-epochs']],
  ['cooldown_epochs', o['cooldown-epochs']],
  ['warmup_epochs', o['warmup-epochs']],
  ['lr', float(o.lr)],
  ['warmup_lr', float(o['warmup-lr'])],
  ['min_lr', float(o['min-lr'])],
  ['sched', o.schedule],
  ['smoothing', float(o['label-smoothing'])],
  ['clip_grad', o['clip-norm'] === 0 ? null : float(o['clip-norm'])],
  ['mixup', float(o.mixup)],
  ['cutmix', float(o.cutmix)],
  ['aa', o['rand-augment']],
  ['reprob', float(o.erasing)],
  ['repeated_aug', o.repeats > 1],
];

/** As argparse calls the value of a flag. */
const valueName = (flag: string): string => flag.replace(/^--/, '').replaceAll('-', '_');

/** Which losses of a static teacher are on, and their options, of those that the program has. */
const losses = (o: TrainOptions, program: 'cnn' | 'rvt'): [string, Writable][] =>
  staticLossNames.flatMap((name) => {
    const {original, options}: StaticLoss = staticLosses[name];
    const values = Object.entries(options).flatMap(([option, {[program]: flag}]): [string, Writable][] =>
      flag === undefined ? [] : [[valueName(flag), float(o[option as keyof LossValues])]],
    );
    return original === undefined ? values : [[valueName(original), o.kd?.includes(name) ?? false], ...values];
  });

export const originalArgs = (o: TrainOptions): ReadonlyMap<string, Writable> => {
  const isRvt = familyNamed(o.arch)?.training === 'rvt';
  return new Map([...common(o), ...losses(o, isRvt ? 'rvt' : 'cnn'), ...(isRvt ? rvt(o) : cnn(o))]);
};
