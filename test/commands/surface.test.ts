/** The public surface: a change of a command or flag shows here, and in the documentation. */
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {exitCodes} from '../../src/cli/exit-codes.js';
import {expectGolden} from '../golden.js';
import {run} from './program.js';

const root = join(__dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

interface Flag {
  name: string;
  char?: string;
  type: string;
  multiple?: boolean;
  options?: string[];
  default?: unknown;
}
interface Command {
  id: string;
  args: Record<string, {name: string; required?: boolean}>;
  flags: Record<string, Flag>;
}
const commands: Command[] = Object.values(JSON.parse(read('oclif.manifest.json')).commands);

const describeFlag = ({name, char, type, multiple, options, default: fallback}: Flag): string =>
  [
    `  --${name}${char ? ` -${char}` : ''}`,
    type === 'boolean' ? '' : multiple ? ' values' : ' value',
    fallback === undefined || fallback === false ? '' : ` = ${fallback}`,
    options ? ` {${options.join(' ')}}` : '',
  ].join('');

test('commands, arguments and flags', () => {
  const lines = commands.flatMap(({id, args, flags}) => [
    [id, ...Object.values(args).map(({name, required}) => (required ? name : `[${name}]`))].join(' '),
    ...Object.values(flags).map(describeFlag).sort(),
  ]);
  expectGolden('commands.txt', `${lines.join('\n')}\n`);
});

test.each(['command-reference', 'api-reference', 'json-reference'])(
  'the documentation is what `npm run docs` writes: %s',
  (script) => {
    const {stdout, stderr} = spawnSync(process.execPath, [`scripts/${script}.js`, '--check'], {cwd: root, encoding: 'utf8'});
    expect([stdout, stderr]).toEqual(['', '']);
  },
);

test('help is written in fragments without a full stop', () => {
  const texts = commands.flatMap(({flags}) => Object.values(flags)) as (Flag & {description: string})[];
  expect(texts.filter(({description}) => !description || /\.$|^[A-Z][a-z]/.test(description)).map(({name}) => name)).toEqual(
    [],
  );
});

test('every exit code is documented', () => {
  const formats = read('docs/formats.md');
  for (const code of Object.values(exitCodes)) expect(formats).toMatch(new RegExp(`^\\| ${code} \\|`, 'm'));
});

test('help and version come from the manifest', async () => {
  const help = await run(['--help']);
  expect(help).toMatchObject({status: 0, stderr: ''});
  for (const {id} of commands) expect(help.stdout).toContain(`  ${id}  `);
  const {version} = JSON.parse(read('package.json'));
  for (const program of ['gpd', 'gpd-convert'] as const)
    expect((await run(['--version'], {program})).stdout).toContain(`/${version} `);
  expect((await run(['help', 'convert'])).stdout).toContain('$ gpd convert CHECKPOINT');
  expect((await run([], {program: 'gpd-convert'})).stdout).toContain('$ gpd convert CHECKPOINT');
});
