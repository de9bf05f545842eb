/** What goes wrong around a run: no half-written output, a message that says what happened, the documented exit code, and the next run works. */
import {copyFileSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {random} from '../../src/core/random.js';
import {fixture, inFolder} from '../commands/program.js';
import {testWith} from '../optional.js';
import {beforeFirstChange, countChanges, type Ended, gpd, killAt, readCount} from './disturbed.js';

const CHECKPOINT = fixture('cifar_resnet20_r2_orepa.pth.tar');
const convert = ['convert', CHECKPOINT, '--output', 'out.onnx'];
const visible = (folder: string): string[] => readdirSync(folder).filter((name) => !name.startsWith('.'));

let whole: Buffer;
let changes = 0;
beforeAll(() =>
  inFolder(async (cwd) => {
    const {code} = await gpd(convert, {cwd, before: countChanges(join(cwd, 'count'))});
    expect(code).toBe(0);
    whole = readFileSync(join(cwd, 'out.onnx'));
    changes = readCount(join(cwd, 'count'));
  }),
);

function expectRefusal({code, stdout, stderr}: Ended, error: string): void {
  expect({code, stdout, stderr}).toEqual({code: 1, stdout: '', stderr: expect.stringContaining(`Code: ${error}`)});
  expect(stderr).toContain('Try this: ');
}

/** After a fault: nothing visible but what was there, and the same command succeeds. */
async function expectRecovery(cwd: string, before: readonly string[]): Promise<void> {
  expect(visible(cwd)).toEqual([...before]);
  expect(await gpd([...convert, '--force'], {cwd})).toMatchObject({code: 0, stderr: ''});
  expect(readFileSync(join(cwd, 'out.onnx'))).toEqual(whole);
}

describe('kill -9 while a result is written', () => {
  const dice = random('kill -9');
  test.each(Array.from({length: 4}, () => dice.uniform()))('at %d of all changes on the disk', (part) =>
    inFolder(async (cwd) => {
      const {signal} = await gpd(convert, {cwd, before: killAt(Math.floor(part * changes))});
      expect(signal).toBe('SIGKILL');
      const found = visible(cwd);
      if (found.length > 0) expect(readFileSync(join(cwd, 'out.onnx'))).toEqual(whole); // the last changes come after the rename
      await expectRecovery(cwd, found);
    }),
  );

  test('an older file stays whole', () =>
    inFolder(async (cwd) => {
      writeFileSync(join(cwd, 'out.onnx'), 'older');
      await gpd([...convert, '--force'], {cwd, before: killAt(3)});
      expect(readFileSync(join(cwd, 'out.onnx'), 'utf8')).toBe('older');
    }));

  test('what was left behind goes after a day, what another process is writing stays', () =>
    inFolder(async (cwd) => {
      const {signal} = await gpd(convert, {cwd, before: killAt(3)});
      const [left] = readdirSync(cwd).filter((name) => name.endsWith('.tmp'));
      expect([signal, left]).toEqual(['SIGKILL', expect.stringMatching(/^\.gpd-/)]);
      const ofAnother = '.gpd-0123456789abcdef-0.tmp'; // its process touches it every ten minutes: see test/core/output.test.ts
      mkdirSync(join(cwd, ofAnother));
      const yesterday = Date.now() / 1000 - 2 * 24 * 3600;
      utimesSync(join(cwd, left!), yesterday, yesterday);
      expect((await gpd(convert, {cwd})).code).toBe(0);
      expect(
        readdirSync(cwd)
          .filter((name) => !name.startsWith('.before'))
          .sort(),
      ).toEqual([ofAnother, 'out.onnx']);
    }));

  const inNamespace = ['unshare', '-r', '--pid', '--fork', '--mount-proc', '--kill-child'];
  testWith('a process namespace', 'in a container, where the process id is the same each time', () =>
    inFolder(async (cwd) => {
      const {code, signal} = await gpd(convert, {cwd, before: killAt(3), through: inNamespace});
      expect(signal ?? code).not.toBe(0);
      expect(readdirSync(cwd).filter((name) => name.endsWith('.tmp'))).toHaveLength(1);
      expect(await gpd(convert, {cwd, through: inNamespace})).toMatchObject({code: 0, stderr: ''});
      expect(readFileSync(join(cwd, 'out.onnx'))).toEqual(whole);
    }),
  );
});

describe('a file that appears under the output’s name while it works', () => {
  const appears = beforeFirstChange(`fs.appendFileSync('out.onnx', 'precious')`);
  test('stays without --force', () =>
    inFolder(async (cwd) => {
      expectRefusal(await gpd(convert, {cwd, before: appears}), 'OUTPUT_REFUSED');
      expect(readFileSync(join(cwd, 'out.onnx'), 'utf8')).toBe('precious');
    }));
  test('is replaced with it', () =>
    inFolder(async (cwd) => {
      expect((await gpd([...convert, '--force'], {cwd, before: appears})).code).toBe(0);
      expect(readFileSync(join(cwd, 'out.onnx'))).toEqual(whole);
    }));
  test('two runs at once without --force: one result, and one refusal', () =>
    inFolder(async (cwd) => {
      const both = await Promise.all([gpd(convert, {cwd}), gpd(convert, {cwd})]);
      expect(both.map(({code}) => code).sort()).toEqual([0, 1]);
      expect(readdirSync(cwd)).toEqual(['out.onnx']);
    }));
});

describe('the input', () => {
  const during = (what: string, code: string, error: RegExp) =>
    test(what, () =>
      inFolder(async (cwd) => {
        copyFileSync(CHECKPOINT, join(cwd, 'net.pth.tar'));
        const ran = await gpd(['convert', 'net.pth.tar', '--output', 'out.onnx'], {cwd, before: beforeFirstChange(code)});
        expect(ran).toMatchObject({code: 1, stdout: '', stderr: expect.stringMatching(error)});
        await expectRecovery(cwd, ['net.pth.tar']);
      }),
    );
  during('cut while it is read', `fs.truncateSync('net.pth.tar', 1000)`, /Code: FILE_CHANGED/);
  during(
    'replaced while it is read',
    `fs.cpSync('net.pth.tar', 'new'); original.renameSync('new', 'net.pth.tar')`,
    /Code: FILE_CHANGED/,
  );
  during('longer while it is read', `fs.appendFileSync('net.pth.tar', 'x')`, /Code: FILE_CHANGED/);
  during(
    'numbers exchanged while it is read',
    `const fd = original.openSync('net.pth.tar', 'r+'); original.writeSync(fd, Buffer.alloc(64, 7), 0, 64, 100_000)`,
    /Code: (FILE_CHANGED|CHECKPOINT_CORRUPT)/,
  );
});

test('two runs on one output: the file is whole, and of one of them', () =>
  inFolder(async (cwd) => {
    const both = await Promise.all([gpd([...convert, '--force'], {cwd}), gpd([...convert, '--force'], {cwd})]);
    expect(both.map(({code}) => code)).toEqual([0, 0]);
    expect(readdirSync(cwd)).toEqual(['out.onnx']);
    expect(readFileSync(join(cwd, 'out.onnx'))).toEqual(whole);
  }));

describe('disks', () => {
  /** A disk of its own in a mount namespace of its own; gone with the shell. */
  const onDisk = (options: string, prepare: string): string[] => [
    'unshare',
    '-rm',
    'sh',
    '-c',
    `mount -t tmpfs -o ${options} tmpfs disk && ${prepare} && "$@"; status=$?; ls -A disk >&2; exit $status`,
    'sh',
  ];
  testWith('a mount namespace', 'full', () =>
    inFolder(async (cwd) => {
      mkdirSync(join(cwd, 'disk'));
      const args = ['convert', CHECKPOINT, '--output', 'disk/out.onnx'];
      const ran = await gpd(args, {cwd, through: onDisk('size=8k', 'true')});
      expectRefusal(ran, 'OUTPUT_REFUSED');
      expect(ran.stderr).toMatch(/ENOSPC/);
      expect(ran.stderr).toMatch(/free some space/);
      expect(ran.stderr.trimEnd()).toMatch(/another disk$/); // `ls` had nothing to add
      await expectRecovery(cwd, ['disk']);
    }),
  );

  testWith('a mount namespace', 'read-only', () =>
    inFolder(async (cwd) => {
      mkdirSync(join(cwd, 'disk'));
      const args = ['convert', CHECKPOINT, '--output', 'disk/out.onnx'];
      const ran = await gpd(args, {cwd, through: onDisk('size=1m', 'mount -o remount,ro disk')});
      expectRefusal(ran, 'OUTPUT_REFUSED');
      expect(ran.stderr).toMatch(/EROFS/);
    }),
  );
});

test('memory runs out: nothing is written, and the status is not 0', () =>
  inFolder(async (cwd) => {
    const {code, signal} = await gpd(convert, {cwd, node: ['--max-old-space-size=9', '--max-semi-space-size=1']});
    expect(signal ?? code).not.toBe(0); // V8 ends the process itself, with 134 or SIGABRT
    await expectRecovery(cwd, []);
  }));

test('closed stdin, no terminal, LANG=C, NO_COLOR: the same result', () =>
  inFolder(async (cwd) => {
    const {code, stdout} = await gpd(convert, {cwd, env: {LANG: 'C', LC_ALL: 'C', TERM: 'dumb'}});
    expect(code).toBe(0);
    expect(stdout).not.toContain('\u001b');
    expect(readFileSync(join(cwd, 'out.onnx'))).toEqual(whole);
  }));

test('paths with blanks, line breaks and other alphabets', () =>
  inFolder(async (cwd) => {
    const name = ' nét\n中 .pth.tar';
    copyFileSync(CHECKPOINT, join(cwd, name));
    const {code, stdout} = await gpd(['convert', name, '--json'], {cwd});
    expect(code).toBe(0);
    expect(JSON.parse(stdout).outputs[0].path).toBe(' nét\n中 .onnx');
    expect(visible(cwd).sort()).toEqual([name, ' nét\n中 .onnx'].sort());
  }));

test('a clock that is wrong changes nothing', () =>
  inFolder(async (cwd) => {
    const {code} = await gpd(convert, {cwd, before: 'Date.now = () => 0;'});
    expect(code).toBe(0);
    expect(readFileSync(join(cwd, 'out.onnx'))).toEqual(whole);
  }));
