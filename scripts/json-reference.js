// Writes docs/json.md from the declarations that the compiler makes of the commands' results: `npm run build && npm run docs`. With --check
// it only says whether the page is stale.
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import {declarationFile, declarationOf, fence} from './declarations.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const PAGE = 'docs/json.md';
/** What each command prints with --json: the type, and the file that declares it. */
const results = {
  'gpd inspect': ['FileSummary', 'workflows/inspect'],
  'gpd convert': ['ConversionSummary', 'workflows/summaries/conversion'],
  'gpd eval': ['Evaluation', 'eval/evaluation'],
  'gpd verify': ['VerificationResult', 'workflows/verify'],
  'gpd bench': ['BenchReport', 'workflows/bench'],
  'gpd export': ['ExportReport', 'workflows/export/export'],
  'gpd train': ['TrainSummary', 'workflows/train'],
  'gpd train --replay': ['ReplayReport', 'workflows/replay'],
};

/** Named in `Omit<…>` and `X['field']` only: what is made of them is printed, they are not. */
const unprinted = new Set(['Recognised', 'Outcome', 'Subject', 'FastCheck']);

const declares = (text, name) =>
  new RegExp(`^(export )?(declare )?(abstract )?(interface|type|class|const) ${name}\\b`, 'm').test(text);

/** The file that declares a name which `file` uses: itself, or one that it imports from or passes on. */
function sourceOf(name, file) {
  const text = readFileSync(file, 'utf8');
  if (declares(text, name)) return {name, file};
  for (const [, names, from] of text.matchAll(/^(?:import|export) (?:type )?\{([^}]*)\} from '(\.[^']+)'/gm)) {
    const found = names.split(',').find(
      (one) =>
        one
          .trim()
          .split(/\s+as\s+/)
          .at(-1)
          .replace(/^type /, '')
          .trim() === name,
    );
    if (!found) continue;
    return sourceOf(
      found
        .trim()
        .replace(/^type /, '')
        .split(/\s+as\s+/)[0]
        .trim(),
      declarationFile(file, from),
    );
  }
  return undefined;
}

/** Types named in a declaration, its comments and texts aside. */
const namesIn = (code) =>
  new Set(
    (
      code
        .replace(/\/\*[\s\S]*?\*\//g, '')
        .replace(/'[^']*'/g, '')
        .match(/\b[A-Z]\w+\b/g) ?? []
    ).filter((name) => !unprinted.has(name)),
  );

/** The declarations that a result is made of, itself first, each once on the page. */
function declarationsOf(name, file, seen) {
  const source = sourceOf(name, file);
  if (!source || seen.has(`${source.file} ${source.name}`)) return [];
  seen.add(`${source.file} ${source.name}`);
  const declared = declarationOf(source);
  if (/^(class|const|abstract)/.test(declared.code)) return [];
  const inside = [...namesIn(declared.code)].filter((one) => one !== source.name);
  return [declared, ...inside.flatMap((one) => declarationsOf(one, source.file, seen))];
}

const commented = ({comment, code}) => (comment ? `/** ${comment.replaceAll('\n', '\n * ')} */\n${code}` : code).trim();
const seen = new Set();
const sections = Object.entries(results).flatMap(([command, [name, module]]) => {
  const file = join(root, 'dist', `${module}.d.ts`);
  if (!existsSync(file)) throw new Error(`${relative(root, file)} is not there: npm run build`);
  const declared = declarationsOf(name, file, seen);
  if (declared.length === 0) throw new Error(`${module} does not declare ${name}`);
  return [`## ${command}`, '', `\`${name}\`:`, '', ...fence(declared.map(commented).join('\n\n'))];
});

/** What stands before the mark is written by hand. */
const MARK = '<!-- from here on made by `npm run docs`; a test fails when it is stale -->';
const path = join(root, PAGE);
const old = readFileSync(path, 'utf8');
const page = `${old.slice(0, old.indexOf(MARK))}${MARK}\n\n${sections.join('\n')}`;
if (process.argv.includes('--check')) {
  if (old !== page) console.log(`${PAGE} is stale: npm run build && npm run docs`);
  process.exitCode = old === page ? 0 : 1;
} else writeFileSync(path, page);
