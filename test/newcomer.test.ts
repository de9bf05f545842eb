/** A newcomer's trial: what CONTRIBUTING.md shows is done to a copy of the sources, as it stands there, and works. */
import {execFileSync} from 'node:child_process';
import {cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {apply, patched, recipesIn} from './recipes.js';

const root = join(__dirname, '..');
const document = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
const recipes = recipesIn(document);
const blocks = recipes.flatMap((recipe) => recipe.blocks);
const newTests = blocks.map(({file}) => file).filter((file) => file.endsWith('.test.ts'));

/** Fails with what the program printed. */
function runIn(folder: string, program: string, ...args: string[]): void {
  const {NODE_OPTIONS: _, ...env} = process.env;
  try {
    execFileSync(process.execPath, [join('node_modules', program), ...args], {cwd: folder, env, stdio: 'pipe'});
  } catch (error) {
    const {stdout, stderr} = error as {stdout: Buffer; stderr: Buffer};
    throw new Error(`${program} ${args.join(' ')}\n${stdout}${stderr}`);
  }
}

function copyOfSources(): string {
  const copy = mkdtempSync(join(tmpdir(), 'gpd-newcomer-'));
  const names = ['src', 'test', 'fixtures', 'bench', 'scripts', 'bin', 'package.json', 'jest.config.js', 'biome.json'];
  for (const name of [...names, 'tsconfig.json', 'tsconfig.build.json'])
    cpSync(join(root, name), join(copy, name), {recursive: true});
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction');
  return copy;
}

test('a family, a rule, a kernel, a loss, a target, a format and a command: each has its files, a line and a test', () => {
  const [family, rule, kernel, loss, target, format, command] = recipes.map(({title, blocks: own}) => ({
    title,
    kinds: own.map(({language, file}) => `${language} ${file.split('/')[0]}`),
  }));
  const fileAndLine = ['ts src', 'diff src', 'ts test'];
  for (const recipe of [family, rule, kernel, loss]) expect(recipe).toEqual({title: expect.any(String), kinds: fileAndLine});
  for (const recipe of [target, format]) expect(recipe).toEqual({title: expect.any(String), kinds: ['diff src', 'ts test']});
  expect(command).toEqual({title: 'A command', kinds: ['ts src', 'ts test']});
});

test('everything that it shows compiles, keeps the house rules, and passes its tests', () => {
  const copy = copyOfSources();
  try {
    for (const block of blocks) apply(block, copy);
    const trial = {extends: './tsconfig.json', include: ['src', ...newTests]};
    writeFileSync(join(copy, 'tsconfig.trial.json'), JSON.stringify(trial));
    runIn(copy, 'typescript/bin/tsc', '-p', 'tsconfig.trial.json');
    runIn(
      copy,
      '@biomejs/biome/bin/biome',
      'check',
      '--vcs-enabled=false',
      '--error-on-warnings',
      ...blocks.map(({file}) => file),
    );
    const tables = ['test/models/archs.test.ts', 'test/models/families.test.ts', 'test/architecture.test.ts'];
    runIn(copy, 'jest/bin/jest.js', '-w', '1', '--runTestsByPath', ...newTests, ...tables);
  } finally {
    rmSync(copy, {recursive: true, force: true});
  }
});

test('every file that it names is there, or is made by it', () => {
  const made = new Set(blocks.map(({file}) => file));
  const named = [...document.matchAll(/`((?:src|test|docs|fixtures|scripts)\/[\w./-]*)`/g)].map(([, file]) => file!);
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((file) => !made.has(file) && !existsSync(join(root, file)))).toEqual([]);
});

test('an edit whose lines are not there, or twice, is refused', () => {
  expect(patched('a\nb\nc\n', ' a\n+x\n@@\n-c\n+d\n')).toBe('a\nx\nb\nd\n');
  expect(() => patched('a\nb\n', ' c\n+x\n')).toThrow('0 times');
  expect(() => patched('a\nb\na\n', ' a\n+x\n')).toThrow('2 times');
});
