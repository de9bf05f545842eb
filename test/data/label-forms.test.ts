/** Every form of a file of labels that people have gives the same labels; what is none is refused in words. */
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {GpdError} from '../../src/core/error.js';
import {random} from '../../src/core/random.js';
import {imagenetSynsets, synsetPlace} from '../../src/data/imagenet-synsets.js';
import {openDataset} from '../../src/data/open-dataset.js';
import {encodePpm} from '../../src/data/ppm.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-labels-'));
afterAll(() => rmSync(folder, {recursive: true, force: true}));
const image = encodePpm({width: 1, height: 1, data: new Uint8Array(3)});
const classes = ['bird', 'cat', 'small dog'];
const truth = [2, 0, 1, 1, 0, 2];
const files = truth.map((_, i) => `img ${i}.ppm`);

function put(set: string, paths: readonly string[]): string {
  for (const path of paths) {
    mkdirSync(join(folder, set, path, '..'), {recursive: true});
    writeFileSync(join(folder, set, path), image);
  }
  return join(folder, set);
}
const flat = put('flat', files);
const folders = put(
  'folders',
  files.map((file, i) => `${classes[truth[i]!]}/${file}`),
);

async function labelsBy(set: string, text: string | Uint8Array, more: object = {}): Promise<(number | undefined)[]> {
  writeFileSync(join(folder, 'labels.txt'), text);
  const dataset = await openDataset(set, {labels: join(folder, 'labels.txt'), ...more});
  await dataset.close();
  return dataset.samples.map(({label}) => label);
}
const rows = (row: (file: string, label: number, i: number) => string) =>
  files.map((file, i) => row(file, truth[i]!, i)).join('\n');
const stem = (file: string) => file.replace('.ppm', '');
const utf16 = (text: string) => Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
const objects = files.map((file_name, i) => ({file_name, label: truth[i]!}));

const byFile: Readonly<Record<string, string | Uint8Array>> = {
  'FILE LABEL': rows((f, l) => `${f} ${l}`),
  'FILE NAME with spaces': rows((f, l) => `${f} ${classes[l]}`),
  'CSV without a header': rows((f, l) => `${f},${l}`),
  'CSV with a header': `image,label\n${rows((f, l) => `${f},${l}`)}`,
  'CSV, label first': `label,image\n${rows((f, l) => `${l},${f}`)}`,
  'CSV with an index column': `,image,target\n${rows((f, l, i) => `${i},${f},${l}`)}`,
  'CSV in quotes': `"image","label"\n${rows((f, l) => `"${f}","${classes[l]}"`)}`,
  'Kaggle without endings': `id_code,diagnosis\n${rows((f, l) => `${stem(f)},${l}`)}`,
  'CSV with other folders': `file,label\n${rows((f, l) => `./train/x/${f},${l}`)}`,
  TSV: `file\tlabel\n${rows((f, l) => `${f}\t${classes[l]}`)}`,
  semicolons: `file;label\n${rows((f, l) => `${f};${l}`)}`,
  'byte order mark and CRLF': `\ufefffile,label\r\n${rows((f, l) => `${f},${l}`).replaceAll('\n', '\r\n')}\r\n`,
  'UTF-16': utf16(rows((f, l) => `${f},${l}`)),
  'JSON by file': JSON.stringify(Object.fromEntries(objects.map(({file_name, label}) => [file_name, label]))),
  'JSON by label': JSON.stringify(Object.fromEntries([0, 1, 2].map((l) => [l, files.filter((_, i) => truth[i] === l)]))),
  'JSON pairs': JSON.stringify(objects.map(({file_name, label}) => [file_name, label])),
  'JSON records': JSON.stringify(objects),
  'JSON lines': objects.map((one) => JSON.stringify(one)).join('\n'),
  'labels in order': truth.join('\n'),
  'a JSON list in order': JSON.stringify(truth.map((l) => classes[l])),
};
test.each(Object.entries(byFile))('labels of files: %s', async (_, text) => {
  expect(await labelsBy(flat, text)).toEqual(truth);
});

const order = ['small dog', 'bird', 'cat'];
const byClass: Readonly<Record<string, string>> = {
  lines: order.join('\n'),
  class_to_idx: JSON.stringify({bird: 1, cat: 2, 'small dog': 0}),
  id2label: JSON.stringify({1: 'bird', 2: 'cat', 0: 'small dog'}),
  'Keras class_index': JSON.stringify({0: ['n1', 'small dog'], 1: ['n2', 'bird'], 2: ['n3', 'cat']}),
  'JSON list': JSON.stringify(order),
};
test.each(Object.entries(byClass))('classes in label order: %s', async (_, text) => {
  const found = (await labelsBy(folders, text)).map((label) => order[label!]);
  expect(found).toEqual(files.map((_, i) => [...files].sort()[i]).map(() => expect.any(String)));
  expect(found).toEqual(['small dog', 'small dog', 'bird', 'bird', 'cat', 'cat']);
});

