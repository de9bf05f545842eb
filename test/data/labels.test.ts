/** What labels mean, and what is said of a set that looks wrong. Right answers are written down here, not computed. */
import {rmSync} from 'node:fs';
import {join} from 'node:path';
import {GpdError} from '../../src/core/error.js';
import type {Dataset} from '../../src/data/dataset.js';
import {type OpenDatasetOptions, openDataset} from '../../src/data/open-dataset.js';
import {warningText} from '../../src/data/warnings.js';
import {eachInItsFolder, put, root} from './set-files.js';

eachInItsFolder();

async function opened(options: OpenDatasetOptions = {}): Promise<Dataset> {
  const set = await openDataset(join(root, 'set'), options);
  await set.close();
  return set;
}
const said = (set: Dataset) => set.warnings.map(warningText);
async function refusal(work: Promise<unknown>): Promise<GpdError> {
  const error = await work.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(GpdError);
  return error as GpdError;
}

describe('where numbers count from', () => {
  /** Images a.jpg, b.jpg, …, one for each label. */
  const labelled = (labels: readonly (number | string)[], options: OpenDatasetOptions) => {
    const names = labels.map((_, i) => `${String.fromCharCode(97 + i)}.jpg`);
    for (const name of names) put(`set/${name}`);
    const file = put('labels.txt', names.map((name, i) => `${name} ${labels[i]}\n`).join(''));
    return openDataset(join(root, 'set'), {labels: file, ...options});
  };
  const labelsOf = async (labels: readonly (number | string)[], options: OpenDatasetOptions) =>
    (await labelled(labels, options)).samples.map(({label}) => label);

  test('-1 alone is no name of a class', async () => {
    expect((await refusal(labelled([-1, -1, -1], {}))).message).toContain('-1');
  });

  test.each<[string, number[], OpenDatasetOptions, number[]]>([
    ['the first class is there', [0, 3, 9], {outputs: 10}, [0, 3, 9]],
    ['one class is missing, the last is there', [1, 2, 4, 10], {outputs: 10}, [0, 1, 3, 9]],
    ['asked for: from 0', [1, 2, 9], {outputs: 10, labelBase: 0}, [1, 2, 9]],
    ['asked for: from 1', [1, 2, 9], {outputs: 10, labelBase: 1}, [0, 1, 8]],
    ['asked for, where no model is known', [1, 2], {labelBase: 1}, [0, 1]],
  ])('%s', async (_, labels, options, expected) => {
    expect(await labelsOf(labels, options)).toEqual(expected);
  });

  test('labels 1 to 9 of ten classes are not shifted: what they leave open is an error with both readings', async () => {
    const error = await refusal(labelled([1, 2, 3, 4, 5, 6, 7, 8, 9], {outputs: 10}));
    expect(error.code).toBe('DATASET_INVALID');
    expect(error.message).toMatch('labels run from 1 to 9 and there are 10 outputs');
    expect(error.message).toMatch('classes 1 to 9 if they count from 0, 0 to 8 if they count from 1');
    expect(error.hint).toMatch(/--label-base 0.*--label-base 1/);
    expect((await refusal(labelled([1, 2, 3, 4, 5, 6, 7, 8, 9], {}))).hint).toMatch('--label-base');
  });

  test('a guess is said, an answer is not', async () => {
    const guessed = await labelled([1, 10], {outputs: 10});
    expect(guessed.warnings).toEqual([
      {
        kind: 'label-base',
        count: 2,
        examples: [],
        message: expect.stringMatching(/labels\.txt run from 1 to 10 and were counted from 1, for there are 10 outputs$/),
      },
    ]);
    expect((await labelled([1, 10], {outputs: 10, labelBase: 1})).warnings).toEqual([]);
  });

  test('lines of images that the set does not have tell the base too, and are counted', async () => {
    for (const name of ['a.jpg', 'b.jpg']) put(`set/${name}`);
    const labels = put('labels.txt', 'file label\na.jpg 1\nb.jpg 4\nc.jpg 0\nd.jpg 2\n');
    const set = await opened({labels, outputs: 10});
    expect(set.samples.map(({label}) => label)).toEqual([1, 4]);
    expect(said(set)).toEqual([expect.stringMatching(/^2 labels in .*labels.txt name no image of the set: c.jpg, d.jpg$/)]);
  });

  test.each<[number[], OpenDatasetOptions, number, number]>([
    [[0, 3, 11, 2], {outputs: 10}, 3, 11],
    [[0, 3, 10], {outputs: 10}, 3, 10],
    [[1, 1000, 7], {outputs: 10}, 2, 1000],
    [[1, 10], {outputs: 10, labelBase: 0}, 2, 10],
    [[1, 0], {outputs: 10, labelBase: 1}, 2, 0],
    [[1, 3, -1], {outputs: 10}, 3, -1],
    [[0, 3, 5_000_000_000], {outputs: 10}, 3, 5_000_000_000],
  ])('%j with %j: line %i, label %i is no output', async (labels, options, line, label) => {
    const error = await refusal(labelled(labels, options));
    expect([error.code, error.at]).toEqual(['DATASET_INVALID', `${join(root, 'labels.txt')}: line ${line}`]);
    expect(error.message).toMatch(`line ${line}: ${label} is not among the labels of a model with 10 outputs`);
    expect(error.data).toEqual({where: `line ${line}`, label, outputs: 10});
  });

  test('of a JSON map the file is named', async () => {
    put('set/a.jpg');
    const error = await refusal(opened({labels: put('labels.json', '{"a.jpg": 12, "b.jpg": 0}'), outputs: 10}));
    expect(error.message).toMatch("'a.jpg': 12 is not among the labels");
  });
});

