/** docs/security.md says which test holds what: the tests exist under these names. */
import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';

const root = join(__dirname, '../..');
const text = readFileSync(join(root, 'docs/security.md'), 'utf8');

interface Reference {
  file: string;
  name: string;
}

/** `file` "name", "name"; `file` "name" … */
function referencesIn(cell: string): Reference[] {
  return [...cell.matchAll(/`([\w./-]+\.ts)`((?:\s*,?\s*"[^"]+")+)/g)].flatMap(([, file, names]) =>
    [...names!.matchAll(/"([^"]+)"/g)].map(([, name]) => ({file: file!, name: name!})),
  );
}

const rows = [...text.matchAll(/^\| (P?\d+) \|(.*)\|$/gm)].map(([, row, rest]) => ({
  row: row!,
  references: referencesIn(rest!),
}));

test('every promise and every row of the list has a test', () => {
  const wanted = [...Array.from({length: 12}, (_, i) => `P${i + 1}`), ...Array.from({length: 34}, (_, i) => String(i + 1))];
  expect(rows.map(({row}) => row)).toEqual(wanted);
  expect(rows.filter(({references}) => references.length === 0).map(({row}) => row)).toEqual([]);
});

const goldens = /^13/; // named after the files of the goldens, which are not in the repository
test.each(rows.flatMap(({row, references}) => references.map((reference) => [row, reference.file, reference.name] as const)))(
  '%s: %s has "%s"',
  (_, file, name) => {
    expect(existsSync(join(root, file))).toBe(true);
    const source = readFileSync(join(root, file), 'utf8').replaceAll("\\'", "'");
    expect(source.includes(name) || goldens.test(name)).toBe(true);
  },
);
