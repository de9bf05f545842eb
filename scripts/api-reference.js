// Writes the reference in docs/api.md from the declarations that the compiler makes of src/library: `npm run build && npm run docs`. With --check it only
// says what is stale, and which public name has no comment.
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {declarationFile, declarationOf, fence} from './declarations.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const PAGE = 'docs/api.md';
/** The files of the library in the order of the page; their first comments are its headings. */
const sections = {
  commands: 'What the commands do',
  reports: 'Options and results',
  checkpoints: 'Checkpoints',
  models: 'ONNX models',
  basics: 'Errors, bytes, tensors',
};

/** Every name that a file of the library exports, and the file that declares it. */
function namesOf(file) {
  const text = readFileSync(file, 'utf8');
  const own = [...text.matchAll(/^export (?:declare )?(?:function|interface|type|const|class) (\w+)/gm)];
  const passedOn = [...text.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)'/gm)];
  return [
    ...own.map(([, name]) => ({name, file})),
    ...passedOn.flatMap(([, names, from]) =>
      names.match(/\w+(?=\s*(?:,|$))/g).map((name) => ({name, file: declarationFile(file, from)})),
    ),
  ];
}

function entry(declared) {
  const {name, code, comment} = declarationOf(declared);
  const [text, example] = comment.split('@example');
  const shown = code.startsWith('const') ? [] : fence(code);
  return {
    name,
    documented: text.trim() !== '',
    lines: [`### ${name}`, '', text.trim(), '', ...shown, ...(example ? fence(example) : [])],
  };
}

const entriesOf = Object.entries(sections).map(([name, title]) => [
  title,
  namesOf(join(root, `dist/library/${name}.d.ts`)).map(entry),
]);
const names = entriesOf.flatMap(([title, entries]) => [`## ${title}`, '', ...entries.flatMap(({lines}) => lines)]).join('\n');

/** What stands before the mark is written by hand. */
const MARK = '<!-- from here on made by `npm run docs`; a test fails when it is stale -->';
const path = join(root, PAGE);
const old = readFileSync(path, 'utf8');
const page = `${old.slice(0, old.indexOf(MARK))}${MARK}\n\n${names}`;
if (process.argv.includes('--check')) {
  const silent = entriesOf.flatMap(([, entries]) => entries.filter(({documented}) => !documented).map(({name}) => name));
  if (silent.length > 0) console.log(`public names without a comment: ${silent.join(', ')}`);
  if (old !== page) console.log(`${PAGE} is stale: npm run build && npm run docs`);
  process.exitCode = silent.length > 0 ? 1 : 0;
} else writeFileSync(path, page);
