/** What is said of images that do not fit a run. */
import {mkdtempSync, rmSync} from 'node:fs';
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
const open = (data: string, val: string) => {
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
