/** What a user or an attacker may hand to the program: a typed error, exit 1, nothing written, nothing executed. */
import {chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {obeysModes, testWith} from '../optional.js';
import {describeShared, shared} from '../shared.js';
import {fixture, inFolder, type Outcome, run} from './program.js';

const SMALL = fixture('cifar_resnet20_plain.pth');

function expectRefusal({status, stdout, stderr}: Outcome, code: string): void {
  expect({status, stdout}).toEqual({status: 1, stdout: ''});
  expect(stderr).toContain(`Code: ${code}`);
  expect(stderr).toContain('Try this: ');
  expect(stderr).not.toMatch(/^\s+at /m); // no stack
}

const goldens: Record<string, string> = {
  '13a2_truncated_legacy': 'CHECKPOINT_TRUNCATED',
  '13a_truncated': 'CHECKPOINT_TRUNCATED',
  '13b2_flipped_bit': 'CHECKPOINT_CORRUPT',
  '13b_corrupt_pickle': 'PICKLE_INVALID',
  '13c2_malicious_legacy': 'PICKLE_UNSUPPORTED',
  '13c3_malicious_extra': 'PICKLE_UNSUPPORTED',
  '13c4_malicious_plain_pickle': 'FORMAT_UNKNOWN',
  '13c_malicious_zip': 'PICKLE_UNSUPPORTED',
  '13d2_missing_tiny_stats': 'KEY_MISSING',
  '13d_missing_tensor': 'KEY_MISSING',
  '13e2_wrong_shape_conv': 'SHAPE_MISMATCH',
  '13e_wrong_shape': 'SHAPE_MISMATCH',
  '13f2_inf': 'WEIGHTS_NOT_FINITE',
  '13f_nan': 'WEIGHTS_NOT_FINITE',
  '13g_empty': 'FORMAT_UNKNOWN',
  '13h2_png': 'FORMAT_UNKNOWN',
  '13h_not_pytorch': 'FORMAT_UNKNOWN',
  '13i_zip_without_pickle': 'CHECKPOINT_CORRUPT',
  '13j_missing_storage': 'CHECKPOINT_CORRUPT',
  '13k_short_storage': 'CHECKPOINT_CORRUPT',
  '13l_other_model': 'ARCH_UNKNOWN',
  '13m_no_tensors': 'STATE_DICT_NOT_FOUND',
};

describeShared('goldens/convert/13a_truncated', 'bad checkpoints of the goldens', () => {
  test('every one has an expectation here', () => {
    const names = readdirSync(shared('goldens/convert')).filter((name) => name.startsWith('13'));
    expect(names.sort()).toEqual(Object.keys(goldens).sort());
  });

  test.each(Object.entries(goldens))('%s → %s', (name, code) =>
    inFolder(async (cwd) => {
      const file = shared('goldens/convert', name, 'checkpoint.pth.tar');
      expectRefusal(await run(['convert', file, '--ratio', '2', '--output', 'out.onnx'], {cwd}), code);
      expect(readdirSync(cwd)).toEqual([]); // neither a result, nor a temporary file, nor GPD_PWNED
    }),
  );

  test('inspect refuses what cannot be opened, and reports what only cannot be recognised', () =>
    inFolder(async (cwd) => {
      const file = (name: string) => shared('goldens/convert', name, 'checkpoint.pth.tar');
      expectRefusal(await run(['inspect', file('13c_malicious_zip')], {cwd}), 'PICKLE_UNSUPPORTED');
      const unknown = await run(['inspect', file('13l_other_model'), '--json'], {cwd});
      expect(unknown.status).toBe(0);
      expect(JSON.parse(unknown.stdout)).toMatchObject({network: null, problem: {code: 'ARCH_UNKNOWN'}});
      expect(readdirSync(cwd)).toEqual([]);
    }));

  test('as JSON: code, message, place, hint', async () => {
    const {status, stdout, stderr} = await run([
      'convert',
      shared('goldens/convert/13d_missing_tensor/checkpoint.pth.tar'),
      '--ratio',
      '2',
      '--json',
    ]);
    expect({status, stderr}).toEqual({status: 1, stderr: ''});
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'KEY_MISSING',
        message: expect.any(String),
        at: 'layer2.1.conv1.weight',
        hint: expect.any(String),
        data: {missing: ['layer2.1.conv1.weight']},
      },
    });
  });
});

