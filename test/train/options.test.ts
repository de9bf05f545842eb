/** The table of options: files and flags to a configuration and back, presets whole, contradictions refused. */
import fc from 'fast-check';
import {
  decidingDifferences,
  formatConfig,
  isOptionName,
  olderWords,
  readConfig,
  resolveOptions,
} from '../../src/train/options/config.js';
import {formatScalar, parseConfig} from '../../src/train/options/config-file.js';
import {type OptionName, optionNames, options} from '../../src/train/options/options.js';
import {presetNames, presetOptions} from '../../src/train/options/presets.js';
import {staticLosses, staticLossNames} from '../../src/train/step/losses/index.js';
import {expectGolden} from '../golden.js';

const from = (values: Partial<Record<OptionName, string>>, source = 'a flag') =>
  new Map(Object.entries(values).map(([name, value]) => [name as OptionName, {value, from: source}]));
const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return `${(error as {code: string}).code} ${(error as Error).message}; ${(error as {hint: string}).hint}`;
  }
  return 'no refusal';
};

test.each(presetNames)('preset %s is complete', (name) => {
  const config = resolveOptions([presetOptions(name)]);
  for (const option of optionNames) expect(config[option]).not.toBeUndefined();
  expectGolden(`preset-${name}.yaml`, formatConfig(config));
});

test('what is printed is read back as the same configuration', () => {
  for (const name of presetNames) {
    const config = resolveOptions([presetOptions(name)]);
    expect(resolveOptions([readConfig(formatConfig(config), 'config.yaml')])).toEqual(config);
  }
});

test('any text that is printed is read back', () => {
  fc.assert(
    fc.property(fc.string({unit: 'grapheme', minLength: 1}), (value) => {
      const [line] = parseConfig(`data: ${formatScalar(value)}`, 'f');
      expect(line?.value).toBe(value);
    }),
  );
});

test('later ones win, and none overrides a default', () => {
  const file = readConfig('arch: rvt_tiny\nlr: 1e-3 # slower\nlr-steps:\n  - 3\n  - 5\nrand-augment: null\n', 'run.yaml');
  const config = resolveOptions([presetOptions('rvt_tiny-scratch'), file, from({epochs: '12'})]);
  expect(config).toMatchObject({lr: 0.001, epochs: 12, 'lr-steps': [3, 5], 'rand-augment': null, optimizer: 'adamw'});
});

describe('losses of a static teacher', () => {
  const reading = (kd: string) => resolveOptions([readConfig(`teacher: resnet34:a.pth\nkd: ${kd}`, 'config.yaml')]);

  test.each([
    ['dkd', ['dkd'], 'dkd'],
    ['dkd,reviewkd', ['reviewkd', 'dkd'], '[reviewkd, dkd]'],
    ['[at, dkd]', ['dkd', 'at'], '[dkd, at]'],
    ['both', ['reviewkd', 'dkd'], '[reviewkd, dkd]'],
  ])('kd: %s', (text, names, printed) => {
    const config = reading(text);
    expect(config.kd).toEqual(names);
    expect(formatConfig(config)).toContain(`\nkd: ${printed}\n`);
    expect(resolveOptions([readConfig(formatConfig(config), 'config.yaml')])).toEqual(config);
  });

  test('both is the word of older versions: the same run, and said', () => {
    expect(decidingDifferences(reading('both'), reading('dkd,reviewkd'))).toEqual([]);
    const given = readConfig('teacher: resnet34:a.pth\nkd: both', 'config.yaml');
    const now = 'config.yaml:2: kd both is read as kd reviewkd,dkd, as it is written now';
    expect([olderWords([given]), olderWords([from({kd: 'dkd'})])]).toEqual([[now], []]);
  });

  test('no two of them have an option of the same name, and none hides another option', () => {
    const own = Object.values(staticLosses).flatMap((loss) => Object.keys(loss.options));
    expect(new Set(own).size).toBe(own.length);
    expect(optionNames.filter((name) => own.includes(name))).toEqual(own);
    expect(options.kd.describe).toContain(staticLossNames.join(', '));
  });
});

