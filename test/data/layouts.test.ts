import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import {expandBraces} from '../../src/data/braces.js';
import type {Dataset} from '../../src/data/dataset.js';
import {type OpenDatasetOptions, openDataset} from '../../src/data/open-dataset.js';
import {warningText} from '../../src/data/warnings.js';
import {type Part, tarOf, zipOf} from './archives.js';
import {eachInItsFolder, put, root} from './set-files.js';

eachInItsFolder();

const names = (set: Dataset) => set.samples.map(({path, label}) => [path.slice(set.name.length + 1), label]);
const said = ({warnings}: Dataset) => warnings.map(warningText);
async function opened<T>(path: string, look: (set: Dataset) => T | Promise<T>, options: OpenDatasetOptions = {}): Promise<T> {
  const set = await openDataset(path, {outputs: 8, ...options});
  try {
    return await look(set);
  } finally {
    await set.close();
  }
}
const text = async (set: Dataset, i: number) => new TextDecoder().decode(await set.samples[i]!.read());

/** Of `cat/1.jpg`, 300 times 'one', and `dog/2.jpg`, all bytes twice; made by Python's tarfile with bz2 and lzma. */
const packed = {
  bz2: 'QlpoOTFBWSZTWWXNbOAAAOb/////////////////////////////////////////////wAHdJSCCqqoAEwAJmgTANATANACYAAAAEwAAAAAmAAAAAAAAAAAAAAAAACYAAkwAEwABMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEmAAmAAJgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAJSRR6SNqaAD1AA0BoANHpNNNGg0aANNGgABo0aHqeoZNAAADQMgA0NA0NBoDINDQNAAA0AAAaDI0l8CVcwChdBEmXEEQFKeHBsNRzBdabiwwIgSzMXCJIOhqJoohKKoeiyLowjKNI2jj+UdR5AI+kCQpEkb+kkQElSZJ0oSlKkMStApYlqXJemCYv7TJM00TVNkFBTldGs6KmPKkQnopEGShC7i4g8j04C1aWFLMDMeBqMMh6RcUxNBzRgYGRYB7LCWIfCxlkLKWYfSzloH4tJai1lsLaqCoqkqaqKqqyrqwrKtK2kiuIFXVeV9YH+rCsSxogshWyCwQ/QQuQzaDFIgggQY3G8IPZhzED4YkbGKHIEQQG5NmaIIIEs6DkMDoTsxhCmLF4UGg0HEhihY4aF6XtfF9X5f2AYFgn/MGwjCsMw7EMSxTFsYxrHMeyDIskybKMqyzLswzLNM2zjOs8z7QNC0TRtI0rTNO1DUtU1bWNa1zXtg2LZNm2jats27cNy3Tdt43rfN+4DguE4biOK4zjuQ5LlOW5jmuc57oOi6Tpuo6rrOu7Dsu07buO67zvvA8LxPG8jyvM870PS9T1vY9r/3ue98F4+KD4V735P0fs/hLjIREmCYP6f4mT/i7kinChIMua2cA',
  xz: '/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Cf/AVZdADGYSushqau6am51MRwV3WwdDTkkRkf/enO2VvcN91u/4JW7weSzJkD/9azbBIqsTZXLSOB4m61WZalLYQxQcsR6VThnWhIp3jxZrku0aPHrs6N0EdXdwFZJr7fj7jfIDeWwAAs2+5nxz28mnEo1swUlYQNsLoTFCqzkwJf0bPuQPUveR5bmptHyIoR2ju1/+yR0fD/8empuuWxv5Tg/kiam17SGZdo4YwoGdfyvb+ELiz1ngS6PsyNWn1QQqjEjrQNPyTe8MZ57MT06ReQcsUP6sc4y+pnPzfwtfbqLrWOSlD81Ho1gyK7eGLyBP7E8Z9aRI2SJ27CVDnYwkyPVMwcdtQyzPpEC3qo2p5nDeybO0+IDo8mTDm197yCA0i+oclNuvqf/Xw9lInhSN1abGECITYXW6jf9p37n2pLX7w5/WHSXTSCW7VZfZguPSf05q4OSDiWfAAAAAJqV40i+OoxzAAHyAoBQAAAkpypgscRn+wIAAAAABFla',
};
/** 80 MiB of zeros. */
const BOMB = 'QlpoOTFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZiY9QcwEi9EAA4AAACCAAMMwFKaYSqQjYiVSEeLuSKcKEhKzkrmg=';

