/** The flags of `gpd train`, made from the table of options, and what was given as layers of a configuration. */
import {join} from 'node:path';
import * as Flags from '@oclif/core/flags';
import type {OptionFlag} from '@oclif/core/interfaces';
import {fileSource, readText, readTextIfAny} from '../../core/bytes.js';
import type {TrainingDefaults} from '../../models/families/family.js';
import {type Given, isOptionName, olderWords, readConfig, resolveOptions} from '../../train/options/config.js';
import {type OptionName, optionNames, options, type TrainOptions} from '../../train/options/options.js';
import {type PresetName, presetNames, presetOptions} from '../../train/options/presets.js';

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

export interface GivenFlags {
  readonly preset?: PresetName | undefined;
  readonly config?: string | undefined;
  readonly resume: boolean;
  readonly [name: string]: unknown;
}

const fromFlags = (flags: GivenFlags): Given =>
  new Map(
    Object.entries(flags).flatMap(([name, value]) =>
      isOptionName(name) && value !== undefined ? [[name, {value: String(value), from: `--${name}`}] as const] : [],
    ),
  );

/** More than any configuration has. */
const MAX_CONFIG_BYTES = 1 << 20;
const fromFile = (path: string): Given => readConfig(readText(fileSource(path), MAX_CONFIG_BYTES), path);

/** A run that goes on has its own configuration, which preset, file and flags may name again. `onNote`: told of words of older versions. */
export function trainOptions(flags: GivenFlags, onNote: (text: string) => void = () => {}): TrainOptions {
  const given: Given[] = [
    ...(flags.preset ? [presetOptions(flags.preset)] : []),
    ...(flags.config === undefined ? [] : [fromFile(flags.config)]),
    fromFlags(flags),
  ];
  const asked = resolveOptions(given);
  const saved = flags.resume ? savedOptions(asked.out) : undefined;
  const all = saved ? [saved, ...given] : given;
  for (const text of olderWords(all)) onNote(text);
  return saved ? resolveOptions(all) : asked;
}

/** Undefined where there is nothing to go on with. */
function savedOptions(out: string): Given | undefined {
  const path = join(out, 'config.yaml');
  const text = readTextIfAny(path, MAX_CONFIG_BYTES);
  return text === undefined ? undefined : readConfig(text, path);
}
