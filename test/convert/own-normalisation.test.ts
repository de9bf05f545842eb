/** A normalisation that a checkpoint keeps beside its network is computed, or does nothing; it is never dropped in silence. */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {convertFile} from '../../src/convert/convert.js';
import {float32, type Tensor} from '../../src/core/tensor.js';
import {chooseRecipe} from '../../src/eval/choose-recipe.js';
import {subjectOfFile} from '../../src/eval/subject.js';
import {openSubject} from '../../src/workflows/subjects.js';
import {fixtureCase, fixtureNamed} from '../cases.js';
import {expectClose} from '../close.js';
import {rewritten} from '../rewritten.js';
import {logitsOf} from './run-model.js';

const FIXTURE = 'cifar_resnet20_plain.pth';
const [mean, std] = [
  [0.485, 0.456, 0.406],
  [0.229, 0.224, 0.225],
];
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalisation-'));
});
afterEach(() => rmSync(folder, {recursive: true, force: true}));

const having = (entries: Record<string, readonly number[]>, prefix = '') =>
  rewritten(FIXTURE, folder, (tensors) => {
    const own = [...tensors];
    tensors.clear();
    for (const [key, t] of own) tensors.set(prefix + key, t);
    for (const [key, values] of Object.entries(entries)) tensors.set(key, float32([1, values.length, 1, 1], values));
  });
const student = () => join(folder, 's.onnx');
const evidenceOf = (report: Awaited<ReturnType<typeof convertFile>>) =>
  report.recognised.evidence.find(({what}) => what === 'normalisation');

/** Channels lie one after another. */
function prepared({shape, data}: Tensor): Tensor {
  const area = shape[2]! * shape[3]!;
  const values = Float32Array.from(data as Float32Array, (v, i) => {
    const colour = Math.floor(i / area) % 3;
    return (v - mean![colour]!) / std![colour]!;
  });
  return float32(shape, values);
}

test.each([
  ['', 'mean', 'std'],
  ['1.', '0.mean', '0.std'],
  ['model.', 'normalizer.new_mean', 'normalizer.new_std'],
  ['net.', 'net.normalize.mean', 'net.normalize.std'],
])("below '%s', %s and %s become the first layer", async (prefix, meanKey, stdKey) => {
  const {path, flags} = having({[meanKey]: mean!, [stdKey]: std!}, prefix);
  const report = await convertFile(path, {...flags, outputs: {student: student()}});
  expect(evidenceOf(report)).toMatchObject({value: 'mean 0.485 0.456 0.406, std 0.229 0.224 0.225'});
  expect(report.recognised.keys.filter(({key}) => [meanKey, stdKey].includes(key))).toEqual([
    {key: stdKey, use: 'both'},
    {key: meanKey, use: 'both'},
  ]);
  const {images} = fixtureCase(fixtureNamed(FIXTURE), 'weights');
  const own = join(folder, 'own.onnx');
  await convertFile(fixtureCase(fixtureNamed(FIXTURE), 'weights').path, {...flags, outputs: {student: own}});
  const expected = await logitsOf(own, prepared(images));
  const actual = await logitsOf(student(), images);
  expectClose(actual.data, expected.data, {atol: 1e-4, because: 'float32, the same layers after the same normalisation'});
});

test('one that does nothing is left out, and said', async () => {
  const {path, flags} = having({mean: [0, 0, 0], std: [1, 1, 1]});
  const report = await convertFile(path, {...flags, outputs: {student: student()}});
  expect(evidenceOf(report)).toMatchObject({value: 'none', from: "'mean' is 0 and 'std' is 1"});
  expect([report.without, report.outputs[0]!.size.nodes]).toEqual([null, subjectOfFile(student()).size.nodes]);
  expect(subjectOfFile(student()).normalises).toBe(false);
});

test('images are then not normalised before, by any command and for the model that was written', async () => {
  const {path, flags} = having({mean: mean!, std: std!});
  await convertFile(path, {...flags, outputs: {student: student()}});
  const [trained] = await openSubject(path, {...flags});
  const written = subjectOfFile(student());
  const {recipe, reason} = chooseRecipe([trained!, written], undefined);
  expect([recipe.mean, recipe.std, reason]).toEqual([
    [0, 0, 0],
    [1, 1, 1],
    expect.stringContaining('the network does it itself'),
  ]);
  expect(chooseRecipe([written], 'cnn').recipe.std).toEqual([1, 1, 1]);
  const other = {...written, name: 'other', normalises: false};
  for (const asked of [undefined, 'cnn'] as const)
    expect(() => chooseRecipe([written, other], asked)).toThrow('normalises its images itself, other does not');
});

test('weights alone cannot hold it', async () => {
  const {path, flags} = having({mean: mean!, std: std!});
  const failure = convertFile(path, {...flags, outputs: {}, weights: {pth: join(folder, 's.pth')}});
  await expect(failure).rejects.toMatchObject({code: 'EXPORT_REFUSED', hint: expect.stringContaining('--ignore')});
});

test.each([
  ['of another range', {mean: [123.7, 116.3, 103.5], std: [58.4, 57.1, 57.4]}],
  ['of no deviation', {mean: mean!, std: [0, 0, 0]}],
  ['of another length', {mean: [0, 0], std: [1, 1]}],
  ['a mean alone', {mean: mean!}],
  ['two that differ', {mean: mean!, std: std!, 'normalize.mean': [0.5, 0.5, 0.5], 'normalize.std': [0.5, 0.5, 0.5]}],
  ['of a module that is no normaliser', {'gate.mean': mean!, 'gate.std': std!}],
])('%s: it is refused, unless its tensors are named', async (_, entries) => {
  const {path, flags} = having(entries);
  await expect(convertFile(path, {...flags, outputs: {student: student()}})).rejects.toMatchObject({code: 'KEY_UNKNOWN'});
  const ignore = Object.keys(entries);
  const report = await convertFile(path, {...flags, ignore, outputs: {student: student()}});
  expect(report.without?.keys).toEqual(ignore);
});
