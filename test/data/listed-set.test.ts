import {join} from 'node:path';
import {csvRows} from '../../src/data/csv-rows.js';
import type {Dataset} from '../../src/data/dataset.js';
import {type OpenDatasetOptions, openDataset} from '../../src/data/open-dataset.js';
import {warningText} from '../../src/data/warnings.js';
import {tarOf} from './archives.js';
import {eachInItsFolder, put, root} from './set-files.js';

eachInItsFolder();

async function opened(path = root, options: OpenDatasetOptions = {}): Promise<Dataset> {
  const set = await openDataset(path, {outputs: 5, ...options});
  await set.close();
  return set;
}
const labels = ({samples}: Dataset) => samples.map(({label}) => label);
const said = ({warnings}: Dataset) => warnings.map(warningText);

describe('imagefolder of Hugging Face', () => {
  beforeEach(() => {
    for (const name of ['b.png', 'a.jpg', 'sub/c.jpg']) put(`set/${name}`);
  });

  test.each<[string, string, string, unknown[], string[]]>([
    [
      'numbers',
      'metadata.jsonl',
      '{"file_name": "a.jpg", "label": 3}\n{"file_name": "b.png", "label": 0}\n{"file_name": "sub/c.jpg", "label": 4}\n',
      [3, 0, 4],
      [],
    ],
    [
      'names',
      'metadata.jsonl',
      '{"file_name": "./a.jpg", "text": "x", "label": "dog"}\n{"label": "cat", "file_name": "b.png"}\n{"file_name": "sub/c.jpg", "label": "dog"}',
      [1, 0, 1],
      ['cat', 'dog'],
    ],
    [
      'a table',
      'metadata.csv',
      'file_name,caption,class\r\na.jpg,"a, ""b""",2\r\nsub/c.jpg,,1\r\nb.png,x,0\r\n',
      [2, 0, 1],
      [],
    ],
    [
      'one other column',
      'metadata.csv',
      'file_name,breed\na.jpg,pug\nb.png,borzoi\nsub/c.jpg,pug\n',
      [1, 0, 1],
      ['borzoi', 'pug'],
    ],
  ])('%s', async (_, file, content, expected, classes) => {
    put(`set/${file}`, content);
    const set = await opened(join(root, 'set'));
    expect([labels(set), set.classes, said(set)]).toEqual([expected, classes, []]);
  });

  test('what is listed and not there, and the other way round, is said', async () => {
    put('set/metadata.jsonl', '{"file_name": "a.jpg", "label": 3}\n{"file_name": "z.jpg", "label": 1}\n{broken\n');
    put('set/notes.txt');
    const set = await opened(join(root, 'set'));
    expect(labels(set)).toEqual([3, undefined, undefined]);
    expect(said(set)).toEqual([
      expect.stringMatching(/^1 file without an image's ending was left out .*: notes.txt$/),
      '1 label in metadata.jsonl names no image of the set: z.jpg',
      '2 images have no label, where others have one',
    ]);
  });

  test('a file of labels that is given comes first; captions are no labels', async () => {
    put('set/metadata.jsonl', '{"file_name": "a.jpg", "text": "a dog"}\n');
    for (const name of ['b.png', 'a.jpg']) put(`flat/${name}`);
    put('flat/metadata.csv', 'file_name,label\na.jpg,1\nb.png,2\n');
    expect(labels(await opened(join(root, 'set')))).not.toContain('a dog');
    expect(labels(await opened(join(root, 'flat'), {labels: put('l.txt', '4\n0\n')}))).toEqual([4, 0]);
  });

  test('splits with a list each', async () => {
    for (const split of ['train', 'test']) {
      put(`hub/${split}/1.png`);
      put(`hub/${split}/metadata.csv`, `file_name,label\n1.png,${split === 'train' ? 1 : 2}\n`);
    }
    expect(labels(await opened(join(root, 'hub')))).toEqual([2]);
    expect(labels(await opened(join(root, 'hub'), {use: 'training'}))).toEqual([1]);
  });
});

test('Tiny ImageNet: validation images by their annotations, training images by their folders', async () => {
  const files = [
    ['wnids.txt', 'n02\nn01\n'],
    ['words.txt', 'n01\tgoldfish\n'],
    ['train/n02/images/n02_0.JPEG', ''],
    ['train/n02/n02_boxes.txt', 'n02_0.JPEG\t0\t0\t1\t1\n'],
    ['train/n01/images/n01_0.JPEG', ''],
    ['val/images/val_0.JPEG', ''],
    ['val/images/val_1.JPEG', ''],
    ['val/val_annotations.txt', 'val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t0\t32\t44\t62\n'],
    ['test/images/test_0.JPEG', ''],
  ] as const;
  const archive = put('tiny.tar', tarOf(...files.map(([name, content]) => ({name: `tiny-imagenet-200/${name}`, content}))));
  for (const [name, content] of files) put(`tiny/${name}`, content);
  for (const path of [archive, join(root, 'tiny')]) {
    const set = await opened(path);
    expect([labels(set), set.classes]).toEqual([
      [1, 0],
      ['n01', 'n02'],
    ]);
    expect(said(set)).toEqual([expect.stringMatching(/'val' was taken .*: test, train$/)]);
    const training = await opened(path, {use: 'training'});
    expect([labels(training), training.classes]).toEqual([
      [0, 1],
      ['n01', 'n02'],
    ]);
  }
});

test('rows of CSV', () => {
  expect(csvRows('a,b\r\n"x\n,""y""",\n\nlast')).toEqual([['a', 'b'], ['x\n,"y"', ''], ['last']]);
  expect(csvRows('a,"open\nb')).toEqual([['a', '"open'], ['b']]);
  expect(csvRows('a,')).toEqual([['a', '']]);
});
