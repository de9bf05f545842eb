// Reads the declarations that the compiler writes beside the programs of dist/: for the references that `npm run docs` makes of them.
import {readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';

const readDeclarations = (file) => readFileSync(file, 'utf8').split('\n');
export const declarationFile = (from, name) => join(dirname(from), name.replace(/\.js$/, '.d.ts'));

/** The declaration of a name as the compiler writes it, and the comment before it. */
export function declarationOf({name, file}) {
  const lines = readDeclarations(file);
  const start = lines.findIndex((line) =>
    new RegExp(`^(export )?(declare )?(abstract )?(function|interface|type|const|class) ${name}\\b`).test(line),
  );
  if (start < 0) throw new Error(`${file} does not declare ${name}`);
  const isEnd = (line) => /^\S.*;$|^\}$/.test(line);
  const end = lines.findIndex((line, i) => i >= start && isEnd(line));
  const code = lines.slice(start, end + 1).join('\n');
  return {name, code: code.replace(/^(export )?(declare )?/, ''), comment: commentBefore(lines, start)};
}

/** Of a comment its text; '' where there is none. */
function commentBefore(lines, start) {
  if (!lines[start - 1]?.trimEnd().endsWith('*/')) return '';
  let first = start - 1;
  while (!lines[first].startsWith('/**')) first--;
  const inner = lines
    .slice(first, start)
    .join('\n')
    .replace(/^\/\*\*/, '')
    .replace(/\*\/$/, '');
  return inner.replace(/^ ?\* ?/gm, '').trim();
}

export const fence = (code) => ['```ts', code.trim(), '```', ''];
