import {readdirSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {type Cell, type ParquetLies, parquetOf, thriftOf, type WrittenColumn} from '../../fuzz/parquet-writer.js';
import type {Dataset} from '../../src/data/dataset.js';
import {type OpenDatasetOptions, openDataset} from '../../src/data/open-dataset.js';
import {warningText} from '../../src/data/warnings.js';
import {eachInItsFolder, put, root} from './set-files.js';

eachInItsFolder();

async function opened<T>(path: string, look: (set: Dataset) => T | Promise<T>, options: OpenDatasetOptions = {}): Promise<T> {
  const set = await openDataset(path, {outputs: 3, ...options});
  try {
    return await look(set);
  } finally {
    await set.close();
  }
}
const text = async ({samples}: Dataset, i: number) => new TextDecoder().decode(await samples[i]!.read());
const labels = ({samples}: Dataset) => samples.map(({label}) => label);
const said = ({warnings}: Dataset) => warnings.map(warningText);

const image = (...values: Cell[]): WrittenColumn => ({name: 'image.bytes', type: 6, values});
const label = (...values: Cell[]): WrittenColumn => ({name: 'label', type: 2, values});
const hub = (features: object) => ({huggingface: JSON.stringify({info: {features}})});
const CLASSES = ['cat', 'dog', 'emu'];
const described = hub({image: {_type: 'Image'}, label: {_type: 'ClassLabel', names: CLASSES}});

test.each<[string, ParquetLies]>([
  ['as it is', {}],
  ['Snappy', {codec: 'snappy'}],
  ['gzip', {codec: 'gzip', pageSize: 2}],
  ['Brotli', {codec: 'brotli', groupSize: 2}],
  ['Zstandard', {codec: 'zstd', groupSize: 1}],
  ['a dictionary', {dictionary: true, codec: 'snappy', pageSize: 2}],
  ['version 2', {version: 2, pageSize: 2}],
  ['version 2, a dictionary', {version: 2, dictionary: true, codec: 'gzip', groupSize: 3}],
])('images and labels: %s', async (_, lies) => {
  const columns = [image('one', 'two', 'three', 'two', null), label(2, 0, 1, -1, 0)];
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('.gpd-'));
  await opened(put('train.parquet', parquetOf(columns, {...lies, metadata: described})), async (set) => {
    expect([set.classes, labels(set)]).toEqual([CLASSES, [2, 0, 1, undefined, 0]]);
    expect(set.samples[3]!.path).toBe(join(root, 'train.parquet#3'));
    expect([await text(set, 3), await text(set, 0), ...(await Promise.all([text(set, 2), text(set, 1)]))]).toEqual([
      'two',
      'one',
      'three',
      'two',
    ]);
    await expect(set.samples[4]!.read()).rejects.toThrow(/no bytes of it, only a path/);
    expect(said(set)).toEqual(['1 image has no label, where others have one']);
  });
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith('.gpd-') && !before.includes(name))).toEqual([]);
});

test('a repository as the hub has it: splits by the names of files', async () => {
  const file = (name: string, ...values: string[]) =>
    put(`data/${name}.parquet`, parquetOf([image(...values), label(...values.map(() => 1))], {metadata: described}));
  for (const [name, value] of [
    ['train-00000-of-00001', 'a'],
    ['validation-00000-of-00002', 'b'],
    ['validation-00001-of-00002', 'c'],
  ] as const)
    file(name, value);
  put('README.md');
  await opened(root, async (set) => {
    expect(set.samples.map(({path}) => path.slice(root.length + 1))).toEqual([
      'data/validation-00000-of-00002.parquet#0',
      'data/validation-00001-of-00002.parquet#0',
    ]);
    expect(await text(set, 1)).toBe('c');
    expect(said(set)).toEqual([expect.stringMatching(/of several sets 'val' was taken .*: train$/)]);
  });
  await opened(root, async (set) => expect([set.samples.length, await text(set, 0)]).toEqual([1, 'a']), {use: 'training'});
});