describe('whose label it is', () => {
  beforeEach(() => {
    for (const path of ['set/cat/0.jpg', 'set/cat/1.jpg', 'set/dog/0.jpg']) put(path);
  });

  test('a name without its folders must not mean several images', async () => {
    const error = await refusal(opened({labels: put('l.txt', '0.jpg 3\n1.jpg 3\n'), outputs: 4}));
    expect(error.message).toMatch("gives one label to '0.jpg', and 2 images have that name: cat/0.jpg, dog/0.jpg");
    expect(error.hint).toMatch('cat/0.jpg LABEL');
    const right = await opened({labels: put('l.txt', 'cat/0.jpg 0\n1.jpg 3\ndog/0.jpg 2\n'), outputs: 4});
    expect(right.samples.map(({label}) => label)).toEqual([0, 3, 2]);
  });

  test('two labels for one file, and a class listed twice', async () => {
    const twice = put('l.txt', 'cat/0.jpg 0\ncat/1.jpg 1\ndog/0.jpg 2\ncat/0.jpg 3\n');
    await expect(opened({labels: twice, outputs: 4})).rejects.toThrow("gives 'cat/0.jpg' two labels: 0 on line 1, 3 on line 4");
    await expect(opened({labels: put('l.txt', 'cat\ndog\ncat\n')})).rejects.toThrow("lists 'cat' twice, on line 1 and line 3");
  });
});

