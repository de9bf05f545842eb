/** Class names of models and sets that are in another order are told, and labels follow the names where these decide it. */
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import sharp from 'sharp';
import {convertFile} from '../../src/convert/convert.js';
import {random} from '../../src/core/random.js';
import type {Dataset} from '../../src/data/dataset.js';
import {classOrderWarnings, inOrderOfModels, ownClassNames} from '../../src/eval/class-order.js';
import {evaluateFiles} from '../../src/workflows/evaluate.js';
import {refuseUnusedIgnore} from '../../src/workflows/subjects.js';
import {verifyFiles} from '../../src/workflows/verify.js';
import {fixtureNamed, fixturePath} from '../cases.js';

const named = (key: string, text: string, classes = 3) => ({
  ...{name: 'model.onnx', path: 'model.onnx', classes},
  metadata: new Map([[key, text]]),
});
const listed = (names: readonly string[], name = 'model.onnx') => ({
  ...named('labels', JSON.stringify(names), names.length),
  name,
});
const setOf = (classes: readonly string[]): Dataset => ({
  ...{name: 'set', classes, warnings: [], close: async () => {}},
  samples: classes.map((path, index) => ({index, path, label: index, read: async () => Uint8Array.of(index)})),
});

test.each([
  ['ours', 'labels', '["cat","dog","fox"]'],
  ['a map', 'id2label', '{"2": "fox", "0": "cat", "1": "dog"}'],
  ['a Python dictionary', 'names', `{0: 'cat', 1: "dog", 2: 'fox'}`],
])('names in the metadata: %s', (_, key, text) => {
  expect(ownClassNames(named(key, text))).toEqual(['cat', 'dog', 'fox']);
});

test.each([
  ['too few', 'labels', '["cat","dog"]'],
  ['one twice', 'labels', '["cat","dog","Dog"]'],
  ['with a gap', 'names', `{0: 'cat', 1: 'dog', 3: 'fox'}`],
  ['something else', 'labels', '{"cat": 1'],
])('no names: %s', (_, key, text) => {
  expect(ownClassNames(named(key, text))).toBeUndefined();
});

test('a permutation: the labels follow the names, and that is said', async () => {
  const set = inOrderOfModels([listed(['dog', 'Red fox', 'cat'])], setOf(['cat', 'dog', 'red_fox']));
  expect(set.samples.map(({path, label}) => [path, label])).toEqual([
    ['cat', 2],
    ['dog', 0],
    ['red_fox', 1],
  ]);
  expect(await set.samples[1]!.read()).toEqual(Uint8Array.of(1));
  expect(set.classes).toEqual(['dog', 'red_fox', 'cat']);
  expect(set.warnings).toMatchObject([
    {
      kind: 'class-order',
      count: 3,
      message:
        "class 0 is 'dog' in model.onnx and 'cat' in the order of the set, class 1 is 'Red fox' in model.onnx and 'dog' in the order of the set, …; 3 of 3 places differ: evaluated by name",
    },
  ]);
});

test('the order that was asked for stays, and the contradiction is said', () => {
  const set = inOrderOfModels([listed(['dog', 'cat'])], {...setOf(['cat', 'dog']), classesListed: true});
  expect(set.samples.map(({label}) => label)).toEqual([0, 1]);
  expect(set.warnings[0]!.message).toContain('evaluated in the order of --labels');
});

test('names that decide nothing: both readings are an error; other names are none', () => {
  const conflict = () => inOrderOfModels([listed(['dog', 'cat', 'fox'])], setOf(['cat', 'dog', 'wolf']));
  expect(conflict).toThrow("class 0 is 'dog' in model.onnx and 'cat' in the order of the set");
  const set = setOf(['n01', 'n02', 'n03']);
  expect(inOrderOfModels([listed(['dog', 'cat', 'fox'])], set)).toBe(set);
  expect(inOrderOfModels([named('x', 'y')], set)).toBe(set);
});

test('two models with names in different orders are not evaluated on one set of labels', () => {
  const both = [listed(['dog', 'cat']), listed(['cat', 'dog'], 'other.onnx')];
  expect(() => inOrderOfModels(both, setOf(['cat', 'dog']))).toThrow("class 0 is 'dog' in model.onnx and 'cat' in other.onnx");
  expect(classOrderWarnings(both[0]!, both[1]!)).toEqual([expect.stringContaining('it names its classes in another order')]);
  expect(classOrderWarnings(both[0]!, both[0]!)).toEqual([]);
});

test('--ignore without a checkpoint is refused', () => {
  const ignore = ['aux.*'];
  expect(() => refuseUnusedIgnore([{form: 'onnx', path: 'a.onnx'}], {ignore})).toThrow(
    '--ignore aux.* leaves out tensors of a checkpoint',
  );
  expect(
    refuseUnusedIgnore(
      [
        {form: 'onnx', path: 'a.onnx'},
        {form: 'student', path: 'b.pth'},
      ],
      {ignore},
    ),
  ).toBeUndefined();
  expect(refuseUnusedIgnore([{form: 'onnx', path: 'a.onnx'}], {})).toBeUndefined();
});

describe('on files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-class-order-'));
  afterAll(() => rmSync(folder, {recursive: true}));
  const {flags} = fixtureNamed('cifar_resnet20_r2_orepa.pth.tar');
  const names = Array.from({length: 10}, (_, i) => `class${i}`);
  const made = (file: string, labels: string[] | undefined) =>
    convertFile(fixturePath('cifar_resnet20_r2_orepa.pth.tar'), {...flags, outputs: {student: join(folder, file)}, labels});

  test('by name gives what the list of the outputs gives', async () => {
    const turned = names.toReversed();
    await made('plain.onnx', undefined);
    await made('named.onnx', turned);
    const {integer} = random('class order');
    for (const name of names) {
      mkdirSync(join(folder, 'set', name), {recursive: true});
      const pixels = Uint8Array.from({length: 3 * 32 * 32}, () => integer(256));
      await sharp(pixels, {raw: {width: 32, height: 32, channels: 3}})
        .png()
        .toFile(join(folder, 'set', name, 'a.png'));
    }
    writeFileSync(join(folder, 'turned.txt'), turned.join('\n'));
    const options = {...flags, data: join(folder, 'set'), state: null};
    const result = async (file: string, labels?: string) =>
      (await evaluateFiles([join(folder, file)], {...options, labels})).evaluation;
    const byName = await result('named.onnx');
    const asked = await result('plain.onnx', join(folder, 'turned.txt'));
    expect(byName.warnings).toMatchObject([{kind: 'class-order', count: 10}]);
    expect(byName.models[0]!.top1).toEqual(asked.models[0]!.top1);
    expect(byName.models[0]!.crossEntropy).toBe(asked.models[0]!.crossEntropy);
    expect((await result('plain.onnx')).models[0]!.crossEntropy).not.toBe(asked.models[0]!.crossEntropy);
    const compared = await verifyFiles(join(folder, 'named.onnx'), join(folder, 'named.onnx'), {...flags, samples: 2});
    expect(compared.actual.warnings).toEqual([]);
  });
});
