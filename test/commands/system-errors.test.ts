/** What the machine refuses: names that are too long, folders that are not there, full disks, too many open files. A code, never a stack. */
import {existsSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {systemError} from '../../src/core/system-error.js';
import {bytes} from '../checkpoint/assembler.js';
import {testWith} from '../optional.js';
import {fixture, inFolder, type Outcome, run} from './program.js';

const CHECKPOINT = fixture('cifar_resnet20_plain.pth');

function expectTyped({status, stderr}: Outcome, code: string): void {
  expect([status, /Code: (\w+)/.exec(stderr)?.[1]]).toEqual([1, code]);
  expect(stderr).toContain('Try this: ');
  expect(stderr).not.toMatch(/has a bug|\n {4}at /);
}

describe('names that no file can have', () => {
  const long = `${'x'.repeat(300)}.onnx`;
  const deep = `${'d/'.repeat(3000)}x.onnx`;
  test.each([
    ['convert', CHECKPOINT, '-o', long],
    ['convert', CHECKPOINT, '-o', deep],
    ['export', CHECKPOINT, '-o', long],
    ['export', CHECKPOINT, '-o', deep, '--format', 'web'],
  ])('as output: gpd %s %s %s %.20s', async (...args) => {
    await inFolder(async (cwd) => expectTyped(await run(args, {cwd}), 'OUTPUT_REFUSED'));
  });
  test.each([
    ['inspect', long],
    ['inspect', deep],
    ['verify', long, long],
    ['eval', CHECKPOINT, '-d', '.', '--labels', long],
  ])('as input: gpd %s %.20s', async (...args) => {
    await inFolder(async (cwd) => {
      const {status, stderr} = await run(args, {cwd});
      expect([status, stderr.includes('has a bug')]).toEqual([1, false]);
      expect(stderr).toMatch(/Code: (FILE_UNREADABLE|DATASET_INVALID)/);
    });
  });
});

test('the web form of a folder that does not exist: as every other form', async () => {
  await inFolder(async (cwd) => {
    for (const format of ['web', 'onnx'])
      expectTyped(await run(['export', CHECKPOINT, '-o', 'new/', '--format', format], {cwd}), 'OUTPUT_REFUSED');
    expect(existsSync(join(cwd, 'new'))).toBe(false);
  });
});

test('a .tar.gz where TMPDIR is missing, or is a file', async () => {
  await inFolder(async (cwd) => {
    writeFileSync(join(cwd, 'x.tar.gz'), bytes(0x1f, 0x8b, new Uint8Array(100)));
    writeFileSync(join(cwd, 'file'), '');
    for (const TMPDIR of [join(cwd, 'nowhere'), join(cwd, 'file')])
      expectTyped(
        await run(['eval', CHECKPOINT, '-d', 'x.tar.gz', '--image-size', '32'], {cwd, env: {TMPDIR}}),
        'OUTPUT_REFUSED',
      );
  });
});

testWith('/dev/full of Linux', 'standard output on a full disk, after success too', async () => {
  await inFolder(async (cwd) => {
    const full = ['bash', '-c', 'exec "$@" > /dev/full', '-'];
    const lines = [
      ['inspect', CHECKPOINT],
      ['inspect', CHECKPOINT, '--json'],
      ['--help'],
      ['--version'],
      ['convert', '--list-allowed'],
    ];
    for (const line of lines) expectTyped(await run(line, {cwd, through: full}), 'OUTPUT_REFUSED');
    expectTyped(await run(['convert', CHECKPOINT, '-o', 'x.onnx'], {cwd, through: full}), 'OUTPUT_REFUSED');
    expect(existsSync(join(cwd, 'x.onnx'))).toBe(true); // what was written stays
  });
});

const limited = (files: number) => ['bash', '-c', `ulimit -n ${files}; exec "$@"`, '-'];

/** The least with which Node.js itself starts the program: its newer versions keep more files open for themselves. */
async function leastFiles(): Promise<number> {
  for (let files = 16; ; files++) if ((await run(['--version'], {through: limited(files)})).status === 0) return files;
}

testWith(
  '/dev/full of Linux',
  'too many open files, from the first module on',
  async () => {
    await inFolder(async (cwd) => {
      const least = await leastFiles();
      for (const limit of [0, 1, 2, 3, 5, 7, 9, 11, 14].map((more) => least + more)) {
        const through = limited(limit);
        const {status, stderr} = await run(['convert', CHECKPOINT, '-o', 'x.onnx', '--force'], {cwd, through});
        expect([limit, status, stderr.includes('EMFILE')]).toEqual([limit, status === 0 ? 0 : 1, status !== 0]);
        expect(stderr).not.toMatch(/has a bug|\n {4}at /);
      }
    });
  },
  60_000,
);

test('an error of a system call is one of ours; every other error stays a bug', () => {
  const of = (code: string, syscall: string) => systemError(Object.assign(new Error(code), {code, syscall, path: '/x'}));
  expect(of('ENAMETOOLONG', 'stat')).toMatchObject({code: 'FILE_UNREADABLE', at: '/x'});
  expect(of('ENOENT', 'mkdir')?.code).toBe('OUTPUT_REFUSED');
  expect(of('ENOSPC', 'write')?.code).toBe('OUTPUT_REFUSED');
  expect(of('EMFILE', 'open')?.hint).toMatch('ulimit -n');
  expect([of('ERR_ASSERTION', 'open'), systemError(new TypeError('x')), systemError('x')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
