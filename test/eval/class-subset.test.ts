/** Sets whose classes are some of the model's. */
import {imagenetClasses} from '../../src/data/imagenet-classes.js';
import {imagenetSynsets} from '../../src/data/imagenet-synsets.js';
import {amongOutputs, checkClasses} from '../../src/eval/class-subset.js';

const model = (classes: number, labels?: readonly string[]) => ({
  ...{name: 'net', path: 'net.onnx', classes},
  metadata: new Map(labels ? [['labels', JSON.stringify(labels)]] : []),
});
const setOf = (classes: readonly string[]) => ({
  ...{name: 'set', classes, warnings: []},
  samples: classes.map((name, label) => ({index: label, path: name, label, read: async () => new Uint8Array()})),
  async close() {},
});
const found = (...[of, classes]: [ReturnType<typeof model>, string[]]) => amongOutputs(of, setOf(classes));
const labelsOf = (set: ReturnType<typeof found>) => set.samples.map(({label}) => label);

test('synsets are in order, and stand beside their names', () => {
  expect(imagenetSynsets).toHaveLength(1000);
  expect([...new Set(imagenetSynsets)].sort()).toEqual(imagenetSynsets);
  expect(imagenetSynsets.every((synset) => /^n\d{8}$/.test(synset))).toBe(true);
  const named = (synset: string) => imagenetClasses[imagenetSynsets.indexOf(synset)];
  expect(['n01440764', 'n02102040', 'n02979186', 'n03888257'].map(named)).toEqual([
    'tench',
    'English springer',
    'cassette player',
    'parachute',
  ]);
});

test.each<[string, string[], number[]]>([
  ['Imagenette', ['n01440764', 'n02102040', 'n03888257'], [0, 217, 701]],
  ['names', ['English springer', 'tench', 'parachute'], [217, 0, 701]],
  ['names of files', ['english_springer', 'tench'], [217, 0]],
  ['numbers as text sorts them', ['0', '10', '2'], [0, 10, 2]],
])('%s', (_, classes, labels) => {
  const set = found(model(1000), classes);
  expect(labelsOf(set)).toEqual(labels);
  expect(set.classes).toHaveLength(1000);
  expect(set.warnings).toMatchObject([{kind: 'class-subset', count: classes.length}]);
  expect(() => checkClasses(model(1000), set)).not.toThrow();
});

test('a name of two classes says neither', () => {
  expect(() => checkClasses(model(1000), found(model(1000), ['crane', 'tench']))).toThrow(
    '1000 classes apart, the images have 2',
  );
});

test('names in the model', () => {
  const own = model(4, ['owl', 'cat', 'dog', 'cow']);
  expect(labelsOf(found(own, ['cat', 'dog']))).toEqual([1, 2]);
  expect(() => checkClasses(own, setOf(['cat', 'cow', 'dog', 'extra', 'owl']))).toThrow(
    "tells 4 classes apart, the images have 5: 'extra' is not among the names in the model",
  );
  expect(() => checkClasses(own, setOf(['cat', 'dog', 'ewl']))).toThrow(
    "'ewl' is not among the names in the model; missing: 'owl', 'cow'",
  );
});

test('a model without names takes as many classes as it has', () => {
  expect(() => checkClasses(model(4), found(model(4), ['cat', 'dog']))).toThrow('tells 4 classes apart, the images have 2');
  expect(labelsOf(found(model(3), ['0', '1', '10']))).toEqual([0, 1, 2]);
});
