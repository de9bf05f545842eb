/** `gpd export` as a user calls it: forms appear that hold what was asked of them, others do not, and the exit status says so. */
import {existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import sharp from 'sharp';
import {random} from '../../src/core/random.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {fixtureNamed} from '../cases.js';
import {fixture, inFolder, run} from './program.js';

const FILE = 'cifar_resnet20_r2_orepa.pth.tar';
const {flags} = fixtureNamed(FILE);
const network = Object.entries({ratio: flags.ratio, 'image-size': flags.imageSize}).flatMap(([name, value]) =>
  value === undefined ? [] : [`--${name}`, String(value)],
);
const exported = (folder: string, ...args: string[]) =>
  run(['export', fixture(FILE), ...network, '--rounds', '0', ...args], {cwd: folder});

async function writeImages(folder: string, classes: number, side: number): Promise<string> {
  const {integer} = random('images');
  for (let c = 0; c < classes; c++) {
    const own = join(folder, 'images', `class${c}`);
    mkdirSync(own, {recursive: true});
    for (let i = 0; i < 4; i++) {
      const pixels = Uint8Array.from({length: 3 * side * side}, () => integer(256));
      await sharp(pixels, {raw: {width: side, height: side, channels: 3}})
        .png()
        .toFile(join(own, `${i}.png`));
    }
  }
  return join(folder, 'images');
}

test('a checkpoint in several forms, evaluated, with a report; the JSON has what the table shows', () =>
  inFolder(async (folder) => {
    const probe = await exported(folder, '-o', 'probe.onnx', '--json');
    expect(probe.status).toBe(0);
    const {graph} = decodeModel(readFileSync(join(folder, 'probe.onnx')));
    const [classes, side] = [Number(graph.outputs[0]!.dims[1]), Number(graph.inputs[0]!.dims[2])];
    const images = await writeImages(folder, classes, side);
    const args = [
      '--precision',
      'fp32,fp16,int8',
      '--format',
      'onnx,ort,safetensors',
      '--embed-preprocessing',
      '--calibrate',
      images,
    ];
    const {status, stdout, stderr} = await exported(
      folder,
      ...args,
      '-d',
      images,
      '--report',
      'report.html',
      '-o',
      'out.onnx',
      '--json',
    );
    expect([status, stderr]).toEqual([0, '']);
    const report = JSON.parse(stdout);
    const names = [
      'fp32 onnx',
      'fp32 ort',
      'fp32 safetensors',
      'fp16 onnx',
      'fp16 ort',
      'fp16 safetensors',
      'int8 onnx',
      'int8 ort',
    ];
    expect(report.forms.map((f: {name: string}) => f.name)).toEqual(names);
    for (const form of report.forms) {
      expect([form.name, form.written, form.check.ok, existsSync(join(folder, form.path))]).toEqual([
        form.name,
        true,
        true,
        true,
      ]);
      if (!form.name.includes('safetensors')) expect(form.agreement).toBeGreaterThan(0);
    }
    const [first] = report.forms;
    expect(first.check).toMatchObject({inputs: '6 random photographs', sameTop1: 6});
    expect(first.check.relative).toBeLessThan(1e-5);
    expect(first.agreement).toBe(100);
    expect(report.forms[3].bytes).toBeLessThan(first.bytes);
    expect(readFileSync(join(folder, 'report.html'), 'utf8')).toContain('fp16 ort');
    expect(readdirSync(folder).filter((name) => name.startsWith('.gpd'))).toEqual([]);
  }));

test('a form whose gate does not hold is reported and not written; the others are', () =>
  inFolder(async (folder) => {
    await exported(folder, '-o', 'probe.onnx');
    const {graph} = decodeModel(readFileSync(join(folder, 'probe.onnx')));
    const images = await writeImages(folder, Number(graph.outputs[0]!.dims[1]), Number(graph.inputs[0]!.dims[2]));
    const {status, stdout} = await exported(folder, '-d', images, '--min-top1', '99.5', '-o', 'gated.onnx');
    expect(status).toBe(1);
    expect(stdout).toContain('not written  gated.onnx');
    expect(existsSync(join(folder, 'gated.onnx'))).toBe(false);
  }));

test.each([
  [['--min-top1', '70'], 2, 'gates need images'],
  [['--resizer', 'matrices'], 2, '--resizer needs'],
  [['--batch', '0'], 2, "'dynamic'"],
  [['--precision', 'int8'], 1, '--calibrate'],
  [['--precision', 'int8', '--format', 'pth'], 1, 'fp32 and fp16'],
  [['--target', 'tensorrt', '--embed-preprocessing'], 1, 'antialiased'],
  [['--top-k', '5000'], 1, 'ask for at most'],
  [['-o', 'nowhere/x.onnx'], 1, 'nowhere'],
  [['-o', 'nowhere/x', '--format', 'web'], 1, 'the folder nowhere does not exist'],
])('%j: status %i, and what to do', (args, status, text) =>
  inFolder(async (folder) => {
    const result = await exported(folder, ...args);
    expect([result.status, result.stderr]).toEqual([status, expect.stringContaining(text)]);
    expect(readdirSync(folder)).toEqual([]);
  }),
);

test('what exists is not replaced without being asked; a folder of the web form neither', () =>
  inFolder(async (folder) => {
    writeFileSync(join(folder, 'there.onnx'), 'precious');
    const web = join(folder, 'out', 'cifar_resnet20_r2_orepa.web');
    mkdirSync(web, {recursive: true});
    writeFileSync(join(web, 'precious'), '');
    for (const args of [
      ['-o', 'there.onnx'],
      ['-o', 'out/', '--format', 'web'],
    ]) {
      const {status, stderr} = await exported(folder, ...args);
      expect([status, stderr]).toEqual([1, expect.stringContaining('OUTPUT_REFUSED')]);
    }
    expect(readFileSync(join(folder, 'there.onnx'), 'utf8')).toBe('precious');
    expect((await exported(folder, '-o', 'there.onnx', '--force')).status).toBe(0);
  }));

test('for a target: opset, batch and IR version of the table', () =>
  inFolder(async (folder) => {
    const {status} = await exported(folder, '--target', 'ort-mobile', '-o', 'mobile.onnx', '--external-data');
    expect(status).toBe(0);
    expect(existsSync(join(folder, 'mobile.onnx.data'))).toBe(false); // its tensors are too small to be worth a file
    const {stdout} = await run(['export', 'mobile.onnx', '--precision', 'fp16', '--rounds', '0', '-o', 'half.onnx', '--json'], {
      cwd: folder,
    });
    expect(JSON.parse(stdout)).toMatchObject({ok: true, forms: [{opset: 18, check: {ok: true}}]});
    const {graph, irVersion} = decodeModel(readFileSync(join(folder, 'half.onnx')));
    expect([graph.inputs[0]!.dims[0], irVersion]).toEqual([1, 8]);
  }));
