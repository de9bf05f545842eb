/** What is noticed in a set of images reaches whoever runs a command: in the terminal, in `--json`, in reports, and as an error. */
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import sharp from 'sharp';
import {renderTrain} from '../../src/cli/render/train.js';
import {styleFor} from '../../src/cli/terminal/style.js';
import {renderTraining} from '../../src/eval/report/training-page.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {resolveOptions} from '../../src/train/options/config.js';
import {openImages} from '../../src/train/run/images.js';
import type {TrainSummary} from '../../src/workflows/train.js';
import {fixtureNamed} from '../cases.js';
import {fixture, inFolder, run} from './program.js';

const FILE = 'cifar_resnet20_r2_orepa.pth.tar';
const {flags} = fixtureNamed(FILE);
const network = Object.entries({ratio: flags.ratio, 'image-size': flags.imageSize}).flatMap(([name, value]) =>
  value === undefined ? [] : [`--${name}`, String(value)],
);

/** A folder a class with one image, HEIC files in the first, an image beside them. */
async function imagesIn(folder: string, classes: number, side: number): Promise<string> {
  const image = await sharp({create: {width: side, height: side, channels: 3, background: '#987'}})
    .png()
    .toBuffer();
  for (let c = 0; c < classes; c++) {
    mkdirSync(join(folder, 'set', `class${c}`), {recursive: true});
    writeFileSync(join(folder, 'set', `class${c}`, '1.png'), image);
  }
  for (const name of ['class0/2.heic', 'class0/3.heic', 'class0/4.heic', 'beside.png'])
    writeFileSync(join(folder, 'set', name), image);
  return join(folder, 'set');
}
const LEFT_OUT = {kind: 'not-an-image', count: 3, examples: ['class0/2.heic', 'class0/3.heic']};
const BESIDE = {kind: 'beside-classes', count: 1, examples: ['beside.png']};
const LINE = "3 files without an image's ending were left out (3 .heic): class0/2.heic, class0/3.heic and 1 more";
const oneLine = (text: string) => text.replaceAll(/\s+›?\s*/g, ' ');

test('eval, verify and export', () =>
  inFolder(async (folder) => {
    const gpd = (...args: string[]) => run(args, {cwd: folder});
    expect((await gpd('convert', fixture(FILE), ...network, '-o', 'net.onnx')).status).toBe(0);
    const {graph} = decodeModel(readFileSync(join(folder, 'net.onnx')));
    const set = await imagesIn(folder, Number(graph.outputs[0]!.dims[1]), Number(graph.inputs[0]!.dims[2]));

    const shown = await gpd('eval', 'net.onnx', '--data', set, '--report', 'eval.html');
    expect([shown.status, oneLine(shown.stdout)]).toEqual([0, expect.stringContaining(`warning ${LINE}`)]);
    expect(readFileSync(join(folder, 'eval.html'), 'utf8')).toContain(`<p class="notice">${LINE.replace("'", '&#39;')}</p>`);
    const evaluated = JSON.parse((await gpd('eval', 'net.onnx', '--data', set, '--json')).stdout);
    expect(evaluated.warnings).toMatchObject([LEFT_OUT, BESIDE]);

    const verified = await gpd('verify', 'net.onnx', 'net.onnx', '--samples', '2', '--data', set);
    expect(oneLine(verified.stdout)).toContain(`warning ${LINE}`);

    const exported = ['export', 'net.onnx', '--precision', 'fp16', '--rounds', '0', '--calibrate', set, '-d', set, '-o'];
    const forms = await gpd(...exported, 'half.onnx', '--report', 'export.html', '--json');
    const of = (warning: object) => ({set, ...warning});
    expect(JSON.parse(forms.stdout).warnings).toMatchObject([LEFT_OUT, BESIDE, LEFT_OUT, BESIDE].map(of));
    expect(readFileSync(join(folder, 'export.html'), 'utf8').match(/class="notice">/g)).toHaveLength(4);

    for (const args of [
      ['eval', 'net.onnx', '--data', set],
      ['verify', 'net.onnx', 'net.onnx', '--data', set],
      [...exported, 'strict.onnx'],
      ['train', '--data', set, '--ratio', '1', '--arch', 'cifar-resnet20', '--out', 'run'],
    ]) {
      const {status, stderr} = await gpd(...args, '--strict-data');
      expect([args[0], status, oneLine(stderr)]).toEqual([args[0], 1, expect.stringContaining(`${LINE}; 1 image in no class`)]);
    }
  }));

test('train', () =>
  inFolder(async (folder) => {
    const set = await imagesIn(folder, 2, 8);
    const images = await openImages(resolveOptions([new Map([['data', {value: set, from: ''}]])]));
    await images.close();
    expect(images.warnings).toMatchObject([LEFT_OUT, BESIDE].map((warning) => ({set, ...warning})));
    const {warnings} = images;
    const summary: TrainSummary = {
      ...{
        out: 'run',
        complete: true,
        backend: {name: 'cpu', reason: ''},
        schedule: {line: '', warnings: []},
        unreadable: {count: 0, images: [], list: ''},
        epochs: [],
        best: null,
        student: null,
      },
      warnings,
    };
    expect(oneLine(renderTrain(summary, styleFor(process.stdout)).join('\n'))).toContain(`${set}: ${LINE}`);
    const page = await renderTraining([], {title: 't', losses: [], command: 'c', environment: [], configuration: '', warnings});
    expect(page.match(/class="notice">/g)).toHaveLength(2);
  }));
