/** Colours of the terminal. `NO_COLOR` (https://no-color.org) and `FORCE_COLOR` decide first, then whether the stream is a terminal. */
import {printableLines} from '../../core/printable.js';

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  warn(text: string): string;
  bad(text: string): string;
}

const sequences = {bold: [1, 22], dim: [2, 22], good: [32, 39], warn: [33, 39], bad: [31, 39]} as const;

/** The sequences that `styleFor` writes. */
const OWN_SEQUENCE = new RegExp(`(\\x1b\\[(?:${Object.values(sequences).flat().join('|')})m)`);

/**
 * Lines as they may go to a terminal: what is neither text nor one of our own colours is escaped. The last gate behind renderers, which
 * escape each name where they show it.
 */
export const safeLines = (text: string, color: boolean): string =>
  color
    ? text
        .split(OWN_SEQUENCE)
        .map((part, i) => (i % 2 === 1 ? part : printableLines(part)))
        .join('')
    : printableLines(text);

export function wantsColor(stream: {isTTY?: boolean | undefined}, env: NodeJS.ProcessEnv = process.env): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR'] !== undefined) return env['FORCE_COLOR'] !== '0' && env['FORCE_COLOR'] !== 'false';
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

export function styleFor(stream: {isTTY?: boolean | undefined}, env?: NodeJS.ProcessEnv): Style {
  const color = wantsColor(stream, env);
  const paint =
    ([on, off]: readonly [number, number]) =>
    (text: string) =>
      color && text !== '' ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return {
    bold: paint(sequences.bold),
    dim: paint(sequences.dim),
    good: paint(sequences.good),
    warn: paint(sequences.warn),
    bad: paint(sequences.bad),
  };
}