describe('files and folders', () => {
  type Prepare = (folder: string) => void;
  const refusal =
    (code: string, args: readonly string[], prepare: Prepare, through: readonly string[] = []) =>
    () =>
      inFolder(async (cwd) => {
        copyFileSync(SMALL, join(cwd, 'net.th'));
        prepare(cwd);
        const before = readdirSync(cwd).sort();
        expectRefusal(await run(['convert', ...args], {cwd, through}), code);
        expect(readdirSync(cwd).sort()).toEqual(before);
        expect(readFileSync(join(cwd, 'net.th'))).toEqual(readFileSync(SMALL));
      });
  const refuses = (what: string, code: string, args: readonly string[], prepare: Prepare = () => {}) =>
    test(what, refusal(code, args, prepare));
  const refusesByMode = (what: string, code: string, args: readonly string[], prepare: Prepare) =>
    testWith('an account that obeys file modes', what, refusal(code, args, prepare, obeysModes));

  refuses('a missing file', 'FILE_UNREADABLE', ['missing.pth']);
  refuses('a folder', 'FILE_UNREADABLE', ['.']);
  refuses('an existing output', 'OUTPUT_REFUSED', ['net.th'], (folder) => writeFileSync(join(folder, 'net.onnx'), 'precious'));
  refuses('an output in a missing folder', 'OUTPUT_REFUSED', ['net.th', '--output', 'nowhere/net.onnx']);
  refuses('a missing output folder', 'OUTPUT_REFUSED', ['net.th', '--output', 'nowhere/']);
  refuses('the input as output', 'OUTPUT_REFUSED', ['net.th', '--output', 'net.th', '--force']);
  refuses('the input as output, through a link', 'OUTPUT_REFUSED', ['net.th', '--output', 'link.onnx', '--force'], (folder) =>
    symlinkSync('net.th', join(folder, 'link.onnx')),
  );
  refuses('a device as output', 'OUTPUT_REFUSED', ['net.th', '--output', '/dev/null', '--force']);
  refuses('too few labels', 'SHAPE_MISMATCH', ['net.th', '--labels', 'labels.txt'], (folder) =>
    writeFileSync(join(folder, 'labels.txt'), 'cat\ndog\n'),
  );
  refuses('labels that are not text', 'FORMAT_UNKNOWN', ['net.th', '--labels', 'net.th']);
  refuses('the wrong network', 'ARCH_AMBIGUOUS', ['net.th', '--arch', 'resnet50']);
  refuses('EMA weights that are not there', 'STATE_DICT_NOT_FOUND', ['net.th', '--ema']);

  refusesByMode('an unreadable file', 'FILE_UNREADABLE', ['secret.th'], (folder) => {
    writeFileSync(join(folder, 'secret.th'), '');
    chmodSync(join(folder, 'secret.th'), 0);
  });
  refusesByMode(
    'a folder that may not be written to',
    'OUTPUT_REFUSED',
    ['net.th', '--output', 'locked/net.onnx'],
    (folder) => {
      mkdirSync(join(folder, 'locked'), 0o555);
    },
  );

  test('--force replaces a file that exists', () =>
    inFolder(async (cwd) => {
      writeFileSync(join(cwd, 'net.onnx'), 'old');
      expect((await run(['convert', SMALL, '--output', 'net.onnx', '--force'], {cwd})).status).toBe(0);
      expect(readFileSync(join(cwd, 'net.onnx')).subarray(0, 3)).not.toEqual(Buffer.from('old'));
    }));
});