test('classes of two words each', async () => {
  const set = put('words', ['small dog/1.ppm', 'big cat/2.ppm']);
  expect(await labelsBy(set, 'small dog\nbig cat\n')).toEqual([0, 1]);
});

test('names in two Unicode forms are one', async () => {
  const set = put(
    'nfd',
    ['é1.ppm', 'é2.ppm'].map((name) => name.normalize('NFD')),
  );
  expect(await labelsBy(set, 'é1.ppm,1\né2.ppm,0\n')).toEqual([1, 0]);
  const inFolders = put(
    'nfd-folders',
    ['éa/1.ppm', 'éb/2.ppm'].map((name) => name.normalize('NFD')),
  );
  expect(await labelsBy(inFolders, 'éb\néa\n')).toEqual([0, 1]);
});

test('ILSVRC’s solution file: the synset before the boxes', async () => {
  const set = put('boxes', ['ILSVRC2012_val_00000009.ppm', 'ILSVRC2012_val_00000010.ppm']);
  const text =
    'ImageId,PredictionString\nILSVRC2012_val_00000010,n01443537 1 2 3 4 n01443537 5 6 7 8 \nILSVRC2012_val_00000009,n02093754 1 2 3 4 \n';
  expect(await labelsBy(set, text, {outputs: 1000})).toEqual([synsetPlace('n02093754'), 1]);
});

test('folders of some of ImageNet’s synsets have the outputs of a network of 1,000 classes, and it is said', async () => {
  const names = [imagenetSynsets[217]!, imagenetSynsets[0]!, imagenetSynsets[999]!];
  const set = put(
    'imagenette',
    names.map((name) => `${name}/1.ppm`),
  );
  const dataset = await openDataset(set, {outputs: 1000});
  expect(dataset.samples.map(({label}) => label)).toEqual([0, 217, 999]);
  expect(dataset.classes).toHaveLength(1000);
  expect(dataset.warnings.map(({kind, count}) => [kind, count])).toEqual([['imagenet-subset', 3]]);
  const own = await openDataset(set, {outputs: 3});
  expect([own.classes, own.samples.map(({label}) => label)]).toEqual([[...names].sort(), [0, 1, 2]]);
});

test.each([
  ['-1\n'.repeat(6), /-1 is not among the labels/],
  [`a,b,c\n${rows((f, l) => `${f},${l},${l}`)}`, /which of its 2 columns beside 'a' holds the labels is open/],
  [`file,label\n${rows((f, l) => `${f},${l}`)}\n${files[0]},1`, /two labels/],
  [rows((f, l, i) => (i === 3 ? 'alone' : `${f} ${l}`)), /has one column where others have two/],
  ['[1, {"a": 2}]', /not of labels/],
])('refused: %j', async (text, reason) => {
  await expect(labelsBy(flat, text)).rejects.toThrow(reason);
});

test('which of several columns was taken for the labels is said', async () => {
  writeFileSync(join(folder, 'labels.txt'), `file,target,label\n${rows((f, l) => `${f},7,${l}`)}`);
  const open = (labelColumn?: string) => openDataset(flat, {labels: join(folder, 'labels.txt'), labelColumn, outputs: 10});
  const [guessed, asked] = [await open(), await open('label')];
  expect(guessed.samples.map(({label}) => label)).toEqual(truth);
  expect(guessed.warnings).toMatchObject([{kind: 'label-column', examples: ['target']}]);
  expect(asked.warnings).toEqual([]);
});

test('a set says that its classes were listed', async () => {
  writeFileSync(join(folder, 'labels.txt'), order.join('\n'));
  const listed = await openDataset(folders, {labels: join(folder, 'labels.txt')});
  expect([listed.classes, listed.classesListed]).toEqual([order, true]);
  expect((await openDataset(folders)).classesListed ?? false).toBe(false);
});

test('--label-column names the one of several columns', async () => {
  const text = `a,b,c\n${rows((f, l) => `${f},7,${l}`)}`;
  expect(await labelsBy(flat, text, {labelColumn: 'c'})).toEqual(truth);
});

test('damaged files of labels end in words, never otherwise', async () => {
  const {integer} = random('label files');
  const texts = [...Object.values(byFile), ...Object.values(byClass)].map((text) => Buffer.from(text));
  for (let i = 0; i < 400; i++) {
    const bytes = Buffer.from(texts[i % texts.length]!);
    for (let k = integer(4); k >= 0; k--) bytes[integer(bytes.length)] = '\n,;:"[]{}0a \t'.charCodeAt(integer(13));
    try {
      await labelsBy(integer(2) === 0 ? flat : folders, bytes.subarray(0, 1 + integer(bytes.length)));
    } catch (error) {
      if (!(error instanceof GpdError)) throw error;
    }
  }
});
