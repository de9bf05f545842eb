/** Names of classes from a file: one on each line, or a JSON array of strings. */
import {fileSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';

/** 22,000 classes of ImageNet-22k take 400 kB. */
const MAX_BYTES = 16 * 1024 * 1024;
const HINT = 'give one name on each line, or a JSON array of strings';

export function readLabels(path: string): string[] {
  const source = fileSource(path);
  try {
    if (source.size > MAX_BYTES)
      throw fail('LIMIT_EXCEEDED', path, `has ${source.size} bytes; label files have up to ${MAX_BYTES}`);
    const text = decode(source.read(0, source.size), path).replace(/^\ufeff/, '');
    return /^\s*[[{]/.test(text) ? fromJson(text, path) : fromLines(text, path);
  } finally {
    source.close();
  }
}

const fail = (code: 'FORMAT_UNKNOWN' | 'LIMIT_EXCEEDED', path: string, problem: string): GpdError =>
  new GpdError(code, `${path}: ${problem}`, {at: path, hint: HINT});

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', {fatal: true}).decode(bytes);
  } catch {
    throw fail('FORMAT_UNKNOWN', path, 'is not text in UTF-8');
  }
}

function fromJson(text: string, path: string): string[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fail('FORMAT_UNKNOWN', path, `is not valid JSON: ${(error as Error).message}`);
  }
  if (!Array.isArray(value) || !value.every((label) => typeof label === 'string'))
    throw fail('FORMAT_UNKNOWN', path, 'is JSON, but not an array of strings');
  return value;
}

function fromLines(text: string, path: string): string[] {
  const lines = text
    .trimEnd()
    .split(/\r?\n/)
    .map((line) => line.trim());
  const empty = lines.indexOf('');
  if (empty >= 0) throw fail('FORMAT_UNKNOWN', path, `line ${empty + 1} is empty`);
  return lines;
}
