/** A wrong flag, value or argument: one sentence that says what was meant, instead of the whole help. */
import {CLIError} from '@oclif/core/errors';
import {nearest} from '../core/nearest.js';
import {exitCodes} from './exit-codes.js';

/** What is needed of a command to say how it is used. */
export interface UsedCommand {
  readonly id: string | undefined;
  readonly flags: Readonly<Record<string, {allowNo?: boolean}>>;
}

/** The errors of oclif's parser all point to the help. */
interface ParserError extends Error {
  /** Those that the command does not have. */
  readonly flags?: readonly string[];
}
const isParserError = (error: unknown): error is ParserError =>
  error instanceof CLIError && error.code !== 'EEXIT' && error.message.includes('See more help with --help');

const FRAMEWORK_NOTES = /\n+(See more help with --help|Note: [^\n]* allows? multiple values\.[^\n]*\nAlternatively,[^\n]*)/g;

/** Any other error is given back as it is. */
export async function usageError(error: unknown, command: UsedCommand): Promise<unknown> {
  if (!isParserError(error)) return error;
  const name = `gpd ${command.id}`;
  const unknown = error.flags;
  const problems = unknown
    ? await Promise.all(unknown.map((flag) => unknownFlag(flag.replace(/=.*$/s, ''), command)))
    : [inWords(error.message)];
  return new CLIError([...problems, `${name} --help lists its flags`].join('\n'), {exit: exitCodes.usage});
}

/** oclif's message without its notes, as a sentence about the flag. */
function inWords(message: string): string {
  const text = message
    .replace(FRAMEWORK_NOTES, '')
    .replace(/^The following errors? occurred:\n\s*/, '')
    .replace(/Missing required flag (\S+)/g, '--$1 is missing')
    .replace(
      /^Parsing (--[\w-]+)\s*\n\s*(Expected)?/,
      (_, flag: string, expected?: string) => `${flag}: ${expected ? 'expected' : ''}`,
    );
  return `${text}${meantValue(message)}`;
}

async function unknownFlag(flag: string, {id, flags}: UsedCommand): Promise<string> {
  const names = Object.entries(flags).flatMap(([name, {allowNo}]) => [name, ...(allowNo ? [`no-${name}`] : [])]);
  const problem = `gpd ${id} has no flag ${flag}`;
  const here = id === 'train' || flag.includes('_') ? await ofTheOriginal(flag) : undefined;
  if (here) return `${problem}. ${here}`;
  const near = nearest(flag.replace(/^--?/, '').replaceAll('_', '-'), names);
  return near ? `${problem}; did you mean --${near}?` : problem;
}

/** The flags of the programs that GPD was published with. */
async function ofTheOriginal(flag: string): Promise<string | undefined> {
  const {counterpartOf} = await import('../train/options/counterpart.js');
  const found = counterpartOf(flag);
  if (!found) return undefined;
  return 'option' in found
    ? `The original's ${flag} is --${found.option} of gpd train: ${found.description}`
    : `The original's ${flag}: ${found.why}`;
}

/** `Expected --precision=fp61 to be one of: fp32, …` */
function meantValue(message: string): string {
  const [, value, choices] = /^Expected --[\w-]+=(\S+) to be one of: ([^\n]+)/.exec(message) ?? [];
  const near = value === undefined ? undefined : nearest(value, choices!.split(', '));
  return near ? `; did you mean ${near}?` : '';
}
