/** The recipes of CONTRIBUTING.md as files and edits: a block's first line has its language and the file it is for. */
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';

export interface Block {
  /** `ts`: a whole new file. `diff`: lines of one that is there. */
  readonly language: 'ts' | 'diff';
  readonly file: string;
  readonly text: string;
}
export interface Recipe {
  readonly title: string;
  readonly blocks: readonly Block[];
}

/** The sections below `## Recipes`, in order. */
export function recipesIn(document: string): Recipe[] {
  const [, recipes = ''] = document.split(/^## Recipes$/m);
  return recipes
    .split(/^### /m)
    .slice(1)
    .map((section) => ({
      title: section.slice(0, section.indexOf('\n')),
      blocks: [...section.matchAll(/^```(ts|diff) (\S+)\n(.*?)^```$/gms)].map(([, language, file, text]) => ({
        language: language as Block['language'],
        file: file!,
        text: text!,
      })),
    }));
}

const withoutMark = (lines: readonly string[]): string => lines.map((line) => `${line.slice(1)}\n`).join('');

/** A text with the hunks of a diff: what they have before must be there exactly once. Hunks are divided by lines of `@@`. */
export function patched(text: string, diff: string): string {
  return diff.split(/^@@.*\n/m).reduce((now, hunk) => {
    const lines = hunk.replace(/\n$/, '').split('\n');
    const before = withoutMark(lines.filter((line) => !line.startsWith('+')));
    const parts = `\n${now}`.split(`\n${before}`);
    if (parts.length !== 2) throw new Error(`found ${parts.length - 1} times instead of once:\n${before}`);
    return parts.join(`\n${withoutMark(lines.filter((line) => !line.startsWith('-')))}`).slice(1);
  }, text);
}

export function apply({language, file, text}: Block, root: string): void {
  const path = join(root, file);
  mkdirSync(dirname(path), {recursive: true});
  if (language === 'ts')
    writeFileSync(path, text, {flag: 'wx'}); // a new file: never in the place of another
  else writeFileSync(path, patched(readFileSync(path, 'utf8'), text));
}
