import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import {type BytesAs, type Pickled, pickleOf} from '../../fuzz/batch-pickles.js';
import type {Dataset} from '../../src/data/dataset.js';
import {type OpenDatasetOptions, openDataset} from '../../src/data/open-dataset.js';
import {decodePpm} from '../../src/data/ppm.js';
import {warningText} from '../../src/data/warnings.js';
import {tarOf} from './archives.js';
import {eachInItsFolder, put, root} from './set-files.js';

eachInItsFolder();

async function opened<T>(path: string, options: OpenDatasetOptions, look: (set: Dataset) => T | Promise<T>): Promise<T> {
  const set = await openDataset(path, options);
  try {
    return await look(set);
  } finally {
    await set.close();
  }
}
const labels = ({samples}: Dataset) => samples.map(({label}) => label);
const firstPixels = async ({samples}: Dataset, i: number) => [...decodePpm(await samples[i]!.read()).data.subarray(0, 6)];
const said = ({warnings}: Dataset) => warnings.map(warningText);

const planes = (red: number, side = 32) =>
  Uint8Array.from({length: 3 * side * side}, (_, i) => (i < side * side ? red : i < 2 * side * side ? 200 : 3));
const images = (reds: readonly number[], side = 32): Pickled => ({
  shape: [reds.length, 3 * side * side],
  bytes: Buffer.concat(reds.map((red) => planes(red, side))),
});
const NAMES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];

test.each<BytesAs>(['BINSTRING', 'encode', 'BINBYTES'])(
  'CIFAR-10 for Python, bytes as %s: test images, or those for training',
  async (as) => {
    put(
      'c/test_batch',
      pickleOf({data: images([150, 7]), labels: [3, 9], filenames: ['a.png', 'b.png'], batch_label: 'testing'}, as),
    );
    put('c/data_batch_1', pickleOf({data: images([1]), labels: [4]}, as));
    put('c/data_batch_2', pickleOf({data: images([2]), labels: [5]}, as));
    put('c/batches.meta', pickleOf({label_names: NAMES.map((name) => `a ${name}`)}));
    const folder = join(root, 'c');
    await opened(folder, {outputs: 10}, async (set) => {
      expect(labels(set)).toEqual([3, 9]);
      expect([await firstPixels(set, 0), await firstPixels(set, 1)]).toEqual([
        [150, 200, 3, 150, 200, 3],
        [7, 200, 3, 7, 200, 3],
      ]);
      expect(set.classes[9]).toBe('a truck');
      expect(said(set)).toEqual(['the test batch was taken, 2 training batches were left out: data_batch_1, data_batch_2']);
    });
    await opened(folder, {use: 'training'}, (set) => {
      expect(labels(set)).toEqual([4, 5]);
      expect(set.warnings).toEqual([]);
    });
    await opened(join(folder, 'data_batch_2'), {}, (set) => expect([labels(set), set.classes[0]]).toEqual([[5], 'a airplane']));
  },
);

test('the archive as it is downloaded, also beside its unpacked folder', async () => {
  const batch = pickleOf({data: images([150]), labels: [3]});
  const archive = gzipSync(tarOf({name: 'cifar-10-batches-py/test_batch', content: batch}));
  const path = put('root/cifar-10-python.tar.gz', archive);
  for (const place of [path, join(root, 'root')])
    await opened(place, {outputs: 10}, (set) => expect([labels(set), set.classes]).toEqual([[3], NAMES]));
  put('root/cifar-10-batches-py/test_batch', pickleOf({data: images([1, 2]), labels: [0, 1]}));
  await opened(join(root, 'root'), {outputs: 10}, (set) => expect(labels(set)).toEqual([0, 1]));
  put('root/cifar-100-python/test', pickleOf({data: images([1]), fine_labels: [0], coarse_labels: [1]}));
  put('root/cifar-100-python/meta', pickleOf({fine_label_names: ['x']}));
  await expect(openDataset(join(root, 'root'))).rejects.toThrow(
    /several sets: CIFAR-10 in cifar-10-batches-py, CIFAR-100 in cifar-100-python/,
  );
});

