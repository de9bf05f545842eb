/** Inputs that reached something new, kept between runs: one line of base64 each, in the order of their discovery. It only grows. */
import {appendFileSync, existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';

/** Larger ones stay out of the repository, however new. */
const MAX_STORED_BYTES = 600;

const fileOf = (folder: string, reader: string): string => join(folder, `${reader}.txt`);

export function loadCorpus(folder: string, reader: string): Uint8Array[] {
  const file = fileOf(folder, reader);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => new Uint8Array(Buffer.from(line, 'base64')));
}

/** Gives how many were added. */
export function growCorpus(folder: string, reader: string, inputs: readonly Uint8Array[], most: number): number {
  const stored = new Set(loadCorpus(folder, reader).map((bytes) => Buffer.from(bytes).toString('base64')));
  const lines = inputs
    .filter(({length}) => length <= MAX_STORED_BYTES)
    .map((bytes) => Buffer.from(bytes).toString('base64'))
    .filter((line) => !stored.has(line))
    .slice(0, Math.max(0, most - stored.size));
  if (lines.length > 0) appendFileSync(fileOf(folder, reader), `${lines.join('\n')}\n`);
  return lines.length;
}
