/** Tensors that the network does not have: left out by name alone, and then every result says what was proven. */
import {existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import type {Writable} from '../../src/checkpoint/write-pickle.js';
import {orderedStateDict, writeTorch} from '../../src/checkpoint/write-torch.js';
import {renderConversion} from '../../src/cli/render/conversion.js';
import {renderModelWarnings} from '../../src/cli/render/warnings.js';
import {styleFor} from '../../src/cli/terminal/style.js';
import {convertFile} from '../../src/convert/convert.js';
import {fileSource} from '../../src/core/bytes.js';
import {float32, float64, sourceOf, type Tensor} from '../../src/core/tensor.js';
import {subjectOfFile} from '../../src/eval/subject.js';
import {openSubject} from '../../src/workflows/subjects.js';
import {summariseConversion} from '../../src/workflows/summaries/conversion.js';
import {fixtureCase, fixtureNamed} from '../cases.js';
import {collect} from '../checkpoint/assembler.js';
import {changeNumbers, rewritten} from '../rewritten.js';
import {describeShared, shared} from '../shared.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'left-out-'));
});
afterEach(() => rmSync(folder, {recursive: true, force: true}));

const FIXTURE = 'cifar_resnet20_plain.pth';
const student = () => ({student: join(folder, 's.onnx')});
const plain = styleFor({}, {});
const ones = (...shape: number[]) => float32(shape, new Float32Array(shape.reduce((n, d) => n * d, 1)).fill(1));

test('an auxiliary head is left out by a pattern: summary, JSON, metadata and later commands say so', async () => {
  const {path, flags} = rewritten(FIXTURE, folder, (tensors) => {
    tensors.set('aux_head.weight', ones(10, 4));
    tensors.set('aux_head.bias', ones(10));
  });
  await expect(convertFile(path, {...flags, outputs: student()})).rejects.toMatchObject({
    code: 'KEY_UNKNOWN',
    hint: expect.stringContaining("an auxiliary head. To go on without: --ignore 'aux_head.*'"),
  });
  const ignore = ['aux_head.*'];
  const formats = {pth: join(folder, 's.pth')};
  const report = await convertFile(path, {...flags, ignore, outputs: student(), weights: formats});
  const claim = 'the network without 2 tensors: aux_head.weight, aux_head.bias';
  const keys = ['aux_head.weight', 'aux_head.bias'];
  expect(report.without).toEqual({claim, keys});
  const lines = renderConversion(summariseConversion(report), plain);
  expect(lines.at(-1)).toBe(`proven for ${claim}`);
  expect(lines.filter((line) => line.startsWith('proven  '))).toEqual([
    expect.stringContaining('student without 2 tensors: same logits'),
    expect.stringContaining('deployed weights without 2 tensors: same logits'),
  ]);
  expect(lines.join('\n')).toContain('left out by --ignore aux_head.*');
  const {metadata, without} = subjectOfFile(student().student);
  expect(metadata.get('gpd.proof.claim')).toBe(`proven for ${claim}`);
  expect(without).toEqual(keys);
  const [subject] = await openSubject(path, {...flags, ema: false, ignore});
  expect(subject!.without).toEqual(keys);
});

test('tensors outside the state dict are told: they may be other weights, or act on its input', async () => {
  const checkpoint = openCheckpoint(fileSource(fixtureCase(fixtureNamed(FIXTURE), 'weights').path));
  const own = orderedStateDict(checkpoint.stateDict);
  const path = join(folder, 'several.pth');
  const root = new Map<string, Writable>([
    ['state_dict', own],
    ['model', own],
    ['normalize', new Map<string, Writable>([['mean', sourceOf(ones(3))]])],
    ['temperature', sourceOf(ones(1))],
  ]);
  writeFileSync(
    path,
    collect((sink) => writeTorch(root, sink)),
  );
  checkpoint.close();
  const report = await convertFile(path, {outputs: student()});
  const [key, others] = ["'state_dict'", `'model' (${own.size} tensors), 'normalize' (1 tensor), 'temperature' (1 tensor)`];
  expect(report.warnings).toEqual([
    `the network is made of the tensors of ${key} alone; the file also holds ${others}, left out: gpd inspect shows them`,
  ]);
});

test('numbers in the state dict and weights beside it are told of every network of the file', async () => {
  const checkpoint = openCheckpoint(fileSource(fixtureCase(fixtureNamed(FIXTURE), 'weights').path));
  const own = orderedStateDict(checkpoint.stateDict);
  const path = join(folder, 'scaled.pth');
  const root = new Map<string, Writable>([
    ['state_dict', new Map<string, Writable>([...(own as Map<string, Writable>), ['scale', 16.5]])],
    ['temperature', sourceOf(ones(1))],
  ]);
  writeFileSync(
    path,
    collect((sink) => writeTorch(root, sink)),
  );
  checkpoint.close();
  const [subject] = await openSubject(path, {ema: false});
  const text = `the network is made of the tensors of 'state_dict' alone; the file also holds 'temperature' (1 tensor), 'state_dict.scale' (1 number), left out: gpd inspect shows them`;
  expect(subject!.warnings).toEqual([text]);
  expect(renderModelWarnings([subject!, subject!], plain).join(' ')).toMatch(/^warning {2}.*'state_dict\.scale'/);
});

