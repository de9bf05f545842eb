/** The flags of `gpd train`, made from the table of options. */
import * as Flags from '@oclif/core/flags';
import type {OptionFlag} from '@oclif/core/interfaces';
import type {TrainingDefaults} from '../../models/families/family.js';
import {type Given, isOptionName, resolveOptions} from '../../train/options/config.js';
import {type OptionName, optionNames, options} from '../../train/options/options.js';
import {presetNames} from '../../train/options/presets.js';

const families: readonly (readonly [TrainingDefaults, string])[] = [
  ['cnn', 'resnet18'],
  ['rvt', 'rvt_tiny'],
  ['cifar', 'cifar-resnet20'],
];

/** What an option is unless it is given: one value, or one for each family that has another than ResNets and MobileNet. */
export function defaultText(name: OptionName): string {
  const textFor = (arch: string) => {
    const config = resolveOptions([new Map([['arch', {value: arch, from: ''}]])]);
    return (options[name].kind as {format(value: unknown): string}).format(config[name]);
  };
  if (name === 'arch') return textFor('resnet18');
  const [first, ...others] = families.map(([family, arch]) => [family, textFor(arch)] as const);
  const different = others.filter(([, text]) => text !== first![1]);
  return [first![1], ...different.map(([family, text]) => `${text} for ${family === 'rvt' ? 'RVT' : 'CIFAR'}`)].join(', ');
}

/** All values are taken as text, those of switches too: the table parses them. */
export interface TextFlag extends OptionFlag<string | undefined> {}

function flagOf(name: OptionName): TextFlag {
  const {kind, describe, group} = options[name];
  const description = describe.includes('default:') ? describe : `${describe}; default: ${defaultText(name)}`;
  const common = {description, helpGroup: group === 'run' ? 'run' : group};
  if ('isSwitch' in kind) return Flags.boolean({...common, allowNo: true}) as unknown as TextFlag;
  const {placeholder, choices} = kind as {placeholder: string; choices?: readonly string[]};
  return Flags.string({...common, helpValue: placeholder, ...(choices && {options: [...choices]})});
}

export const optionFlags = Object.fromEntries(optionNames.map((name) => [name, flagOf(name)])) as Record<OptionName, TextFlag>;

export const trainFlags = {
  preset: Flags.option({
    options: presetNames,
    description: 'the settings of a published run; options that are given too win',
    helpValue: 'NAME',
  })(),
  config: Flags.file({description: 'options from a file, one a line; flags win', helpValue: 'FILE'}),
  resume: Flags.boolean({description: 'go on with the run in --out, or begin it where there is none'}),
  'strict-data': Flags.boolean({
    description: 'refuse sets with files left out, classes without images and the like, instead of warning',
  }),
  'print-config': Flags.boolean({description: 'print the whole configuration as a file, and stop'}),
};

/** The options that were given as flags. */
export const givenFlags = (flags: object): Given =>
  new Map(
    Object.entries(flags).flatMap(([name, value]) =>
      isOptionName(name) && value !== undefined ? [[name, {value: String(value), from: `--${name}`}] as const] : [],
    ),
  );