describe('CIFAR-100', () => {
  const fine = Array.from({length: 100}, (_, i) => `f${i}`);
  const coarse = Array.from({length: 20}, (_, i) => `c${i}`);
  const python = () => {
    put('set/test', pickleOf({data: images([1, 2]), fine_labels: [99, 3], coarse_labels: [19, 4]}));
    put('set/meta', pickleOf({fine_label_names: fine, coarse_label_names: coarse}));
  };
  const binary = () => {
    put('set/test.bin', Buffer.concat([Uint8Array.of(19, 99), planes(1), Uint8Array.of(4, 3), planes(2)]));
    put('set/fine_label_names.txt', fine.join('\n'));
    put('set/coarse_label_names.txt', `${coarse.join('\n')}\n`);
  };

  test.each([
    ['python', python],
    ['binary', binary],
  ])('%s: fine or coarse labels, by the outputs of the model or by name', async (_, make) => {
    make();
    const folder = join(root, 'set');
    await opened(folder, {outputs: 100}, (set) => expect([labels(set), set.classes, said(set)]).toEqual([[99, 3], fine, []]));
    await opened(folder, {outputs: 20}, (set) => expect([labels(set), set.classes, said(set)]).toEqual([[19, 4], coarse, []]));
    await opened(folder, {labelColumn: 'coarse'}, (set) => expect([labels(set), said(set)]).toEqual([[19, 4], []]));
    await opened(folder, {}, (set) => {
      expect(labels(set)).toEqual([99, 3]);
      expect(said(set)).toEqual([expect.stringMatching(/of several labels 'fine_labels' was taken .*: coarse_labels/)]);
    });
    await expect(openDataset(folder, {labelColumn: 'colour'})).rejects.toMatchObject({
      hint: 'it has coarse_labels and fine_labels',
    });
  });

  test('names that do not tell classes apart are none', async () => {
    binary();
    put('set/fine_label_names.txt', 'x\n'.repeat(100));
    await opened(join(root, 'set'), {outputs: 100}, (set) => expect(set.classes).toEqual([]));
  });
});

test('ImageNet of 8 pixels: labels count from 1, in arrays too', async () => {
  put(
    'set/val_data',
    pickleOf({
      data: images([1, 2], 8),
      labels: {shape: [2], dtype: 'i8', bytes: Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0, 232, 3, 0, 0, 0, 0, 0, 0])},
    }),
  );
  await opened(join(root, 'set'), {outputs: 1000}, (set) => expect(labels(set)).toEqual([0, 999]));
  await opened(join(root, 'set'), {}, async (set) =>
    expect([labels(set), (await firstPixels(set, 1))[0]]).toEqual([[0, 999], 2]),
  );
});

describe('pickles that are no batches', () => {
  const reason = async (bytes: Uint8Array) => {
    const error = await openDataset(put('test_batch', bytes)).catch((found: unknown) => found);
    expect(error).toMatchObject({code: 'DATASET_INVALID', hint: expect.any(String)});
    return (error as Error).message;
  };

  test.each<[string, Uint8Array, RegExp]>([
    ['another program', Buffer.from('\x80\x02cos\nsystem\nU\x01a\x85R.', 'latin1'), /os\.system/],
    ['a call of what is known', Buffer.from('\x80\x02cnumpy\nndarray\n)R.', 'latin1'), /calls something/],
    ['no dict', Buffer.from('\x80\x02].', 'latin1'), /of no dict/],
    ['no pixels', pickleOf({labels: [1]}), /no array 'data'/],
    [
      'too few bytes',
      pickleOf({data: {shape: [2, 3072], bytes: new Uint8Array(3072)}, labels: [1, 2]}),
      /other bytes than its shape/,
    ],
    ['enormous sizes', pickleOf({data: {shape: [2 ** 30, 2 ** 30], bytes: new Uint8Array(8)}}), /other bytes than its shape/],
    [
      'no square',
      pickleOf({data: {shape: [1, 3073], bytes: new Uint8Array(3073)}, labels: [1]}),
      /not bytes of three square planes/,
    ],
    ['floats', pickleOf({data: {shape: [1, 3072], dtype: 'f4', bytes: new Uint8Array(3072)}}), /other bytes/],
    ['a label too few', pickleOf({data: images([1, 2]), labels: [1]}), /no number as a label for each of its 2 images/],
    ['a label that is none', pickleOf({data: images([1]), labels: [10]}), /is 10, of 10 classes/],
    ['the end missing', pickleOf({data: images([1]), labels: [1]}).subarray(0, 3000), /the file has 3000/],
    ['a text', Buffer.from('hello'), /no opcode/],
  ])('%s', async (_, bytes, message) => {
    expect(await reason(bytes)).toMatch(message);
  });

  test('cut anywhere, and any byte changed: an answer, never a hang', async () => {
    const whole = pickleOf({data: images([150], 2), labels: [3]}, 'encode');
    for (let i = 0; i < whole.length; i += 3) {
      const damaged = Uint8Array.from(whole);
      damaged[i]! ^= 0x11;
      for (const bytes of [whole.subarray(0, i), damaged]) {
        const result = await openDataset(put('test_batch', bytes)).catch((error: unknown) => error);
        if (result instanceof Error) expect(result.name).toBe('GpdError');
        else await (result as Dataset).close();
      }
    }
  });
});
