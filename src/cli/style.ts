/** Colours of the terminal. `NO_COLOR` (https://no-color.org) and `FORCE_COLOR` decide first, then whether the stream is a terminal. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  warn(text: string): string;
  bad(text: string): string;
}

const sequences = {bold: [1, 22], dim: [2, 22], good: [32, 39], warn: [33, 39], bad: [31, 39]} as const;

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