describe('columns', () => {
  const fine = hub({
    image: {_type: 'Image'},
    fine: {_type: 'ClassLabel', names: ['a', 'b', 'c', 'd']},
    coarse: {_type: 'ClassLabel', names: ['x', 'y', 'z']},
  });
  const two = () => parquetOf([image('i'), {...label(3), name: 'fine'}, {...label(1), name: 'coarse'}], {metadata: fine});

  test('of several columns of classes the one with as many as the model has outputs, or the one that is named', async () => {
    const path = put('a.parquet', two());
    await opened(path, (set) => expect([set.classes, labels(set), said(set)]).toEqual([['x', 'y', 'z'], [1], []]));
    await opened(path, (set) => expect([set.classes.length, labels(set)]).toEqual([4, [3]]), {labelColumn: 'fine'});
    await expect(openDataset(path, {labelColumn: 'colour'})).rejects.toMatchObject({hint: 'it has fine, coarse'});
  });

  test('without a description: bytes under a usual name, labels as texts', async () => {
    const columns = [
      {...image('i', 'j'), name: 'img'},
      {name: 'class', type: 6, isText: true, values: ['emu', 'ape']},
    ];
    await opened(put('a.parquet', parquetOf(columns)), (set) =>
      expect([set.classes, labels(set)]).toEqual([
        ['ape', 'emu'],
        [1, 0],
      ]),
    );
    await expect(openDataset(put('b.parquet', parquetOf([label(1)])))).rejects.toMatchObject({
      message: expect.stringMatching(/none of its columns holds images/),
      hint: expect.stringMatching(/it has label/),
    });
  });

  test('without labels', async () => {
    await opened(put('a.parquet', parquetOf([image('i')])), (set) =>
      expect([labels(set), said(set)]).toEqual([[undefined], [expect.stringMatching(/no image has a label/)]]),
    );
  });
});

describe('files that lie', () => {
  const reads = async (bytes: Uint8Array) => {
    const set = await openDataset(put('a.parquet', bytes));
    try {
      for (const {read} of set.samples) await read();
      return set.samples.length;
    } finally {
      await set.close();
    }
  };
  const columns = [image('one', 'two'), label(0, 1)];

  test.each<[string, ParquetLies, string, RegExp]>([
    ['2 billion rows', {rows: 2 ** 31}, 'LIMIT_EXCEEDED', /describes more objects/],
    ['a row more', {rows: 3}, 'DATASET_INVALID', /has 2 values for 3 rows/],
    ['a row less', {rows: 1}, 'DATASET_INVALID', /2 values where 1 rows are left/],
    ['a page that unpacks to a gigabyte', {unpacked: 2 ** 30}, 'LIMIT_EXCEEDED', /unpacks to 1073741824/],
    ['a page of another size', {codec: 'gzip', unpacked: 5}, 'DATASET_INVALID', /a page is damaged \(gzip\)/],
    ['an encoding that is not read', {encoding: 5}, 'DATASET_INVALID', /DELTA_BINARY_PACKED, which is not read here/],
    ['a compression that is not read', {codec: 'lz4'}, 'DATASET_INVALID', /LZ4_RAW, which is not read here/],
    ['places in no dictionary', {encoding: 8}, 'DATASET_INVALID', /has no dictionary/],
  ])('%s', async (_, lies, code, message) => {
    await expect(reads(parquetOf(columns, lies))).rejects.toMatchObject({code, message: expect.stringMatching(message)});
  });

  test.each<[string, Uint8Array]>([
    ['a list of four thousand million parts', Buffer.concat([Buffer.of(0x29, 0xfc), Buffer.from('ffffffff0f', 'hex')])],
    ['lists in lists', Buffer.concat([Buffer.of(0x29), Buffer.alloc(1 << 16, 0x19)])],
    ['structs in structs', Buffer.alloc(1 << 16, 0x1c)],
    ['a number without an end', Buffer.concat([Buffer.of(0x16), Buffer.alloc(1 << 16, 0xff)])],
    ['nothing', thriftOf({})],
  ])('a description of %s', async (_, footer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(footer.length);
    const bytes = Buffer.concat([Buffer.from('PAR1'), footer, length, Buffer.from('PAR1')]);
    await expect(reads(bytes)).rejects.toMatchObject({name: 'GpdError', hint: expect.any(String)});
  });

  test('cut anywhere, and any byte changed: an answer, never a hang', async () => {
    const whole = parquetOf(columns, {codec: 'snappy', dictionary: true, metadata: described});
    for (let i = 0; i < whole.length; i += 3) {
      const damaged = Uint8Array.from(whole);
      damaged[i]! ^= 0x21;
      for (const bytes of [whole.subarray(0, i), damaged]) {
        const result = await reads(bytes).catch((error: unknown) => error);
        if (result instanceof Error && result.name !== 'GpdError')
          expect(result.message).toMatch(/no bytes of it|not in the table/);
      }
    }
  });
});
