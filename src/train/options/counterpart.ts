/** An option of the programs that GPD was published with, and what stands for it here. */
import {type OptionName, options} from './options.js';
import {droppedOptions} from './original-options.js';

/** The option of `gpd train` that does the same, or why there is none. */
export type Counterpart = {readonly option: OptionName; readonly description: string} | {readonly why: string};

const namesIn = (text: string | undefined): readonly string[] => text?.match(/--[\w-]+/g) ?? [];

/** `--net_version` → `--arch`. Undefined for what is no option of the original. */
export function counterpartOf(flag: string): Counterpart | undefined {
  for (const [name, {cnn, rvt, describe}] of Object.entries(options) as [
    OptionName,
    {cnn?: string; rvt?: string; describe: string},
  ][])
    if ([...namesIn(cnn), ...namesIn(rvt)].includes(flag)) return {option: name, description: describe};
  const dropped = Object.entries(droppedOptions).find(([names]) => namesIn(names.replaceAll(/\(.*?\)/g, '')).includes(flag));
  return dropped && {why: dropped[1].why.replaceAll('`', '')};
}