describe('archives', () => {
  test.each(['bz2', 'xz'] as const)('.tar.%s: unpacked once, then read by offset', async (form) => {
    const bytes = Buffer.from(packed[form], 'base64');
    await opened(put(`set.tar.${form}`, bytes), async (set) => {
      expect(names(set)).toEqual([
        ['cat/1.jpg', 0],
        ['dog/2.jpg', 1],
      ]);
      expect([...(await set.samples[1]!.read())]).toEqual(Array.from({length: 512}, (_, i) => i % 256));
      expect(await text(set, 0)).toBe('one'.repeat(300));
    });
    for (let at = 6; at < bytes.length; at += 37) {
      const damaged = Uint8Array.from(bytes);
      damaged[at]! ^= 0x10;
      for (const wrong of [bytes.subarray(0, at), damaged])
        await expect(openDataset(put('wrong', wrong))).rejects.toMatchObject({code: 'DATASET_INVALID'});
    }
  });

  test('bzip2: a bomb, and streams behind each other', async () => {
    const bomb = put('bomb.tar.bz2', Buffer.from(BOMB, 'base64'));
    await expect(openDataset(bomb)).rejects.toMatchObject({code: 'LIMIT_EXCEEDED'});
    const twice = Buffer.concat([Buffer.from(packed.bz2, 'base64'), Buffer.from('QlpoORdyRThQkAAAAAA=', 'base64')]);
    await opened(put('twice.tar.bz2', twice), (set) => expect(set.samples).toHaveLength(2));
  });

  test.each([true, false])('.zip: entries are read by offset, deflated: %s', async (deflate) => {
    const bytes = zipOf(
      {'set/dog/2.jpg': 'two'.repeat(99), 'set/cat/1.jpg': 'one', '__MACOSX/set/._1.jpg': 'x', 'set/a.txt': ''},
      {deflate},
    );
    await opened(put('set.zip', bytes), async (set) => {
      expect(names(set)).toEqual([
        ['cat/1.jpg', 0],
        ['dog/2.jpg', 1],
      ]);
      expect([await text(set, 1), await text(set, 0)]).toEqual(['two'.repeat(99), 'one']);
      expect(said(set)).toEqual(["1 file without an image's ending was left out (1 .txt): a.txt"]);
    });
    const damaged = Uint8Array.from(bytes);
    damaged[50]! ^= 1; // in the first image
    await opened(put('damaged.zip', damaged), async (set) => {
      await expect(set.samples[1]!.read()).rejects.toThrow(/checksum|damaged/);
    });
  });

  test('.zip: names that lead out, and an entry that unpacks to more than an image', async () => {
    await expect(openDataset(put('a.zip', zipOf({'../1.jpg': 'x'})))).rejects.toMatchObject({code: 'DATASET_INVALID'});
    await opened(put('b.zip', zipOf({'cat/1.jpg': new Uint8Array(65 << 20)})), async (set) => {
      await expect(set.samples[0]!.read()).rejects.toThrow(/more than 50 times its size/);
    });
  });

  test('a tar of tars: each is a class, as ILSVRC2012 is shipped', async () => {
    const inner = (name: string) => ({name: `${name}.tar`, content: tarOf({name: `${name}_10.JPEG`, content: name})});
    const bytes = tarOf(inner('n01440764'), inner('n01443537'));
    for (const path of [put('train.tar', bytes), put('train.tar.gz', gzipSync(bytes))]) {
      await opened(path, async (set) => {
        expect(names(set)).toEqual([
          ['n01440764/n01440764_10.JPEG', 0],
          ['n01443537/n01443537_10.JPEG', 1],
        ]);
        expect(await text(set, 1)).toBe('n01443537');
      });
    }
  });

  test('archives of several sets: one is taken, the others are not unpacked', async () => {
    put('imagenet_train.tar.gz', 'this is no archive');
    put('imagenet_val.tar', tarOf({name: 'cat/1.jpg'}));
    await opened(root, (set) => {
      expect(names(set)).toEqual([['cat/1.jpg', 0]]);
      expect(said(set)).toEqual([expect.stringMatching(/of several sets 'val' was taken .*: train$/)]);
    });
  });

  test('more shards than may be open at once', async () => {
    const count = 100;
    for (let i = 0; i < count; i++) put(`${String(i).padStart(5, '0')}.tar`, tarOf({name: 'a/1.jpg', content: `${i}`}));
    await opened(root, async (set) => {
      const read = await Promise.all(set.samples.map((_, i) => text(set, i)));
      expect(read.map(Number).sort((a, b) => a - b)).toEqual(Array.from({length: count}, (_, i) => i));
    });
  });
});

