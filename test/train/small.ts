/** A run of a network so small that a test can repeat it. Only the network is not one of those that have a name. */
import {cifarResnet} from '../../src/models/families/cifar-resnet.js';
import {resolveOptions} from '../../src/train/options/config.js';
import type {OptionName, TrainOptions} from '../../src/train/options/options.js';
import type {Images} from '../../src/train/run/images.js';
import {initialState} from '../../src/train/run/initial-state.js';
import type {StartingPoint} from '../../src/train/run/starting-point.js';
import {stepConfigOf} from '../../src/train/run/step-settings.js';

export type Settings = Partial<Record<OptionName, string>>;

/** Eight images a step, three epochs, GPD with branches and a moving average. */
export function smallOptions(settings: Settings): TrainOptions {
  const all: Settings = {
    ...{arch: 'cifar-resnet20', 'image-size': '8', epochs: '3', 'batch-size': '8', lr: '0.05', 'ema-decay': '0.9'},
    ...{erasing: '0.3', orepa: 'true', 'save-every': '2', 'log-every': '1', keep: '2', threads: '1'},
    ...settings,
  };
  const given = Object.entries(all).map(([name, value]) => [name as OptionName, {value, from: 'test'}] as const);
  return resolveOptions([new Map(given)]);
}

export function smallStart(options: TrainOptions, {classes}: Images): StartingPoint {
  const arch = cifarResnet('small', {widths: [2, 4, 4], depths: [1, 1, 1], classes, classifier: 'linear'});
  const {ratio, orepa, seed, compat} = options;
  const initial = initialState({arch, imageSize: 8, ratio, orepa, seed, compat});
  return {initial, config: stepConfigOf(options, {arch, initial, staticTeacher: undefined})};
}
