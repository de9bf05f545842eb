/** What is said of images that do not fit a run. */
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {resolveOptions} from '../../src/train/options/config.js';
import type {OptionName} from '../../src/train/options/options.js';
import {openImages} from '../../src/train/run/images.js';
import {writeSet} from './sets.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-images-'));
afterAll(() => rmSync(folder, {recursive: true}));
const set = (name: string, classes: readonly string[]): string => {
  writeSet(join(folder, name), classes, 2);
  return join(folder, name);
};
const open = (data: string, val = 'none') => {
  const values: Partial<Record<OptionName, string>> = {arch: 'cifar-resnet20', data, val};
  return openImages(
    resolveOptions([new Map(Object.entries(values).map(([n, value]) => [n as OptionName, {value, from: 'test'}]))]),
  );
};

const letters = (n: number) => Array.from({length: n}, (_, i) => String.fromCharCode(97 + i));

test.each([
  [['cat', 'dog', 'emu'], ['cat', 'dog'], 'it lacks emu'],
  [['cat', 'dog'], ['cat', 'dog', 'emu'], 'it has emu, which the training images lack'],
  [['cat', 'dog'], ['cat', 'hen'], 'it lacks dog; it has hen, which the training images lack'],
  [letters(9), ['a', 'z'], 'it lacks b, c, d and 5 more; it has z, which the training images lack'],
])('training images of %j, validation images of %j', async (ours, theirs, expected) => {
  const [train, val] = [set(`t${ours.join('')}`, ours), set(`v${theirs.join('')}`, theirs)];
  await expect(open(train, val)).rejects.toMatchObject({
    code: 'DATASET_INVALID',
    message: `${val}: its classes are not those of ${train}: ${expected}`,
    hint: 'both sets need the same class folders; an empty folder is a class without images',
  });
});

test('a place that holds several sets: one is trained on, the other measured on', async () => {
  const [both, batches] = [join(folder, 'both'), join(folder, 'batches')];
  mkdirSync(batches);
  const classes = ['cat', 'dog'];
  for (const name of ['train', 'test']) writeSet(join(both, name), classes, name === 'train' ? 3 : 1);
  const record = (label: number) => [label, ...new Uint8Array(3072)];
  writeFileSync(join(batches, 'data_batch_1.bin'), Uint8Array.from([...record(0), ...record(1), ...record(9)]));
  writeFileSync(join(batches, 'test_batch.bin'), Uint8Array.from(record(4)));
  for (const [path, train, validation] of [
    [both, 6, 2],
    [batches, 3, 1],
  ] as const) {
    const images = await open(path);
    const counts = [images.train.samples.length, images.validation?.samples.length];
    expect([counts, images.validationPath]).toEqual([[train, validation], path]);
    expect(images.warnings).toEqual([]);
    await images.close();
  }
});
