/** From what was given (a preset, a file, flags) to the whole configuration of a run: every option has a value, and they fit together. */
import {GpdError} from '../../core/error.js';
import {nearest} from '../../core/nearest.js';
import type {OptionKind} from '../../core/option-kinds.js';
import {archs, familyOf} from '../../models/families/index.js';
import {formatScalar, parseConfig} from './config-file.js';
import {describeSchedule} from './describe-schedule.js';
import {type DefaultsContext, type Group, type OptionName, optionNames, options, type TrainOptions} from './options.js';

/** Values as text, and where each was given, for messages. */
export type Given = ReadonlyMap<OptionName, {readonly value: string; readonly from: string}>;

const invalid = (problem: string, hint: string, at?: string) =>
  new GpdError('CONFIG_INVALID', problem, {hint, ...(at !== undefined && {at})});

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(options, name);
}

/** The options of a configuration file. */
export function readConfig(text: string, file: string): Given {
  return new Map(
    parseConfig(text, file).map(({name, value, line}) => {
      const from = `${file}:${line}`;
      if (isOptionName(name)) return [name, {value, from}];
      const near = nearest(name, optionNames);
      throw invalid(
        `${from}: there is no option '${name}'`,
        near ? `did you mean ${near}?` : 'gpd train --help lists them',
        from,
      );
    }),
  );
}

function parsed<T>(kind: OptionKind<T>, name: OptionName, {value, from}: {value: string; from: string}): T {
  try {
    return kind.parse(value);
  } catch (error) {
    throw invalid(`${from}: ${name} ${value}: ${(error as Error).message}`, `change ${name}`, from);
  }
}

/** What is given in words of older versions, and how it is written now: a line each. */
export const olderWords = (given: readonly Given[]): string[] =>
  given.flatMap((map) =>
    [...map].flatMap(([name, {value, from}]) => {
      const now = (options[name].kind as OptionKind<unknown>).now?.(value);
      return now === undefined ? [] : [`${from}: ${name} ${value} is read as ${name} ${now}, as it is written now`];
    }),
  );

/** Later ones win. Throws CONFIG_INVALID for a value that its option does not take, or options that contradict each other. */
export function resolveOptions(given: readonly Given[]): TrainOptions {
  const all: Given = new Map(given.flatMap((map) => [...map]));
  const lookup = <K extends OptionName>(name: K): TrainOptions[K] | undefined => {
    const found = all.get(name);
    return found && parsed(options[name].kind as OptionKind<TrainOptions[K]>, name, found);
  };
  const arch = lookup('arch') ?? 'resnet18';
  const family = familyOf(archs[arch].build()).training;
  const context: DefaultsContext = {
    arch,
    family,
    epochs: lookup('epochs') ?? options.epochs.fallback({arch, family, epochs: 0, imageSize: 0}),
    imageSize: lookup('image-size') ?? archs[arch].build().imageSize,
  };
  const values = optionNames.map((name) => [name, lookup(name) ?? options[name].fallback(context)]);
  const config = Object.fromEntries(withGivenNulls(values as [OptionName, unknown][], all)) as unknown as TrainOptions;
  checkFit(config);
  return config;
}

/** `none` says null, and overrides a default. */
const withGivenNulls = (values: [OptionName, unknown][], all: Given): [OptionName, unknown][] =>
  values.map(([name, value]) => {
    const found = all.get(name);
    return [name, found && (options[name].kind as OptionKind<unknown>).parse(found.value) === null ? null : value];
  });

/** `resnet34:FILE` in its parts. The path may have colons. */
export function staticTeacherOf({teacher}: TrainOptions): {arch: string; path: string} | undefined {
  const match = /^([\w-]+):(.+)$/.exec(teacher ?? '');
  return match ? {arch: match[1]!, path: match[2]!} : undefined;
}

/** Each with what to do. */
function checkFit(c: TrainOptions): void {
  const mixes = c.mixup > 0 || c.cutmix > 0 || c['cutmix-minmax'] !== null;
  const problems: [boolean, string, string][] = [
    [
      c.kd !== null && c.teacher === null,
      `kd ${formatOption('kd', c)} needs a static teacher`,
      'name it: --teacher resnet34:FILE',
    ],
    [c.teacher !== null && c.kd === null, 'the static teacher is given, but nothing is learnt from it', 'add --kd dkd'],
    [c.teacher !== null && !staticTeacherOf(c), `teacher ${c.teacher} does not say what it is`, 'write ARCH:FILE'],
    [c.pretrained !== null && c.initial !== null, 'pretrained and initial are two beginnings', 'leave one out'],
    [mixes && c['batch-size'] % 2 !== 0, `mixing pairs images, and ${c['batch-size']} is odd`, 'choose an even batch-size'],
    [mixes && !c['drop-last'], 'mixing pairs images, and the last batch may be odd', 'add --drop-last'],
    [c['rand-augment'] !== null && c['color-jitter'] > 0, 'RandAugment and color-jitter exclude each other', 'leave one out'],
    [c['crop-area'][0]! > c['crop-area'][1]!, 'crop-area begins above its end', 'give the least part first'],
    [
      new Set(c['lr-steps']).size < c['lr-steps'].length,
      `lr-steps [${c['lr-steps'].join(', ')}] name one moment twice`,
      'give each step once: the rate falls to a tenth at each',
    ],
    [
      c['cooldown-epochs'] >= c.epochs,
      `${c['cooldown-epochs']} epochs of cooling down leave none of ${c.epochs}`,
      'train longer',
    ],
  ];
  const problem = problems.find(([applies]) => applies);
  if (problem) throw invalid(problem[1], problem[2]);
}

const titles: Readonly<Record<Group, string>> = {
  network: 'what is trained',
  data: 'on what',
  augmentation: 'what training images go through',
  distillation: 'what is learnt from whom',
  optimisation: 'how',
  run: 'the run itself',
};

export const formatOption = (name: OptionName, config: TrainOptions): string =>
  (options[name].kind as OptionKind<unknown>).format(config[name]);

/** What a value comes to in this run, where it does not say so itself. */
const commentOn = (name: OptionName, config: TrainOptions): string =>
  name === 'lr-steps' && config.schedule === 'step' && config['lr-steps'].some((moment) => typeof moment === 'string')
    ? ` # ${describeSchedule(config).line}`
    : '';

/** The whole configuration as a file that gives the same run again. */
export function formatConfig(config: TrainOptions): string {
  const groups = Object.entries(titles) as [Group, string][];
  return groups
    .map(([group, title]) => {
      const names = optionNames.filter((name) => options[name].group === group);
      return `# ${title}\n${names.map((name) => lineOf(name, config)).join('')}`;
    })
    .join('\n');
}

const lineOf = (name: OptionName, config: TrainOptions): string =>
  `${name}: ${formatScalar(formatOption(name, config))}${commentOn(name, config)}\n`;

/** The options in which two configurations differ, of those that decide the numbers. */
export const decidingDifferences = (a: TrainOptions, b: TrainOptions): OptionName[] =>
  optionNames.filter((name) => options[name].decides && formatOption(name, a) !== formatOption(name, b));