test('defaults follow the family', () => {
  expect(resolveOptions([from({arch: 'cifar-resnet20', epochs: '40'})])).toMatchObject({
    ...{crop: 'padded', 'batch-size': 128, 'lr-steps': ['50%', '75%'], 'val-resize': 0, 'image-size': 32},
  });
  expect(resolveOptions([from({arch: 'mobilenet'})])).toMatchObject({crop: 'resized', 'val-resize': 256, optimizer: 'sgd'});
});

test.each([
  ['lr: fast', 'CONFIG_INVALID run.yaml:1: lr fast: expected a number above 0; change lr'],
  ['lr: 0', 'CONFIG_INVALID run.yaml:1: lr 0: expected a number above 0; change lr'],
  ['learning-rte: 1', "CONFIG_INVALID run.yaml:1: there is no option 'learning-rte'; gpd train --help lists them"],
  ['epoch: 1', "CONFIG_INVALID run.yaml:1: there is no option 'epoch'; did you mean epochs?"],
  ['arch: resnet19', 'CONFIG_INVALID run.yaml:1: arch resnet19: expected one of resnet18, '],
  ['orepa: yes', 'CONFIG_INVALID run.yaml:1: orepa yes: expected true or false; '],
  ['betas: 0.9', 'CONFIG_INVALID run.yaml:1: betas 0.9: expected 2 of them, separated by a comma; '],
  ['lr: 1\nlr: 2', "CONFIG_INVALID run.yaml:2: 'lr' occurs twice; "],
  ['optimizer: {name: sgd}', "CONFIG_INVALID run.yaml:1: '{name: sgd}' is a kind of YAML that is not read here; "],
  ['optimizer:\n  name: sgd', "CONFIG_INVALID run.yaml:2: 'name: sgd' is not understood; "],
  ['kd: dkd', 'CONFIG_INVALID kd dkd needs a static teacher; name it: --teacher resnet34:FILE'],
  ['teacher: resnet34:a.pth', 'CONFIG_INVALID the static teacher is given, but nothing is learnt from it; add --kd dkd'],
  ['teacher: a.pth\nkd: dkd', 'CONFIG_INVALID teacher a.pth does not say what it is; write ARCH:FILE'],
  ['kd: dkd,at,dkd\nteacher: a:b', 'CONFIG_INVALID run.yaml:1: kd dkd,at,dkd: expected each name once, not dkd again; '],
  ['kd: dkd,fitnet\nteacher: a:b', 'CONFIG_INVALID run.yaml:1: kd dkd,fitnet: expected one of reviewkd, dkd, at; change kd'],
  ['kd: []\nteacher: a:b', 'CONFIG_INVALID run.yaml:1: kd []: expected one or more of reviewkd, dkd, at; change kd'],
  ['mixup: 1\nbatch-size: 7', 'CONFIG_INVALID mixing pairs images, and 7 is odd; choose an even batch-size'],
  ['lr-steps: [2, 2]', 'CONFIG_INVALID lr-steps [2, 2] name one moment twice; give each step once'],
  [
    'lr-steps: 0',
    'CONFIG_INVALID run.yaml:1: lr-steps 0: expected a whole number of epochs from 1, or a share of them such as',
  ],
  ['lr-steps: 120%', 'CONFIG_INVALID run.yaml:1: lr-steps 120%: expected a whole number of epochs from 1, or a share of them'],
  ['mixup: 1', 'CONFIG_INVALID mixing pairs images, and the last batch may be odd; add --drop-last'],
])('%j is refused', (text, expected) => {
  expect(refusal(() => resolveOptions([readConfig(text, 'run.yaml')]))).toContain(expected);
});

test('no default is refused, and every default is printed and parsed to itself', () => {
  for (const arch of options.arch.kind.choices!) {
    const config = resolveOptions([from({arch})]);
    expect(resolveOptions([readConfig(formatConfig(config), 'f')])).toEqual(config);
  }
  expect(isOptionName('toString')).toBe(false);
});
