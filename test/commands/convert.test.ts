/** `gpd convert` from outside: files, what a person reads, what a program reads, signals and pipes. */
import {execFile, spawn} from 'node:child_process';
import {copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {decodeModel} from '../../src/onnx/decode.js';
import {expectGolden} from '../golden.js';
import {bin, fixture, inFolder, run} from './program.js';

const GPD = fixture('cifar_resnet20_r2_orepa.pth.tar');
const PLAIN = fixture('cifar_resnet20_plain.pth');
const modelAt = (...path: string[]) => decodeModel(readFileSync(join(...path)));

/** Measured numbers differ from machine to machine. */
const masked = (text: string): string =>
  text
    .replace(/at most [\d.e-]+, [\d.e-]+ of the largest/, 'at most _, _ of the largest')
    .replace(/^[\d.]+ m?s for [\s\S]*$/m, '_ for _\n');

test('without flags: the student beside the user, and a summary', () =>
  inFolder(async (cwd) => {
    copyFileSync(GPD, join(cwd, 'net_dkd_gpd.pth.tar'));
    const {status, stdout, stderr} = await run(['net_dkd_gpd.pth.tar'], {cwd, program: 'gpd-convert'});
    expect({status, stderr}).toEqual({status: 0, stderr: ''});
    expect(readdirSync(cwd).sort()).toEqual(['net_dkd_gpd.onnx', 'net_dkd_gpd.pth.tar']);
    expectGolden('convert.txt', masked(stdout));
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(25);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  }));

test('the same as data: plain JSON, numbers as numbers, nothing else on stdout or stderr', () =>
  inFolder(async (cwd) => {
    const {status, stdout, stderr} = await run(['convert', GPD, '--output', 'a.onnx', '--json'], {cwd});
    expect({status, stderr}).toEqual({status: 0, stderr: ''});
    const summary = JSON.parse(stdout);
    expect(Object.keys(summary)).toEqual([
      'input',
      'network',
      'before',
      'weights',
      'without',
      'warnings',
      'timing',
      'peakBytes',
      'outputs',
    ]);
    expect(summary).toMatchObject({
      input: {
        path: GPD,
        bytes: 281558,
        sha256: expect.stringMatching(/^[\da-f]{64}$/),
        format: 'torch-zip',
        stateDictKey: 'state_dict',
      },
      network: {
        name: 'cifar-resnet20',
        kind: 'gpd',
        ratio: 2,
        classes: 10,
        imageSize: 32,
        tensors: {both: 263, student: 38, teacher: 38},
      },
      outputs: [{emit: 'student', path: 'a.onnx', nodes: 54, parameters: 2495, proof: {bound: 1e-4, top1Agreement: 1}}],
      warnings: [],
    });
    expect(summary.network.orepa).toHaveLength(17);
    expect(summary.outputs[0].proof.relative).toBeLessThan(1e-5);
    expect(summary.outputs[0].bytes).toBe(readFileSync(join(cwd, 'a.onnx')).length);
  }));

test('several forms and formats share a stem; one file is named as it is asked for', () =>
  inFolder(async (cwd) => {
    mkdirSync(join(cwd, 'models'));
    await run(['convert', '--all', '--output', 'models', GPD], {cwd});
    const stem = 'cifar_resnet20_r2_orepa';
    expect(readdirSync(join(cwd, 'models')).sort()).toEqual(
      ['.onnx', '.teacher.onnx', '.training-student.onnx', '.training-teacher.onnx'].map((suffix) => stem + suffix).sort(),
    );
    await run(['convert', '--format', 'onnx,pth,safetensors', '--emit', 'student,teacher', '--output', 'x.onnx', GPD], {cwd});
    await run(['convert', GPD, '--emit', 'teacher', '--output', 'only.bin'], {cwd});
    expect(readdirSync(cwd).sort()).toEqual([
      'models',
      'only.bin',
      'x.deployed.pth',
      'x.deployed.safetensors',
      'x.onnx',
      'x.teacher.onnx',
    ]);
  }));

test('what the flags of the model say is in the model', () =>
  inFolder(async (cwd) => {
    const labels = Array.from({length: 10}, (_, i) => `class ${i}`);
    writeFileSync(join(cwd, 'labels.json'), JSON.stringify(labels));
    const flags = [
      '--batch',
      '2',
      '--opset',
      '17',
      '--input-name',
      'image',
      '--output-name',
      'scores',
      '--labels',
      'labels.json',
    ];
    expect((await run(['convert', PLAIN, ...flags, '--output', 'a.onnx'], {cwd})).status).toBe(0);
    const model = modelAt(cwd, 'a.onnx');
    expect(model.opset).toBe(17);
    expect(model.graph.inputs.map(({name, shape}) => [name, shape])).toEqual([['image', [2, 3, 32, 32]]]);
    expect(model.graph.outputs.map(({name}) => name)).toEqual(['scores']);
    expect(JSON.parse(model.metadata.get('labels')!)).toEqual(labels);
  }));

test('the same checkpoint gives the same bytes, wherever it lies', () =>
  inFolder(async (cwd) => {
    copyFileSync(PLAIN, join(cwd, 'copy.th'));
    await Promise.all([
      run(['convert', PLAIN, '--output', 'a.onnx'], {cwd}),
      run(['convert', 'copy.th', '--output', 'b.onnx'], {cwd}),
    ]);
    expect(readFileSync(join(cwd, 'a.onnx'))).toEqual(readFileSync(join(cwd, 'b.onnx')));
  }));

test('the allow-list of the unpickler can be read', async () => {
  const {status, stdout} = await run(['convert', '--list-allowed', '--json']);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toContainEqual({module: 'collections', name: 'OrderedDict', becomes: expect.any(String)});
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s while it works leaves nothing behind', (signal) =>
  inFolder(async (cwd) => {
    // The signal comes when the first file is under construction, from the process itself: no race with a clock.
    const trap = join(cwd, '.trap.mjs');
    writeFileSync(
      trap,
      `import fs from 'node:fs'; import {syncBuiltinESMExports} from 'node:module';
      const {mkdirSync} = fs; fs.mkdirSync = (...a) => { mkdirSync(...a); process.kill(process.pid, '${signal}'); }; syncBuiltinESMExports();`,
    );
    const child = spawn(
      process.execPath,
      ['--import', pathToFileURL(trap).href, bin('gpd'), 'convert', GPD, '--all', '--output', './'],
      {cwd},
    );
    const status = await new Promise((resolve) => child.on('exit', resolve));
    expect(status).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(readdirSync(cwd)).toEqual(['.trap.mjs']);
  }),
);

test('a reader that goes away is no failure', () =>
  inFolder(async (cwd) => {
    const command = `"${process.execPath}" "${bin('gpd')}" inspect "${GPD}" --all | head -1; echo "\${PIPESTATUS[0]}"`;
    const {stdout, stderr} = await new Promise<{stdout: string; stderr: string}>((resolve) =>
      execFile('bash', ['-c', command], {cwd}, (_, out, err) => resolve({stdout: out, stderr: err})),
    );
    expect(stderr).toBe('');
    expect(stdout.trimEnd().split('\n')).toEqual([expect.stringContaining('cifar_resnet20_r2_orepa'), '0']);
  }));
