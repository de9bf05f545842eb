/** The built package as a program uses it: every function of a command, in a process of its own. */
import {execFile} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {exportFlags} from '../../src/cli/flags/export.js';
import {random} from '../../src/core/random.js';
import {encodePpm} from '../../src/data/ppm.js';
import {exportDefaults} from '../../src/workflows/export/options.js';
import {fixturePath} from '../cases.js';

const node = promisify(execFile);
const root = join(__dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'gpd-library-'));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

const CLASSES = 10;
const SIDE = 32;

/** Two images of noise in each class, for training and for validation. */
function writeImages(set: string): string {
  const {integer} = random('library');
  for (const split of ['train', 'val'])
    for (let c = 0; c < CLASSES; c++) {
      const own = join(set, split, `class${c}`);
      mkdirSync(own, {recursive: true});
      for (const name of ['0.ppm', '1.ppm']) {
        const data = new Uint8Array(3 * SIDE * SIDE).map(() => integer(256));
        writeFileSync(join(own, name), encodePpm({width: SIDE, height: SIDE, data}));
      }
    }
  return set;
}

test('each function does what its command does, says how far it is, and ends when it is told to', async () => {
  const set = writeImages(join(folder, 'set'));
  const out = join(folder, 'out');
  mkdirSync(out);
  const program = join(__dirname, 'programs/use.js');
  const args = [program, fixturePath('cifar_resnet20_r2_orepa.pth.tar'), out, set];
  const {stdout, stderr} = await node(process.execPath, args, {cwd: out, env: {...process.env, NODE_ENV: ''}});
  expect(stderr).toBe('');
  const {results, seen} = JSON.parse(stdout);
  expect(results).toEqual({
    relative: expect.any(Number),
    ...{convertAborted: 'AbortError', convertStopped: 'AbortError'},
    inspected: ['checkpoint', 'onnx'],
    evaluated: [
      ['teacher', 2 * CLASSES],
      ['student', 2 * CLASSES],
      ['onnx', 2 * CLASSES],
    ],
    ...{agreement: 100, evaluateAborted: false},
    ...{verified: [true, true], verifyAborted: false},
    ...{exported: [['fp16 onnx', true]], exportAborted: 'AbortError', gatesWithoutImages: 'EXPORT_REFUSED'},
    ...{benched: [1, true, true], benchAborted: false},
    quantised: true,
    ...{trainAborted: false, trained: [true, 1, true], misspelt: ['CONFIG_INVALID', "did you mean 'epochs'?"]},
  });
  expect(results.relative).toBeLessThan(1e-5);
  expect(seen.convert).toEqual(['open', 'recognise', 'run training form', 'rewrite and fold', 'write', 'prove', 'digest']);
  expect(seen.export).toContain('check fp16 onnx');
  for (const what of ['evaluate', 'verify', 'bench', 'train']) expect([what, seen[what] > 0]).toEqual([what, true]);
  expect(readdirSync(out).sort()).toEqual(['half.onnx', 'run', 'student.onnx']); // nothing of what was given up
  expect(existsSync(join(out, 'run/report.html'))).toBe(true);
}, 300_000);

test('importing the package loads no engine, no decoder and no TensorFlow.js', async () => {
  const text = `await import('gpd-toolkit');
    const loaded = Object.keys((await import('node:module')).createRequire(import.meta.url).cache);
    console.log(loaded.filter((path) => /onnxruntime|sharp|tensorflow/.test(path)).length);`;
  const {stdout} = await node(process.execPath, ['--input-type=module', '--eval', text], {cwd: root});
  expect(stdout.trim()).toBe('0');
});

test('a command and its function do the same where nothing is asked for', () => {
  const flags = exportFlags as unknown as Record<string, {default?: unknown}>;
  const pairs = {io: 'io', 'batch-norm': 'batchNorm', names: 'names', samples: 'calibrationSamples', rounds: 'rounds'} as const;
  for (const [flag, option] of Object.entries(pairs))
    expect([flag, exportDefaults[option]]).toEqual([flag, flags[flag]!.default]);
});

test('the example of the README runs', async () => {
  const {js} = /\*\*From JavaScript\*\*[\s\S]*?```js\n(?<js>[\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))!
    .groups!;
  expect(js!.trim().split('\n').length).toBeLessThanOrEqual(10);
  const set = writeImages(join(folder, 'readme'));
  const text = js!
    .replaceAll('resnet18_dkd_gpd.pth.tar', fixturePath('cifar_resnet20_r2_orepa.pth.tar'))
    .replace('imagenet/val', join(set, 'val'));
  const program = join(root, 'test/library/programs', `readme-${process.pid}.mjs`); // inside the package, so that its name resolves
  writeFileSync(program, text);
  try {
    const {stdout} = await node(process.execPath, [program], {cwd: folder});
    expect(stdout).toMatch(/^\d\S+\n\S+ \(student\) [\d.]+\nstudent.onnx [\d.]+\ntrue\n$/);
  } finally {
    rmSync(program);
  }
});
