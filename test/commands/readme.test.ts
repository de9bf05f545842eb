/** What README.md shows is what the program prints: every example whose files are in this repository is run. */
import {cpSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {inFolder, run} from './program.js';

const root = join(__dirname, '../..');
const text = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, body]) => ({language: language!, body: body!}));

/** A command and the lines that it is shown to print, those of one block or of the block behind a shell's. */
interface Example {
  readonly args: readonly string[];
  readonly shown: string;
}
const argsOf = (command: string) => command.trim().split(/\s+/);
const inSession = blocks.flatMap(({body}) =>
  body
    .split(/^(?=\$ gpd )/m)
    .filter((part) => part.startsWith('$ gpd '))
    .map((part): Example => {
      const [command = '', ...lines] = part.split('\n');
      return {args: argsOf(command.slice('$ gpd '.length)), shown: lines.join('\n')};
    }),
);
const first = blocks.findIndex(({language, body}) => language === 'sh' && body.includes('bin/gpd.js'));
const examples = [
  {args: argsOf(blocks[first]!.body.split('bin/gpd.js')[1]!), shown: blocks[first + 1]!.body},
  ...inSession.filter(({args}) => args.some((arg) => arg.startsWith('fixtures/') || arg === 'student.onnx')),
];

/** Lines without what differs by machine: times, memory, the last digits of rounding. An ellipsis stands for any lines. */
const comparable = (output: string): string[] =>
  output
    .replace(/^[\d.]+ m?s for (?:.+\n)+/m, '')
    .replace(/\d\.\de-\d+/g, '#')
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');

function expectShown(shown: string, printed: string): void {
  const lines = comparable(printed);
  for (const part of comparable(shown)
    .join('\n')
    .split(/\n? *…(?:\n|$)/)) {
    const wanted = part.split('\n').filter((line) => line !== '');
    expect(lines).toEqual(expect.arrayContaining(wanted));
    const at = lines.indexOf(wanted[0] ?? lines[0]!);
    expect(lines.slice(at, at + wanted.length)).toEqual(wanted);
  }
}

test('the examples that can be run here print what is shown', async () => {
  expect(examples).toHaveLength(4);
  await inFolder(async (cwd) => {
    cpSync(join(root, 'fixtures/checkpoints'), join(cwd, 'fixtures/checkpoints'), {recursive: true});
    for (const {args, shown} of examples) {
      const {stdout, stderr} = await run(args, {cwd});
      expectShown(shown, stdout + stderr);
    }
  });
});

test('what is shown and not printed is seen', () => {
  expectShown('a\n  …\nc\n', 'a\nb\nc\nd\n');
  expect(() => expectShown('a\nc\n', 'a\nb\nc\n')).toThrow();
  expect(() => expectShown('a\n  …\nx\n', 'a\nb\nc\n')).toThrow();
});
