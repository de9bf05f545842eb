/** `--memory-limit` of the commands that run models as they are found. */
import {CLIError} from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';
import {exitCodes} from '../exit-codes.js';

const UNITS: Readonly<Record<string, number>> = {'': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40};
/** A process that has read a small model has about half of it. */
const LEAST_BYTES = 256 * 2 ** 20;

/** `2G`, `512MiB`, `1.5GB`: powers of 1024, as memory is sold. `none`: no limit. */
export function parseBytes(text: string): number {
  if (text === 'none') return Number.POSITIVE_INFINITY;
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim()) ?? [];
  const bytes = Number(number) * UNITS[(unit ?? '').toUpperCase()]!;
  if (bytes >= LEAST_BYTES) return bytes;
  throw new CLIError(`--memory-limit: expected none, or 256M or more such as 8G, got '${text}'`, {exit: exitCodes.usage});
}

export const memoryFlags = {
  'memory-limit': Flags.custom<number>({
    description: 'memory that the models may take; default: 4 GiB and four times their weights, at most 3/4 of what there is',
    env: 'GPD_MEMORY_LIMIT',
    helpValue: 'BYTES',
    helpGroup: 'engine',
    parse: async (text) => parseBytes(text),
  })(),
};
