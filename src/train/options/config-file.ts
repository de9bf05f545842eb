/**
 * Configuration files: the part of YAML that a list of options needs. A line is `name: value`; a value is a scalar, `[a, b]`, or
 * a list of `- a` on the following lines; `#` begins a comment. What else YAML has is refused with its line, not guessed at.
 * Values stay text: the option says what they mean (so `no` is never a boolean by accident).
 */
import {GpdError} from '../../core/error.js';
import {printableJson} from '../../core/printable.js';

export interface ConfigLine {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

const invalid = (file: string, line: number, problem: string) =>
  new GpdError('CONFIG_INVALID', `${file}:${line}: ${problem}`, {
    at: `${file}:${line}`,
    hint: 'write each option on a line of its own as `name: value`; gpd train --print-config shows a whole file',
  });

/** Up to a `#` that stands outside quotes and after a space. */
function withoutComment(text: string): string {
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== '') quote = c === quote ? '' : quote;
    else if ((c === '"' || c === "'") && (i === 0 || /[\s:[,]/.test(text[i - 1]!))) quote = c;
    else if (c === '#' && (i === 0 || /\s/.test(text[i - 1]!))) return text.slice(0, i);
  }
  return text;
}

function scalar(text: string, fail: (problem: string) => GpdError): string {
  const value = text.trim();
  if (/^'(?:[^']|'')*'$/.test(value)) return value.slice(1, -1).replaceAll("''", "'");
  if (value.startsWith('"')) {
    try {
      return String(JSON.parse(value));
    } catch {
      throw fail(`${value} is no quoted text`);
    }
  }
  if (/^[&*!|>{%@`]/.test(value)) throw fail(`'${value.slice(0, 20)}' is a kind of YAML that is not read here`);
  return value === '' || value === 'null' || value === '~' ? 'none' : value;
}

export function parseConfig(text: string, file: string): ConfigLine[] {
  const found: {name: string; value: string; line: number; items: string[]}[] = [];
  for (const [i, raw] of text.split(/\r?\n/).entries()) {
    const fail = (problem: string) => invalid(file, i + 1, problem);
    const line = withoutComment(raw).trimEnd();
    if (line === '' || line === '---') continue;
    const item = /^\s*-\s+(.*)$/.exec(line);
    const last = found.at(-1);
    if (item && last?.value === '') last.items.push(scalar(item[1]!, fail));
    else {
      const pair = /^([\w-]+):(?:\s+(.*))?$/.exec(line);
      if (!pair) throw fail(`'${line.trim().slice(0, 40)}' is not understood`);
      const [, name, value = ''] = pair as unknown as [string, string, string?];
      if (found.some((other) => other.name === name)) throw fail(`'${name}' occurs twice`);
      found.push({name, value: value === '' ? '' : scalar(value, fail), line: i + 1, items: []});
    }
  }
  return found.map(({name, value, line, items}) => ({
    name,
    line,
    value: value !== '' ? value : items.length > 0 ? `[${items.join(', ')}]` : 'none',
  }));
}

/** Quoted where it would be read as something else. */
export function formatScalar(value: string): string {
  const isPlain = /^[\w./:+-][\w./:+@, -]*$/.test(value) && !/(^|\s)#|: |^\s|\s$|^(null|~)$|^- /.test(value);
  return isPlain || /^\[.*\]$/.test(value) ? value : printableJson(value);
}