test('where nothing is left out nothing is said', async () => {
  const {path, flags} = rewritten(FIXTURE, folder, () => {});
  const report = await convertFile(path, {...flags, outputs: student()});
  expect(report.without).toBeNull();
  expect([...subjectOfFile(student().student).metadata.keys()].filter((key) => /without|claim/.test(key))).toEqual([]);
});

test('half a projection shortcut cannot be left out: without it the network answers otherwise', async () => {
  const {path, flags} = rewritten(FIXTURE, folder, (tensors) => tensors.set('layer2.0.downsample.0.weight', ones(8, 4, 1, 1)));
  for (const ignore of [[], ['*'], ['layer2.0.downsample.*']])
    await expect(convertFile(path, {...flags, ignore, outputs: student()})).rejects.toMatchObject({
      code: 'KEY_MISSING',
      at: 'layer2.0.downsample.1.weight',
    });
  expect(readdirSync(folder)).toEqual(['rewritten.safetensors']);
});

describe('weights that give no numbers: the tensor and the file are named', () => {
  const refused = async (change: (tensors: Map<string, Tensor>) => void, at: string, problem: string) => {
    const {path, flags} = rewritten(FIXTURE, folder, change);
    const failure = convertFile(path, {...flags, outputs: student()});
    await expect(failure).rejects.toMatchObject({code: 'WEIGHTS_NOT_FINITE', at});
    await expect(failure).rejects.toThrow(`${path}: ${problem}`);
    expect(existsSync(student().student)).toBe(false);
  };
  test('a negative variance', () =>
    refused(
      (tensors) => changeNumbers(tensors, 'layer1.0.bn1.running_var', (v, i) => (i === 1 ? -v : v)),
      'layer1.0.bn1.running_var',
      `'layer1.0.bn1.running_var' has -`,
    ));
  test.each([Number.NaN, Number.POSITIVE_INFINITY])('%d in a weight', (value) =>
    refused(
      (tensors) => changeNumbers(tensors, 'layer2.1.conv2.weight', (v, i) => (i === 7 ? value : v)),
      'layer2.1.conv2.weight',
      `'layer2.1.conv2.weight' has ${value} at element 7`,
    ),
  );
  test('a float64 number beyond float32', () =>
    refused(
      (tensors) => {
        const {shape, data} = tensors.get('conv1.weight')!;
        tensors.set(
          'conv1.weight',
          float64(
            shape,
            Float64Array.from(data as Float32Array, (v, i) => (i === 5 ? 1e40 : v)),
          ),
        );
      },
      'conv1.weight',
      `'conv1.weight' has 1e+40 at element 5, which does not fit into float32`,
    ));
  test('weights that overflow when they are merged', () =>
    refused(
      (tensors) => {
        changeNumbers(tensors, 'conv1.weight', () => 1e30);
        changeNumbers(tensors, 'bn1.weight', () => 1e30);
      },
      'bn1.running_var',
      `what is made of 'bn1.running_var', 'bn1.weight', 'conv1.weight' is NaN or infinite in float32`,
    ));
});

const CASES = 'cases/checkpoints';
describeShared(CASES, 'checkpoints from outside', () => {
  test.each([
    ['c13_seresnet18', 'KEY_UNKNOWN'],
    // Projection shortcuts are read: nothing is left over.
    ['c15b_cifar_resnet20_option_b', 'KEY_MISSING'],
    ['c15c_mdistiller_resnet20', 'KEY_MISSING'],
    ['c15e_option_b_with_statistics', 'KEY_MISSING'],
  ])('%s cannot be converted without a part of itself', async (name, code) => {
    const path = shared(CASES, `${name}.pth`);
    await expect(convertFile(path, {ignore: ['*'], outputs: student()})).rejects.toMatchObject({code});
  });
  test.each(['e18_normalisation_buffers', 'f02_normalisation_buffers'])('%s: only by their full names', async (name) => {
    const path = shared(CASES, `${name}.pth`);
    await expect(convertFile(path, {ignore: ['mean', 's*'], outputs: student()})).rejects.toMatchObject({
      code: 'KEY_UNKNOWN',
      hint: expect.stringContaining('normalisation of the input'),
    });
    const {without} = await convertFile(path, {ignore: ['mean', 'std'], imageSize: 32, outputs: student()});
    expect(without!.claim).toBe('the network without 2 tensors: mean, std');
  });
});
