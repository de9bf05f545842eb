/** `gpd inspect`: every fixture in text and as JSON, and a model. */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {renderCheckpoint} from '../../src/cli/render/checkpoint.js';
import {styleFor} from '../../src/cli/terminal/style.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {printModel} from '../../src/onnx/text.js';
import {inspectFile} from '../../src/workflows/inspect.js';
import {expectGolden} from '../golden.js';
import {fixture, inFolder, run} from './program.js';

const plain = styleFor({}, {});
const options = {ema: false, text: false};
const manifest: {file: string}[] = JSON.parse(readFileSync(join(__dirname, '../../fixtures/manifest.json'), 'utf8'));
const names = manifest
  .map(({file}) => file.replace('checkpoints/', ''))
  .filter((file) => /\.(tar|pth|th|safetensors)$/.test(file));

test.each(names)('%s', async (name) => {
  const summary = await inspectFile(fixture(name), options);
  if (summary.kind !== 'checkpoint') throw new Error('taken for a model');
  expect(JSON.parse(JSON.stringify(summary))).toEqual(summary); // plain data: no Map, no undefined, no bigint
  const text = renderCheckpoint(summary, plain, {all: false}).join('\n');
  expectGolden(`inspect-${name}.txt`, `${text}\n`);
  expect(summary.tensors.length).toBeGreaterThan(10);
});

test('--all names every tensor with its shape and use', async () => {
  const {stdout} = await run(['inspect', fixture('resnet18_reviewkd_r3.pth.tar'), '--all']);
  expect(stdout).toMatch(/^ {2}student\.conv1\.weight +float32 \[\d+, 3, 7, 7\] +both$/m);
  expect(stdout).toMatch(/^ {2}abfs\.0\..* ReviewKD feature fusion, used in training alone$/m);
  expect(stdout).toMatch(/^ {2}gpd_ratio +3$/m);
});

test('an ONNX model: facts, text form, JSON', () =>
  inFolder(async (cwd) => {
    await run(['convert', fixture('cifar_resnet20_plain.pth'), '--output', 'a.onnx'], {cwd});
    const facts = await run(['inspect', 'a.onnx'], {cwd});
    expectGolden('inspect-model.txt', facts.stdout.replace(/(gpd\.proof\.max_\w+ +).*/g, '$1_'));
    const text = await run(['inspect', 'a.onnx', '--text'], {cwd});
    expect(text.stdout).toBe(`${printModel(decodeModel(readFileSync(join(cwd, 'a.onnx'))))}\n`);
    const json = JSON.parse((await run(['inspect', 'a.onnx', '--json'], {cwd})).stdout);
    expect(json).toMatchObject({
      ...{kind: 'onnx', opset: 20, nodes: 54, bytes: readFileSync(join(cwd, 'a.onnx')).length},
      ...{inputs: [{name: 'input', dtype: 'float32', shape: ['N', 3, 32, 32]}], metadata: {'gpd.form': 'student'}},
    });
    expect(json.operators[0]).toEqual({operator: 'Conv', count: 19});
    expect('text' in json).toBe(false);
  }));

test('a damaged model is refused with a code', () =>
  inFolder(async (cwd) => {
    const {status, stderr} = await run(['inspect', fixture('../manifest.json').replace('manifest.json', '../package.json')], {
      cwd,
    });
    expect({status, stderr}).toEqual({status: 1, stderr: expect.stringContaining('Code: FORMAT_UNKNOWN')});
  }));