describe('WebDataset', () => {
  const shard = (...samples: [key: string, files: Record<string, string>][]): Uint8Array =>
    tarOf(
      ...samples.flatMap(([key, files]) =>
        Object.entries(files).map(([ending, content]): Part => ({name: `${key}.${ending}`, content})),
      ),
    );
  const first = () => shard(['000', {jpg: 'a', cls: '3'}], ['001', {cls: '0\n', png: 'b'}]);
  const second = () => shard(['000', {jpg: 'c', cls: '7', 'seg.png': 'mask'}], ['001', {jpeg: 'd'}]);

  test('images and labels of one key, in a folder of shards', async () => {
    put('shard-00.tar', first());
    put('shard-01.tar', second());
    await opened(root, async (set) => {
      expect(names(set)).toEqual([
        ['shard-00/000.jpg', 3],
        ['shard-00/001.png', 0],
        ['shard-01/000.jpg', 7],
        ['shard-01/001.jpeg', undefined],
      ]);
      expect(await text(set, 2)).toBe('c');
      expect(said(set)).toEqual([
        '1 image was left out: of each sample one is taken (jpg, png, jpeg): shard-01/000.seg.png',
        '1 image has no label, where others have one',
      ]);
    });
  });

  test('a list of shards in braces, one of them missing', async () => {
    for (const i of [8, 9, 10]) put(`s-${String(i).padStart(3, '0')}.tar`, first());
    await opened(join(root, 's-{009..010}.tar'), (set) => expect(set.samples).toHaveLength(4));
    await opened(join(root, 's-{008,010}.tar'), (set) => expect(set.samples).toHaveLength(4));
    await expect(openDataset(join(root, 's-{009..011}.tar'))).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('s-011.tar'),
    });
    expect(expandBraces('{a,b}{8..10}')).toEqual(['a8', 'a9', 'a10', 'b8', 'b9', 'b10']);
    expect(expandBraces('{3..1}{x}')).toEqual(['3{x}', '2{x}', '1{x}']);
    expect(() => expandBraces('{0..999999999}')).toThrow(/more than 100000 files/);
  });

  test.each<[string, Record<string, string>[], unknown[], string[], string[]]>([
    ['JSON objects', [{json: '{"label": 2, "caption": "x"}'}, {json: '{"label": 0}'}], [2, 0], [], []],
    ['JSON numbers', [{json: '4'}, {json: '1'}], [4, 1], [], []],
    ['JSON of names', [{json: '{"class_name": "dog"}'}, {json: '{"class_name": "cat"}'}], [1, 0], ['cat', 'dog'], []],
    ['names', [{cls: 'dog'}, {cls: 'cat'}], [1, 0], ['cat', 'dog'], []],
    ['numbers in texts', [{txt: '5'}, {txt: '2'}], [5, 2], [], []],
    [
      'counted from 1, to the last output',
      [{cls: '8'}, {cls: '1'}],
      [7, 0],
      [],
      ['labels in .* run from 1 to 8 and were counted from 1'],
    ],
    [
      'captions',
      [{txt: 'a cat on a mat'}, {txt: 'two dogs'}],
      [undefined, undefined],
      [],
      ['2 texts beside the images were not taken for labels', 'no image has a label'],
    ],
    [
      'two columns',
      [{json: '{"label": 2, "coarse_label": 1}'}, {json: '{"label": 0, "coarse_label": 0}'}],
      [2, 0],
      [],
      ["'label' .*: coarse_label"],
    ],
  ])('labels as %s', async (_, files, labels, classes, warnings) => {
    const path = put('s.tar', shard(...files.map((own, i): [string, Record<string, string>] => [`k${i}`, {jpg: 'x', ...own}])));
    await opened(path, (set) => {
      expect(set.samples.map(({label}) => label)).toEqual(labels);
      expect(set.classes).toEqual(classes);
      expect(said(set)).toEqual(warnings.map((text) => expect.stringMatching(text)));
    });
  });

  test('another column, and class names from a file', async () => {
    const path = put('s.tar', shard(['0', {jpg: '', json: '{"label": 2, "coarse_label": 1}'}]));
    await opened(path, (set) => expect(set.samples[0]!.label).toBe(1), {labelColumn: 'coarse'});
    await expect(openDataset(path, {labelColumn: 'colour'})).rejects.toMatchObject({hint: 'it has label, coarse_label'});
    await opened(path, (set) => expect(set.classes).toEqual(['ant', 'bee', 'cow']), {labels: put('l.txt', 'ant\nbee\ncow\n')});
    await opened(path, (set) => expect(said(set).at(-1)).toMatch(/the set has its own/), {labels: put('l.txt', '0.jpg 1\n')});
  });

  test.each([
    ['cls', '1', '9', /9 is not among the labels of a model with 8 outputs/],
    ['json', '1', '-1', /the json of 1.jpg is -1, which is no label/],
    ['json', '{"label": 1}', '{"label": 1.5}', /is 1.5, which is no label/],
    ['json', '{"label": 1}', '{"label": "cat"}', /mixes numbers and names: the label of 1.jpg is 'cat'/],
  ])('%s: beside %j, %j is no label', async (ending, right, wrong, reason) => {
    const path = put('s.tar', shard(['0', {jpg: '', [ending]: right}], ['1', {jpg: '', [ending]: wrong}]));
    await expect(openDataset(path, {outputs: 8})).rejects.toThrow(reason);
  });

  test('texts and JSON beside images in class folders are no labels', async () => {
    for (const path of ['cat/1.jpg', 'cat/1.json', 'dog/2.jpg', 'dog/2.json']) put(path, '{"label": 5}');
    await opened(root, (set) => expect(set.samples.map(({label}) => label)).toEqual([0, 1]));
  });

  test('shards without labels: images in no class; with class folders inside: their classes', async () => {
    for (const i of [0, 1]) put(`s${i}.tar`, tarOf({name: `${i}.jpg`}));
    await opened(root, (set) => {
      expect(names(set)).toEqual([
        ['s0.tar#0.jpg', undefined],
        ['s1.tar#1.jpg', undefined],
      ]);
      expect(said(set)).toEqual([expect.stringMatching(/no image has a label/)]);
    });
    for (const i of [0, 1]) put(`s${i}.tar`, tarOf({name: `cat/${i}.jpg`}, {name: `dog/${i}.jpg`}));
    await opened(root, (set) => expect(set.classes).toEqual(['cat', 'dog']));
  });
});
