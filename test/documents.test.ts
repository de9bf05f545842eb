/** The documents speak of what is there: files, exported names, links, rooms and dependencies. */
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';

const root = join(__dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const documents = ['README.md', 'CONTRIBUTING.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter(
  (path) => path.endsWith('.md'),
);

/** `src/file.ts`: `name`, `name`: entry points as architecture.md and tfjs-internals.md write them. */
function entryPoints(text: string): [file: string, name: string][] {
  return [...text.matchAll(/`(src\/[\w./-]+\.ts)`:((?:,?\s`\w+`)+)/g)].flatMap(([, file, names]) =>
    [...names!.matchAll(/`(\w+)`/g)].map(([, name]): [string, string] => [file!, name!]),
  );
}

function isExported(file: string, name: string): boolean {
  if (!existsSync(join(root, file))) return false;
  return new RegExp(`^export (?:async |abstract )*(?:function\\*?|const|class|interface|type) ${name}\\b`, 'm').test(
    read(file),
  );
}

test.each([
  ['docs/architecture.md', 60],
  ['docs/tfjs-internals.md', 20],
] as const)('%s names files and functions that are there', (path, some) => {
  const named = entryPoints(read(path));
  expect(named.length).toBeGreaterThan(some);
  expect(named.filter(([file, name]) => !isExported(file, name))).toEqual([]);
});

test('a name that is not exported is seen', () => {
  const text = 'x (`src/core/error.ts`: `GpdError`, `nothing`) and `src/core/none.ts`:\n`x`';
  expect(entryPoints(text).map(([file, name]) => isExported(file, name))).toEqual([true, false, false]);
});

/** As GitHub makes them: lower case, without punctuation, hyphens for spaces. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
const anchorsIn = (text: string) =>
  [...text.replace(/^```.*?^```/gms, '').matchAll(/^#+ (.+)$/gm)].map(([, title]) => anchorOf(title!));

test.each(documents)('%s: the files in src/ that it names are there, and so is what it links to', (path) => {
  const text = read(path).replace(/^```.*?^```/gms, '');
  const files = [...text.matchAll(/`((?:src|test|bench|scripts|fixtures)\/[\w./-]+\.\w+)`/g)].map(([, file]) => file!);
  const recipes = [...read('CONTRIBUTING.md').matchAll(/^```ts (\S+)$/gm)].map(([, file]) => file!);
  expect(files.filter((file) => !recipes.includes(file) && !existsSync(join(root, file)))).toEqual([]);
  const links = [...text.matchAll(/\]\(([^)\s:]+)\)/g)].map(([, link]) => link!);
  const broken = links.filter((link) => {
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? path : join(dirname(path), file);
    return !existsSync(join(root, target)) || (anchor !== undefined && !anchorsIn(read(target)).includes(anchor));
  });
  expect(broken).toEqual([]);
});

test('every folder of src/ has its floor in architecture.md, every room of a large one its place', () => {
  const text = read('docs/architecture.md');
  const section = text.slice(text.indexOf('\n## Floors and rooms'), text.indexOf('\n## The life of a checkpoint'));
  const folders = readdirSync(join(root, 'src'), {withFileTypes: true}).filter((entry) => entry.isDirectory());
  expect(folders.map(({name}) => name).filter((name) => !section.includes(`\`${name}/\``))).toEqual([]);
  const order = read('test/architecture.test.ts').split('const OUTSIDE')[0]!;
  const floors = [...section.matchAll(/^\| (\d) \| (.+?) \|/gm)].map(([, , cell]) => cell!.replaceAll(/`(\w+)\/`/g, "'$1'"));
  expect(order.replace(/\s+/g, ' ')).toContain(
    `const floors = [ ${floors
      .toReversed()
      .map((floor) => `[${floor}],`)
      .join(' ')} ];`,
  );
  const large = [...section.matchAll(/^\| `(\w+)\/` \| ([^|]*(?:, itself|`, `)[^|]*) \|$/gm)];
  expect(large.length).toBe(order.match(/const rooms: .*?\n\};/s)![0].match(/^ {2}\w+: \[/gm)!.length);
  for (const [, folder, rooms] of large) {
    const named = rooms!.split(', ').map((room) => (room === 'itself' ? "''" : room.replaceAll('`', "'")));
    expect(order.replace(/\s+/g, ' ')).toContain(`${folder}: [${named.join(', ')}]`);
  }
});

test('every dependency has its reason in architecture.md, and nothing else is in the table', () => {
  const text = read('docs/architecture.md');
  const rows = [...text.slice(text.indexOf('\n## Dependencies')).matchAll(/^\| (.*`.*) \| (.+) \|$/gm)];
  const named = rows.flatMap(([, cell]) => [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!));
  const {dependencies, peerDependencies, devDependencies} = JSON.parse(read('package.json'));
  expect(named.sort()).toEqual([dependencies, peerDependencies, devDependencies].flatMap(Object.keys).sort());
});

test('the glossary says each word once', () => {
  const words = [...read('docs/glossary.md').matchAll(/^\| \*{0,2}(.+?)\*{0,2}(?:, .+?)? \| .+ \|$/gm)].map(
    ([, word]) => word!,
  );
  expect(words.length).toBeGreaterThan(40);
  expect(new Set(words).size).toBe(words.length);
});