describe('ILSVRC2012’s validation images', () => {
  const kit = [490, 361, 171, 822, 297, 482, 13, 704];
  const networks = [65, 970, 230, 809, 516, 57, 334, 415];
  const name = (i: number) => `ILSVRC2012_val_0000000${i + 1}.JPEG`;
  const pairs = (labels: readonly number[], by = 0) => labels.map((label, i) => `${name(i)} ${label + by}\n`).join('');
  const lines = (labels: readonly number[], by = 0) => labels.map((label) => `${label + by}\n`).join('');
  beforeEach(() => {
    for (const i of kit.keys()) put(`set/${name(i)}`);
  });

  test.each([
    ['lines', lines(kit)],
    ['lines less one', lines(kit, -1)],
    ['pairs', pairs(kit)],
    ['pairs less one', pairs(kit, -1)],
    ['JSON', JSON.stringify(Object.fromEntries(kit.map((label, i) => [name(i), label])))],
    ['pairs of which one image is known', `ILSVRC2012_val_00000005.JPEG ${kit[4]}\nILSVRC2012_val_00040000.JPEG 3\n`],
  ])('the development kit’s numbers as %s are refused', async (_, content) => {
    if (content.includes('40000')) {
      rmSync(join(root, 'set'), {recursive: true});
      for (const number of ['00005', '40000']) put(`set/ILSVRC2012_val_000${number}.JPEG`);
    }
    await expect(opened({labels: put('l.txt', content), outputs: 1000})).rejects.toThrow(/own class numbers/);
  });

  test('a network of 100 classes may have such a number by chance', async () => {
    rmSync(join(root, 'set'), {recursive: true});
    put(`set/${name(6)}`);
    const set = await opened({labels: put('l.txt', `${name(6)} 13\nother.jpg 0\n`), outputs: 100});
    expect(set.samples.map(({label}) => label)).toEqual([13]);
  });

  test('folders called by the kit’s numbers are refused for a network of 1,000 classes, not for training', async () => {
    rmSync(join(root, 'set'), {recursive: true});
    for (const [i, label] of kit.entries()) put(`set/${label}/${name(i)}`);
    await expect(opened({outputs: 1000})).rejects.toThrow(/own class numbers/);
    expect((await opened()).classes).toHaveLength(8);
  });

  test.each([
    ['from 0', 0, []],
    ['from 1', 1, [expect.stringMatching(/were counted from 1, as ILSVRC2012's images tell$/)]],
  ])('the networks’ order is known %s', async (_, by, warnings) => {
    for (const content of [lines(networks, by), pairs(networks, by)]) {
      const set = await opened({labels: put('l.txt', content), outputs: 1000});
      expect(set.samples.map(({label}) => label)).toEqual(networks);
      expect(said(set)).toEqual(warnings);
    }
  });

  test('networks with a class for the background count the others from 1', async () => {
    const set = await opened({labels: put('l.txt', pairs(networks, 1)), outputs: 1001});
    expect(set.samples.map(({label}) => label)).toEqual(networks.map((label) => label + 1));
  });

  test('what no image tells is said', async () => {
    rmSync(join(root, 'set'), {recursive: true});
    for (const number of ['30000', '40000']) put(`set/ILSVRC2012_val_000${number}.JPEG`);
    const unknown = 'ILSVRC2012_val_00030000.JPEG 0\nILSVRC2012_val_00040000.JPEG 3\n';
    const set = await opened({labels: put('l.txt', unknown), outputs: 1000});
    expect(set.warnings).toMatchObject([{kind: 'unchecked-order', count: 2}]);
    // lines of images that the set does not have tell as well
    await expect(opened({labels: put('l.txt', unknown + pairs(kit)), outputs: 1000})).rejects.toThrow(/own class numbers/);
    const right = await opened({labels: put('l.txt', unknown + pairs(networks)), outputs: 1000});
    expect(right.warnings.map(({kind}) => kind)).toEqual(['unused-labels']);
  });

  test('any other order is said', async () => {
    const other = networks.map((label) => 999 - label);
    const set = await opened({labels: put('l.txt', pairs([0, ...other.slice(1)])), outputs: 1000});
    expect(said(set)).toEqual([expect.stringMatching(/^8 images of ILSVRC2012 have other labels than .*65 for the first/)]);
  });
});

describe('what a set leaves open', () => {
  test.each([
    [['1', '2', '10'], '1, 10, 2'],
    [['class_1', 'class_2', 'class_3', 'class_10'], 'class_1, class_10, class_2, class_3'],
    [['0_ant', '7_cat', '11_dog', '100_eel', '101_fox'], '0_ant, 100_eel, 101_fox, 11_dog, …'],
  ])('numbered class folders %j', async (folders, order) => {
    for (const folder of folders) put(`set/${folder}/1.jpg`);
    const [warning] = (await opened()).warnings;
    expect([warning!.kind, warning!.count]).toEqual(['numbered-classes', folders.length]);
    expect(warning!.message).toMatch(`${order}. For the order of numbers pad them with zeros`);
    const labels = put('classes.txt', folders.join('\n'));
    expect((await opened({labels})).warnings).toEqual([]);
  });
  test.each([[['01', '02', '10']], [['0', '1', '2']], [['DC-10', 'DC-3', 'MD-11']], [['n01440764', 'n02102040']]])(
    '%j need no word',
    async (folders) => {
      for (const folder of folders) put(`set/${folder}/1.jpg`);
      expect((await opened()).warnings).toEqual([]);
    },
  );

  test('no image has a label; where only pixels count that is not said', async () => {
    put('set/1.jpg');
    put('set/1.caption', '3');
    expect(said(await opened())).toEqual([
      "1 file without an image's ending was left out (1 .caption): 1.caption",
      'no image has a label: accuracy cannot be measured (give --labels, or sort the images into class folders)',
    ]);
    expect((await opened({imagesOnly: true})).warnings.map(({kind}) => kind)).toEqual(['not-an-image']);
  });

  test('strict: all warnings are one error', async () => {
    for (const path of ['a/1.jpg', 'a/2.heic', 'a/3.HEIC', 'a/4.heic', 'b/1.txt']) put(`set/${path}`);
    const error = await refusal(opened({strict: true}));
    expect(error.code).toBe('DATASET_INVALID');
    expect(error.message).toMatch(
      "set: 4 files without an image's ending were left out (2 .heic, 1 .HEIC, 1 .txt): a/2.heic, a/3.HEIC and 2 more; 1 class folder holds no image; it keeps its label: b",
    );
    expect(error.data?.['warnings']).toHaveLength(2);
    rmSync(join(root, 'set/b'), {recursive: true});
    await expect(opened({strict: true, imagesOnly: true})).rejects.toThrow(/3 files/);
  });

  test('a file of labels beside a set that has its own is said not to be used', async () => {
    put('set/test_batch.bin', new Uint8Array(3073));
    expect(said(await opened({labels: put('l.txt', '3\n')}))).toEqual([
      expect.stringMatching(/the file of labels was not used: the set has its own: .*l.txt/),
    ]);
  });
});

test('a file of 0 bytes has 0 bytes', async () => {
  put('set/a/1.jpg', '');
  put('set/a/2.jpg', 'whole');
  const set = await opened();
  const [empty, whole] = await Promise.all(set.samples.map((sample) => sample.read()));
  expect([empty!.length, empty!.buffer.byteLength]).toEqual([0, 0]);
  expect([whole!.length, whole!.buffer.byteLength]).toEqual([5, 5]);
});
