/** Names from strangers, in every place where a file can have one, through every command: nothing of them reaches the terminal as it is. */
import {mkdirSync, readdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {parseGraph, parseModel} from '../../src/onnx/parse-text.js';
import {printModel} from '../../src/onnx/text.js';
import {archive, bytes, dict, global, int, pickle, storage, str, tensor, u64} from '../checkpoint/assembler.js';
import {inFolder, type Outcome, run} from './program.js';

/** Clipboard, erased lines, colours, C1, changes of direction, marks, separators, tags; and a quote, for what is quoted. */
const HOSTILE =
  '\x1b]8;;http://e\x07L\x1b]52;c;eA==\x07\r\nOK \x1b[2K\x9b2J\x9d52;c;eA==\x9c\u202e\u2066\u200e\u200f\u061c\u2028\ufeff\u{e0041}\x7f\'"';
const UNSAFE = /(?!\u200c|\u200d|\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
const HOSTILE_FILE = HOSTILE.replaceAll('/', '');

function expectSafe({stdout, stderr}: Outcome, what: string): void {
  for (const text of [stdout, stderr]) {
    const found = UNSAFE.exec(text);
    if (found) throw new Error(`${what}: ${JSON.stringify(text.slice(Math.max(0, found.index - 60), found.index + 20))}`);
  }
  expect(stderr).not.toMatch(/^OK /m); // nor does a name begin a line of its own
  if (/has a bug|\n {4}at /.test(stderr)) throw new Error(`${what}: ${stderr}`);
}

/** A pickle whose keys, values and options have the name; a header of safetensors with it. */
function checkpoints(): {pth: Uint8Array; safetensors: Uint8Array} {
  const w = tensor(storage('0', int(4)), {size: [int(4)], stride: [int(1)]});
  const name = str(HOSTILE);
  const args = bytes(global('argparse', 'Namespace'), ')', 0x81, dict(name, name, str('arch'), name), 'b');
  const root = dict(str('state_dict'), dict(name, w), name, name, str('args'), args);
  const header = JSON.stringify({
    __metadata__: {[HOSTILE]: HOSTILE},
    [HOSTILE]: {dtype: 'U8', shape: [1], data_offsets: [0, 1]},
  });
  const pth = archive({'data.pkl': pickle(root), 'data/0': new Uint8Array(16)});
  return {pth, safetensors: bytes(u64(BigInt(Buffer.byteLength(header))), Buffer.from(header), 0)};
}

/** A classifier of 3 classes by mean colours, everything in it named so; and one with an operator that does not exist. */
function models(): {classifier: Uint8Array; stranger: Uint8Array} {
  const q = JSON.stringify(HOSTILE);
  const x = `%${JSON.stringify(`x${HOSTILE}`)}`;
  const head = `model opset 17, ir 8, producer ${q} ${q}\nmetadata ${q} = ${q}\n`;
  const body = `graph ${q} (${x}: f32[N, 3, 8, 8]) -> (%${q})\n  %${JSON.stringify(`p${HOSTILE}`)} = GlobalAveragePool(${x})\n`;
  const classifier = parseModel(`${head}${body}  %${q} = Flatten(%${JSON.stringify(`p${HOSTILE}`)})`);
  const stranger = parseModel(
    `${head}graph ${q} (${x}: f32[N, 3, 8, 8]) -> (%${q})\n  %${q}: f32[N, 3] = ${q}(${x}) {${q} = ${q}}`,
  );
  for (const [i, node] of [...classifier.graph.nodes, ...stranger.graph.nodes].entries()) node.name = `${HOSTILE}${i}`;
  return {classifier: modelBytes(classifier), stranger: modelBytes(stranger)};
}

/** A PPM of 8 × 8 pixels of one colour. */
const image = (r: number, g: number, b: number) => bytes('P6 8 8 255\n', ...Array.from({length: 64}, () => bytes(r, g, b)));

async function inHostileFolder(
  body: (
    names: Record<'pth' | 'safetensors' | 'model' | 'stranger' | 'images' | 'labels', string> & {classes: string[]},
  ) => Promise<void>,
) {
  await inFolder(async (folder) => {
    const at = (suffix: string) => join(folder, `${HOSTILE_FILE}${suffix}`);
    const {pth, safetensors} = checkpoints();
    const {classifier, stranger} = models();
    for (const [suffix, content] of Object.entries({
      '.pth': pth,
      '.safetensors': safetensors,
      '.onnx': classifier,
      '.s.onnx': stranger,
    }))
      writeFileSync(at(suffix), content);
    const classes = ['a', 'b', 'c'].map((name) => `${name}${HOSTILE_FILE.replaceAll('\n', '').replaceAll('\r', '')}`);
    for (const [i, name] of classes.entries()) {
      mkdirSync(join(at(''), name), {recursive: true});
      writeFileSync(join(at(''), name, `${HOSTILE_FILE}.ppm`), image(i === 0 ? 255 : 0, i === 1 ? 255 : 0, i === 2 ? 255 : 0));
      writeFileSync(join(at(''), name, `bad${HOSTILE_FILE}.png`), 'nothing');
    }
    writeFileSync(at('.txt'), classes.join('\n'));
    await body({
      pth: at('.pth'),
      safetensors: at('.safetensors'),
      model: at('.onnx'),
      stranger: at('.s.onnx'),
      images: at(''),
      labels: at('.txt'),
      classes,
    });
  });
}

async function twoAtOnce<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const worker = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all([worker(), worker()]);
}

const RECIPE = ['--resize', '8', '--image-size', '8', '--on-error', 'skip'];

test('every command: checkpoints, models, images, labels, reports', async () => {
  await inHostileFolder(async ({pth, safetensors, model, stranger, images, labels, classes}) => {
    const evaluate = ['eval', model, '-d', images, ...RECIPE, '--report', `${model}.html`];
    const lines: string[][] = [
      ...[pth, safetensors, model, stranger].flatMap((file) => [
        ['inspect', file],
        ['inspect', file, '--all'],
      ]),
      ...[model, stranger].map((file) => ['inspect', file, '--text']),
      ...[pth, safetensors, model, stranger].map((file) => ['convert', file, '-o', `${file}.out`]),
      ['convert', pth, '-o', `${pth}.missing/`, '--key', HOSTILE],
      ['verify', model, model],
      ['verify', model, stranger],
      ['bench', stranger],
      evaluate,
      ['eval', stranger, '-d', images, ...RECIPE],
      ['eval', model, '-d', images, '--labels', labels, ...RECIPE],
      ['eval', model, '-d', `${images}.tar`, ...RECIPE],
      ['eval', model, '-d', images, ...RECIPE, '--on-error', 'stop'],
      ['export', model, '-o', `${model}.d/`, '--force'],
      ['export', stranger, '-o', `${stranger}.d/`, '--force'],
      ['train', '--config', labels, '--print-config'],
      ['train', '--data', HOSTILE, '--out', HOSTILE, '--print-config'],
      ['train', '--data', images, '--out', `${model}.run`, '--arch', 'cifar-resnet20', '--epochs', '1', '--batch-size', '400'],
    ];
    const asJson = lines.filter((line) => !line.includes('--text')).map((line) => [...line, '--json']);
    await twoAtOnce([...lines, ...asJson], async (line) => {
      const outcome = await run(line);
      expectSafe(outcome, line.join(' ').slice(0, 40));
      if (line.includes('--json')) expect(() => JSON.parse(outcome.stdout)).not.toThrow();
    });
    expect(readdirSync(images).sort()).toEqual(classes);
    const result = await run([...evaluate, '--json']);
    expect(JSON.parse(result.stdout)).toMatchObject({complete: true}); // it really ran
    const inspected = JSON.parse((await run(['inspect', safetensors, '--json'])).stdout);
    expect([inspected.meta[HOSTILE], inspected.tensors[0].name, inspected.path]).toEqual([HOSTILE, HOSTILE, safetensors]);
  });
}, 180_000);

test('usage errors repeat what was typed, escaped and in its line', async () => {
  const lines = [
    [HOSTILE],
    ['inspect', 'x', HOSTILE],
    ['convert', 'x', `--${HOSTILE}`],
    ['convert', 'x', '--ratio', HOSTILE],
    ['convert', 'x', '--arch', HOSTILE],
    ['export', 'x', '--target', HOSTILE],
    ['eval', HOSTILE, '-d'],
    ['help', HOSTILE],
    [`-${HOSTILE}`],
    ['train', '--preset', HOSTILE],
  ];
  for (const line of lines) {
    const outcome = await run(line);
    expectSafe(outcome, line.join(' ').slice(0, 20));
    expect(outcome.status).not.toBe(70);
  }
  expectSafe(await run(['inspect', 'x'], {env: {GPD_DEBUG: HOSTILE}}), 'GPD_DEBUG');
  expectSafe(await run(['inspect', 'x'], {env: {FORCE_COLOR: ''}}), 'colours');
}, 60_000);

test('the text of a model quotes operators and attributes, and reads back as the same model', () => {
  for (const file of Object.values(models())) {
    const text = printModel(decodeModel(file));
    expect(text).not.toMatch(UNSAFE);
    expect(printModel(parseModel(text))).toBe(text);
  }
  expect(parseGraph('graph g (%x: f32[1]) -> (%y)\n  %y: f32[1] = "my.domain.Op 1"(%x)').nodes[0]).toMatchObject({
    domain: 'my.domain',
    opType: 'Op 1',
  });
});
