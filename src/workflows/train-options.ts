/** The configuration of a run from its layers: a preset, a file, what was given, and what a run that goes on was begun with. */
import {join} from 'node:path';
import {fileSource, readText, readTextIfAny} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {nearest} from '../core/nearest.js';
import type {OptionKind} from '../core/option-kinds.js';
import {type Given, isOptionName, olderWords, readConfig, resolveOptions} from '../train/options/config.js';

import {optionNames, options, type TrainOptions} from '../train/options/options.js';
import {type PresetName, presetOptions} from '../train/options/presets.js';

/** What a configuration is completed from, beside the options themselves. */
export interface TrainLayers {
  /** The settings of a published run. */
  readonly preset?: PresetName | undefined;
  /** A file of options, one a line; they win against the preset. */
  readonly config?: string | undefined;
  /** Go on with the run in the folder `out`, or begin it where there is none. Default false. */
  readonly resume?: boolean | undefined;
  /** Told of words of older versions. */
  readonly onNote?: ((text: string) => void) | undefined;
}

/** More than any configuration has. */
const MAX_CONFIG_BYTES = 1 << 20;
const fromFile = (path: string): Given => readConfig(readText(fileSource(path), MAX_CONFIG_BYTES), path);

/** What is given wins. A run that goes on has its own configuration, which the layers may name again. Throws CONFIG_INVALID. */
export function trainOptions(own: Given, {preset, config, resume, onNote}: TrainLayers = {}): TrainOptions {
  const given: Given[] = [...(preset ? [presetOptions(preset)] : []), ...(config === undefined ? [] : [fromFile(config)]), own];
  const asked = resolveOptions(given);
  const saved = resume ? savedOptions(asked.out) : undefined;
  const all = saved ? [saved, ...given] : given;
  for (const text of olderWords(all)) onNote?.(text);
  return saved ? resolveOptions(all) : asked;
}

/** Undefined where there is nothing to go on with. */
function savedOptions(out: string): Given | undefined {
  const path = join(out, 'config.yaml');
  const text = readTextIfAny(path, MAX_CONFIG_BYTES);
  return text === undefined ? undefined : readConfig(text, path);
}

/** Options as a program gives them: values, or the text that a flag would have. Throws CONFIG_INVALID for a name that is none. */
export function givenOptions(values: Partial<TrainOptions>): Given {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return new Map(
    given.map(([name, value]) => {
      if (!isOptionName(name)) throw unknownOption(name);
      return [name, {value: textOf(options[name].kind as OptionKind<unknown>, value), from: 'the options'}];
    }),
  );
}

/** Of a value of another type whatever text it has, which its option refuses. */
function textOf(kind: OptionKind<unknown>, value: unknown): string {
  if (typeof value === 'string') return value;
  try {
    return String(kind.format(value));
  } catch {
    return String(value);
  }
}

function unknownOption(name: string): GpdError {
  const near = nearest(name, optionNames);
  const hint = near ? `did you mean '${near}'?` : 'docs/training.md lists them';
  return new GpdError('CONFIG_INVALID', `there is no option '${name}' of training`, {hint});
}
