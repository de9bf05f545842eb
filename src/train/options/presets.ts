/**
 * The settings of the original's README commands, by scenario and network; every other option has the default of the family, and
 * `gpd train --preset NAME --print-config` prints all of them. Source: the original's README and the defaults of its programs.
 */

import type {Given} from './config.js';
import {type OptionName, options} from './options.js';

type Settings = Partial<Record<OptionName, string>>;

/** What all have in common. Steps of the learning rate are shares: of the published 100 epochs, 30, 60 and 90. */
const common: Settings = {ratio: '2', orepa: 'true', 'gpd-loss': 'sce', 'gpd-weight': '3', ema: 'true', 'ema-decay': '0.99996'};
const cnn: Settings = {...common, lr: '0.1', 'batch-size': '512', epochs: '100', 'lr-steps': '[30%, 60%, 90%]', seed: '42'};
/**
 * lr 5e-4 for 512 images, and 8 × 256 of them: the original scales it. 300 epochs and 10 of cooling down. The original's
 * --use_orepa does nothing in networks of this width: what was published has no branches.
 */
const rvt: Settings = {
  ...common,
  orepa: 'false',
  arch: 'rvt_tiny',
  lr: '0.002',
  'batch-size': '2048',
  epochs: '310',
  seed: '0',
};
/** `train_reviewkd.py` has half the batch. */
const review: Settings = {kd: 'reviewkd', 'review-weight': '1', 'batch-size': '256'};
const dkd: Settings = {kd: 'dkd', 'dkd-alpha': '1', 'dkd-beta': '0.5', 'dkd-temperature': '1'};
/** The original's steps stay at 30, 60 and 90, of which 50 epochs reach the first. */
const finetune: Settings = {lr: '0.01', epochs: '50', 'lr-steps': '[60%]', 'warmup-epochs': '0'};

export const presets = {
  'resnet18-dkd': {...cnn, ...dkd, arch: 'resnet18', teacher: 'resnet34:pretrained/resnet34-333f7ec4.pth'},
  'resnet18-reviewkd': {...cnn, ...review, arch: 'resnet18', teacher: 'resnet34:pretrained/resnet34-333f7ec4.pth'},
  'resnet18-scratch': {...cnn, arch: 'resnet18'},
  'resnet18-finetune': {...cnn, ...finetune, arch: 'resnet18', pretrained: 'pretrained/resnet18-f37072fd.pth'},
  'mobilenet-dkd': {
    ...cnn,
    ...dkd,
    arch: 'mobilenet',
    'dkd-beta': '2',
    teacher: 'resnet50:pretrained/resnet50-19c8e357.pth',
  },
  'mobilenet-reviewkd': {...cnn, ...review, arch: 'mobilenet', teacher: 'resnet50:pretrained/resnet50-19c8e357.pth'},
  'mobilenet-scratch': {...cnn, arch: 'mobilenet'},
  'mobilenet-finetune': {...cnn, ...finetune, arch: 'mobilenet', pretrained: 'pretrained/mobilenet_sgd_68.848.pth.tar'},
  'rvt_tiny-dkd': {...rvt, ...dkd, teacher: 'rvt_small:pretrained/rvt_small.pth'},
  'rvt_tiny-reviewkd': {
    ...rvt,
    kd: 'reviewkd',
    'review-weight': '1',
    teacher: 'rvt_small:pretrained/rvt_small.pth',
  },
  'rvt_tiny-scratch': rvt,
  'rvt_tiny-finetune': {
    ...rvt,
    lr: '0.0002',
    epochs: '60',
    pretrained: 'pretrained/rvt_ti.pth',
    'eval-first': 'true',
  },
} as const satisfies Record<string, Settings>;

export type PresetName = keyof typeof presets;
export const presetNames = Object.keys(presets) as PresetName[];

export const presetOptions = (name: PresetName): Given =>
  new Map(
    (Object.keys(options) as OptionName[]).flatMap((option) => {
      const value = (presets[name] as Settings)[option];
      return value === undefined ? [] : [[option, {value, from: `preset ${name}`}] as const];
    }),
  );
