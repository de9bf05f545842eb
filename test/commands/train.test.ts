/** `gpd train` from outside: configurations, refusals. What training computes is tested without the command. */
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {expectGolden} from '../golden.js';
import {writeSet} from '../train/sets.js';
import {inFolder, run} from './program.js';

test('--print-config prints a file that gives the same configuration', () =>
  inFolder(async (folder) => {
    const given = ['--preset', 'mobilenet-dkd', '--lr', '0.05', '--no-ema', '--data', 'images'];
    const first = await run(['train', ...given, '--print-config'], {cwd: folder});
    expect(first).toMatchObject({status: 0, stderr: ''});
    expect(first.stdout).toContain('\nlr: 0.05\n');
    expectGolden('train-print-config.txt', first.stdout);
    writeFileSync(join(folder, 'run.yaml'), first.stdout);
    expect((await run(['train', '--config', 'run.yaml', '--print-config'], {cwd: folder})).stdout).toBe(first.stdout);
    const json = JSON.parse((await run(['train', '--config', 'run.yaml', '--print-config', '--json'], {cwd: folder})).stdout);
    expect(json).toMatchObject({arch: 'mobilenet', lr: 0.05, ema: false, 'dkd-beta': 2, pretrained: null});
  }));

test('a word of older versions is read, and said', () =>
  inFolder(async (folder) => {
    const given = ['train', '--teacher', 'resnet34:a.pth', '--kd', 'both', '--print-config'];
    const {stdout, stderr} = await run(given, {cwd: folder});
    expect(stdout).toContain('\nkd: [reviewkd, dkd]\n');
    expect(stderr).toBe('note  --kd: kd both is read as kd reviewkd,dkd, as it is written now\n');
  }));

test.each([
  [['--arch', 'resnet19'], 2, 'Expected --arch=resnet19 to be one of'],
  [['--lr', 'fast'], 1, '--lr: lr fast: expected a number above 0'],
  [['--kd', 'dkd'], 1, 'kd dkd needs a static teacher'],
  [['--epochs', '1'], 1, 'no training images were named'],
  [['--data', 'nowhere', '--epochs', '1'], 1, 'nowhere'],
  [['--replay', '.'], 2, 'trace'],
])('%j is refused', async (args, status, message) => {
  await inFolder(async (folder) => {
    const outcome = await run(['train', ...args, '--backend', 'cpu'], {cwd: folder});
    expect({status: outcome.status, said: outcome.stderr.replaceAll(/\s+›?\s*/g, ' ')}).toMatchObject({
      status,
      said: expect.stringContaining(message),
    });
  });
});

test('a short run says what it does, and not what it does not', () =>
  inFolder(async (folder) => {
    writeSet(join(folder, 'set'), ['dark', 'light'], 4);
    writeFileSync(join(folder, 'set', 'dark', '001.ppm'), 'P6 8 8');
    const size = ['--arch', 'cifar-resnet20', '--ratio', '1', '--image-size', '8', '--batch-size', '4', '--epochs', '1'];
    const given = [...size, '--data', 'set', '--out', 'run', '--on-error', 'skip', '--no-convert', '--json'];
    const {status, stdout, stderr} = await run(['train', ...given], {cwd: folder});
    expect(stderr).not.toMatch(/converting|Infinity|NaN/);
    expect(stderr).toContain('learning rate 0.1 for 1 epoch\n');
    expect({status, ...JSON.parse(stdout)}).toMatchObject({
      ...{status: 0, complete: true, student: null, schedule: {line: 'learning rate 0.1 for 1 epoch', warnings: []}},
      unreadable: {count: 1, images: [{set: 'training', path: 'set/dark/001.ppm'}], list: 'run/unreadable.jsonl'},
    });
    const report = readFileSync(join(folder, 'run', 'report.html'), 'utf8');
    expect(report).toContain('Images that could not be read: 1');
    expect(readdirSync(join(folder, 'run'))).not.toContain('run.lock');
  }));
