/** When the learning rate falls: one rule for all families, whatever the length of the run, and what is said about it. */
import {resolveOptions} from '../../src/train/options/config.js';
import {describeSchedule} from '../../src/train/options/describe-schedule.js';
import type {OptionName} from '../../src/train/options/options.js';
import {presetNames, presetOptions, presets} from '../../src/train/options/presets.js';
import {learningRate, resolveMoments} from '../../src/train/options/schedules.js';
import {scheduleOf} from '../../src/train/run/step-settings.js';

const given = (values: Partial<Record<OptionName, string>>) =>
  new Map(Object.entries(values).map(([name, value]) => [name as OptionName, {value, from: 'test'}]));
const optionsOf = (values: Partial<Record<OptionName, string>>) => resolveOptions([given(values)]);
const ratesOf = (o: ReturnType<typeof optionsOf>) => Array.from({length: o.epochs}, (_, e) => learningRate(scheduleOf(o), e));
/** Epochs at which the rate is lower than in the one before. */
const fallsOf = (o: ReturnType<typeof optionsOf>) => ratesOf(o).flatMap((lr, e, all) => (e > 0 && lr < all[e - 1]! ? [e] : []));

test('published runs fall where the original falls', () => {
  for (const name of presetNames.filter((preset) => !preset.startsWith('rvt'))) {
    const o = resolveOptions([presetOptions(name)]);
    expect([name, fallsOf(o)]).toEqual([name, [30, 60, 90].filter((e) => e < Number(presets[name].epochs))]);
  }
  expect(fallsOf(optionsOf({arch: 'cifar-resnet20'}))).toEqual([15, 23]);
});

test.each([
  ['resnet18', 10, [3, 6, 9]],
  ['mobilenet', 50, [15, 30, 45]],
  ['cifar-resnet20', 60, [30, 45]],
  ['cifar-resnet20', 4, [2, 3]],
  ['cifar-resnet20', 3, [2]],
  ['cifar-resnet20', 1, []],
])('by default %s falls in %i epochs after %j', (arch, epochs, expected) => {
  const o = optionsOf({arch, epochs: String(epochs)});
  expect(fallsOf(o)).toEqual(expected);
  const rates = ratesOf(o);
  for (const [e, lr] of rates.entries()) if (e > 0) expect(rates[e - 1]! / lr).toBeLessThan(10.001); // never a hundredth at once
});

test('the steps of a preset follow another number of epochs', () => {
  for (const name of ['resnet18-dkd', 'resnet18-finetune', 'mobilenet-scratch'] as const) {
    expect(fallsOf(resolveOptions([presetOptions(name), given({epochs: '10'})])).length).toBeGreaterThan(0);
  }
});

test('every length of a run and every default: distinct steps, all of them within the run', () => {
  for (const moments of [
    ['30%', '60%', '90%'],
    ['50%', '75%'],
  ] as const) {
    for (let epochs = 1; epochs <= 400; epochs++) {
      const {milestones, leftOut} = resolveMoments(moments, epochs);
      expect(new Set(milestones).size).toBe(milestones.length);
      expect(milestones.length + leftOut.length).toBe(moments.length);
      expect(milestones.every((m) => m >= 1 && m < epochs)).toBe(true);
      if (epochs > 5) expect(leftOut).toEqual([]);
    }
  }
});

test.each([
  [{arch: 'resnet18', epochs: '10'}, 'learning rate 0.1, divided by 10 after 3, 6 and 9 of 10 epochs', []],
  [
    {arch: 'resnet18', epochs: '50', 'lr-steps': '30,60,90', 'warmup-epochs': '5'},
    'learning rate 0.1, reached in 5 epochs of warm-up, divided by 10 after 30 of 50 epochs',
    ['lr-steps 60 and 90: not reached in 50 epochs'],
  ],
  [
    {arch: 'resnet18', epochs: '10', 'lr-steps': '30,60'},
    'learning rate 0.1 for 10 epochs',
    ['lr-steps 30 and 60: not reached in 10 epochs; the rate never falls'],
  ],
  [
    {arch: 'cifar-resnet20', epochs: '3'},
    'learning rate 0.1, divided by 10 after 2 of 3 epochs',
    ['lr-steps 75%: left out, no epoch of its own among 3 epochs'],
  ],
  [{arch: 'resnet18', epochs: '10', 'lr-steps': '[]'}, 'learning rate 0.1 for 10 epochs', []],
  [
    {arch: 'rvt_tiny'},
    'learning rate: a cosine from 0.002 to 0.00001 over 300 epochs, after a rise from 0.000001 in 5 epochs, then 10 more at that rate',
    [],
  ],
] as const)('%j in words', (values, line, warnings) => {
  expect(describeSchedule(optionsOf(values))).toEqual({line, warnings});
});
