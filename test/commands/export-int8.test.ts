/** int8 on the command line: what was calibrated with, what is on integers, and what was checked on what is said; a form that is none is not written. */
import {existsSync, mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import sharp from 'sharp';
import {random} from '../../src/core/random.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {reluSix, resized} from '../export/foreign.js';
import {inFolder, run} from './program.js';

const SIDE = 16;

/** PNGs of noise in one folder for each class; `same`: all of them equal. */
async function images(folder: string, classes: number, each: number, same = false): Promise<string> {
  const {integer} = random('export-int8');
  const grey = new Uint8Array(3 * SIDE * SIDE).fill(120);
  for (let c = 0; c < classes; c++) {
    mkdirSync(join(folder, 'images', `c${c}`), {recursive: true});
    for (let i = 0; i < each; i++) {
      const pixels = same ? grey : Uint8Array.from(grey, () => integer(256));
      await sharp(pixels, {raw: {width: SIDE, height: SIDE, channels: 3}})
        .png()
        .toFile(join(folder, 'images', `c${c}`, `${i}.png`));
    }
  }
  return 'images';
}

async function exported(folder: string, ...args: string[]) {
  writeFileSync(join(folder, 'net.onnx'), modelBytes(reluSix()));
  const recipe = ['--mean', '0.5,0.5,0.5', '--std', '0.25,0.25,0.25', '--resize', String(SIDE)];
  const {status, stdout} = await run(['export', 'net.onnx', ...recipe, '--rounds', '0', '-o', 'out.onnx', '--json', ...args], {
    cwd: folder,
  });
  return {status, report: JSON.parse(stdout)};
}

test('enough different images: no warning, and the check is on others than those of the calibration', () =>
  inFolder(async (folder) => {
    const path = await images(folder, 3, 24);
    const {status, report} = await exported(folder, '--precision', 'int8', '--calibrate', path, '--samples', '40');
    const [form] = report.forms;
    expect([status, form.written, form.warnings]).toEqual([0, true, []]);
    expect(form.check.inputs).toMatch(/^32 other images of/);
    expect(form.notes).toContain('100 % of the multiply-accumulates are on integers');
    expect(form.details.macs.share).toBe(1);
    const all = await exported(folder, '--precision', 'int8', '--calibrate', path, '-f');
    expect(all.report.forms[0].check.inputs).toContain('the calibration images themselves');
  }));

test.each([
  [1, 1, false, [/^calibrated on 1 image:/, /one class/]],
  [2, 20, true, [/^calibrated on 40 images, 39 of which equal another/]],
])('%i classes of %i images, equal: %s: warned of', (classes, each, same, warnings) =>
  inFolder(async (folder) => {
    const path = await images(folder, classes, each, same);
    const {report} = await exported(folder, '--precision', 'int8', '--calibrate', path);
    for (const warning of warnings)
      expect(report.forms[0].warnings).toEqual(expect.arrayContaining([expect.stringMatching(warning)]));
    expect(report.forms[0].check.inputs).toBe('32 random images');
  }),
);

test('an int8 form without a product on integers is not written, unless it is allowed', () =>
  inFolder(async (folder) => {
    const path = await images(folder, 2, 20);
    const model = parseModel(`graph float (%input: f32[N, 3, 16, 16]) -> (%y)
      %w = f32[8, 3, 3, 3] ~1
      %f = f32[10, 8] ~3
      %one = f32[] {1}
      %scaled = Mul(%w, %one)
      %c = Conv(%input, %scaled)
      %pool = GlobalAveragePool(%c)
      %flat = Flatten(%pool)
      %y = Gemm(%flat, %f) {transB = 1}`);
    writeFileSync(join(folder, 'float.onnx'), modelBytes(model));
    const args = [
      'export',
      'float.onnx',
      '--precision',
      'int8',
      '--calibrate',
      path,
      '--resize',
      '16',
      '--rounds',
      '0',
      '-o',
      'out.onnx',
    ];
    const refused = await run(args, {cwd: folder});
    expect([refused.status, existsSync(join(folder, 'out.onnx'))]).toEqual([1, false]);
    expect(refused.stdout.replace(/\s+/g, ' ')).toMatch(/FAILED .* are on integers, less than a third: .*--allow-float/);
    expect((await run([...args, '--allow-float'], {cwd: folder})).status).toBe(0);
  }));

test('images of another size are told the size that the network takes, and what to choose', () =>
  inFolder(async (folder) => {
    const path = await images(folder, 1, 1);
    writeFileSync(join(folder, 'net.onnx'), modelBytes(resized()));
    const args = [
      'export',
      'net.onnx',
      '--precision',
      'int8',
      '--calibrate',
      path,
      '--rounds',
      '0',
      '-o',
      'out.onnx',
      '--json',
    ];
    const {error} = JSON.parse((await run(args, {cwd: folder})).stdout);
    expect(error).toMatchObject({code: 'IMAGE_UNREADABLE', hint: expect.stringContaining('--recipe cnn')});
    expect(error.message).toContain('it is 16x16 where 24x24 is needed, and the recipe crops nothing');
  }));

test('a file in onnxruntime’s own format is called so by every command that does not read it', () =>
  inFolder(async (folder) => {
    writeFileSync(join(folder, 'net.onnx'), modelBytes(reluSix()));
    await run(['export', 'net.onnx', '--format', 'ort', '--rounds', '0', '-o', 'net.ort'], {cwd: folder});
    for (const args of [
      ['inspect', 'net.ort'],
      ['verify', 'net.ort', 'net.onnx'],
      ['bench', 'net.ort'],
    ]) {
      const {status, stderr} = await run(args, {cwd: folder});
      expect([args[0], status, stderr.replace(/[\s›]+/g, ' ')]).toEqual([
        args[0],
        1,
        expect.stringMatching(/in onnxruntime’s own format.*give the \.onnx file/),
      ]);
    }
    const {status, stderr} = await run(['export', 'net.onnx', '--format', 'ort', '--external-data', '-o', 'x.ort'], {
      cwd: folder,
    });
    expect([status, stderr]).toEqual([2, expect.stringContaining('--external-data needs --format onnx')]);
  }));

test('dynamic int8 has no ranges to speak of', () =>
  inFolder(async (folder) => {
    writeFileSync(join(folder, 'net.onnx'), modelBytes(reluSix()));
    const {stdout} = await run(['export', 'net.onnx', '--precision', 'int8-dynamic', '--rounds', '0', '-o', 'out.onnx'], {
      cwd: folder,
    });
    expect(stdout).toContain('scales measured while running');
    expect(stdout).not.toContain('ranges from');
  }));
