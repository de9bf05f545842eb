/** Fine-tuning to other classes: everything but the classifier is taken, and that is said. */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {writeSafetensors} from '../../src/checkpoint/write-safetensors.js';
import {writeAtomically} from '../../src/core/output.js';
import {sourceOf} from '../../src/core/tensor.js';
import {archs} from '../../src/models/families/index.js';
import {manifestOf} from '../../src/models/walk.js';
import {freshWeights} from '../../src/train/run/initial-weights.js';
import {startingPoint} from '../../src/train/run/starting-point.js';
import {type Settings, smallOptions} from './small.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-head-'));
afterAll(() => rmSync(folder, {recursive: true, force: true}));
const CLASSES = 10;
const arch = archs['cifar-resnet20'].build(CLASSES);
const own = freshWeights(arch, manifestOf(arch).modules, 5);
const path = join(folder, 'weights.safetensors');
const stored = new Map([...own].map(([key, t]) => [`module.${key}`, sourceOf(t)]));
writeAtomically(path, (write) => writeSafetensors(stored, write));

const start = (classes: number, settings: Settings = {}) =>
  startingPoint(smallOptions({orepa: 'false', ratio: '1', 'image-size': '32', pretrained: path, ...settings}), classes);

test('of the same classes: the classifier too', () => {
  const {initial, notes} = start(CLASSES);
  for (const [key, t] of own) if (!key.endsWith('tracked')) expect([key, initial.state.get(key)!.data]).toEqual([key, t.data]);
  expect(notes).toEqual([]);
});

test.each([
  [3, {}, /classifier 'linear' is drawn anew \(it tells 10 classes apart, the training images have 3\)/],
  [CLASSES, {'new-head': 'true'}, /classifier 'linear' is drawn anew \(--new-head\)/],
] as const)('for %i classes, %j: everything but the classifier', (classes, settings, said) => {
  const {initial, notes} = start(classes, settings);
  for (const [key, t] of own)
    if (!key.endsWith('tracked') && !key.startsWith('linear.'))
      expect([key, initial.state.get(key)!.data]).toEqual([key, t.data]);
  const head = initial.state.get('linear.weight')!;
  expect(head.shape).toEqual([classes, 64]);
  expect(head.data.slice(0, 64)).not.toEqual(own.get('linear.weight')!.data.slice(0, 64));
  expect(notes).toEqual([expect.stringMatching(said)]);
});
