import {mkdirSync, readdirSync, rmSync, symlinkSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import type {Dataset} from '../../src/data/dataset.js';
import {compareText} from '../../src/data/entries.js';
import {openDataset} from '../../src/data/open-dataset.js';
import {decodePpm} from '../../src/data/ppm.js';
import {warningText} from '../../src/data/warnings.js';
import {type Part, paxRecord, tarOf, tarPart} from './archives.js';
import {eachInItsFolder, put, root} from './set-files.js';

eachInItsFolder();

const names = (set: Dataset) => set.samples.map(({path, label}) => [path.slice(set.name.length + 1), label]);
async function opened<T>(path: string, look: (set: Dataset) => T | Promise<T>, labels?: string): Promise<T> {
  const set = await openDataset(path, {labels, outputs: 8});
  try {
    return await look(set);
  } finally {
    await set.close();
  }
}
const text = async (set: Dataset, i: number) => new TextDecoder().decode(await set.samples[i]!.read());

describe('image folders', () => {
  test('an image beside the class folders of a set inside makes one class of all, and is named', async () => {
    for (const path of ['set/cat/1.jpg', 'set/dog/1.jpg', 'set/stray.jpg']) put(path);
    await opened(root, (set) => {
      expect(set.classes).toEqual(['set']);
      const what = "1 image lies beside folders of images in 'set', which was taken for the only class: set/stray.jpg";
      expect(set.warnings.map(warningText)).toEqual([what]);
    });
  });

  test('are read in the order of torchvision: classes, then folders, then names, by code point', async () => {
    for (const path of ['b/2.JPG', 'b/10.png', 'Z/x.webp', 'a/z.jpg', 'a/sub/a.jpg', 'a/sub-2/a.jpg', 'é/1.jpeg']) put(path);
    for (const path of ['b/notes.txt', 'b/.hidden.jpg', 'a/._z.jpg', '.git/x.jpg', 'top.jpg']) put(path);
    for (const path of ['a/Thumbs.db', 'b/desktop.ini', '@eaDir/a/z.jpg', 'lost+found/x.jpg']) put(path);
    mkdirSync(join(root, 'empty'));
    await opened(root, async (set) => {
      expect(set.classes).toEqual(['Z', 'a', 'b', 'empty', 'é']);
      expect(names(set)).toEqual([
        ['Z/x.webp', 0],
        ['a/z.jpg', 1],
        ['a/sub/a.jpg', 1],
        ['a/sub-2/a.jpg', 1],
        ['b/10.png', 2],
        ['b/2.JPG', 2],
        ['é/1.jpeg', 4],
      ]);
      expect(await text(set, 3)).toBe('a/sub-2/a.jpg');
      expect(set.warnings.map(warningText)).toEqual([
        "1 file without an image's ending was left out (1 .txt): b/notes.txt",
        '1 image in no class folder was left out: top.jpg',
        '1 class folder holds no image; it keeps its label: empty',
      ]);
    });
  });

  test('follow links, but not in circles', async () => {
    put('real/1.jpg');
    mkdirSync(join(root, 'set/cat'), {recursive: true});
    symlinkSync(join(root, 'real'), join(root, 'set/dog'));
    symlinkSync(join(root, 'real/1.jpg'), join(root, 'set/cat/2.jpg'));
    symlinkSync(join(root, 'set'), join(root, 'set/cat/loop'));
    symlinkSync(join(root, 'nowhere'), join(root, 'set/cat/3.jpg'));
    await opened(join(root, 'set'), (set) => {
      expect(names(set)).toEqual([
        ['cat/2.jpg', 0],
        ['dog/1.jpg', 1],
      ]);
      expect(set.warnings.map(warningText)).toEqual([
        '1 link back to a folder around it was not followed: cat/loop',
        '1 link to no file was left out: cat/3.jpg',
      ]);
    });
  });

  test('a folder of sets is not taken for classes: one of them is taken, and the others are named', async () => {
    for (const path of ['train/cat/1.jpg', 'val/cat/2.jpg', 'Test/3.jpg']) put(path);
    await opened(root, (set) => {
      expect(names(set)).toEqual([['cat/2.jpg', 0]]);
      const what = "of several sets 'val' was taken (name the folder or file of another to have that); left out: Test, train";
      expect(set.warnings.map(warningText)).toEqual([what]);
    });
    const training = await openDataset(root, {use: 'training'});
    expect([names(training), training.warnings]).toEqual([[['cat/1.jpg', 0]], []]);
    await expect(openDataset(root, {strict: true})).rejects.toThrow(/of several sets/);
  });

  test('a folder with one top folder is entered, as archives are', async () => {
    for (const path of ['data/images/cat/1.jpg', 'data/images/dog/1.jpg', 'data/README']) put(path);
    await opened(root, (set) => expect(set.classes).toEqual(['cat', 'dog']));
  });

  test('nothing in it, or nothing there', async () => {
    await expect(openDataset(root)).rejects.toThrow(/no images were found; it is empty/);
    put('cat/1.txt');
    const hint = (text: string) => ({hint: expect.stringContaining(text)});
    await expect(openDataset(root)).rejects.toMatchObject(hint('images end in .jpg .jpeg .png'));
    put('n01440764.tar');
    await expect(openDataset(root)).rejects.toThrow(
      /1 file with an archive's ending is no archive and was left out: n01440764.tar/,
    );
    rmSync(join(root, 'n01440764.tar'));
    await expect(openDataset(root)).rejects.toThrow(/1 other files: cat\/1.txt/);
    await expect(openDataset(join(root, 'no'))).rejects.toMatchObject({code: 'FILE_UNREADABLE'});
  });

  test('code-point order where UTF-16 differs', () => {
    expect(['\u{1f600}', '\uffee', 'z', 'z1', ''].sort(compareText)).toEqual(['', 'z', 'z1', '\uffee', '\u{1f600}']);
  });
});

describe('labels from a file', () => {
  const images = ['ILSVRC2012_val_00000002.JPEG', 'ILSVRC2012_val_00000001.JPEG', 'ILSVRC2012_val_00000003.JPEG'];
  beforeEach(() => {
    for (const name of images) put(`val/${name}`);
  });
  const labelsOf = (content: string) =>
    opened(
      join(root, 'val'),
      (set) => ({labels: set.samples.map(({label}) => label), classes: set.classes}),
      put('labels.txt', content),
    );

  test.each<[string, string, number[], string[]]>([
    ['synsets, a line an image', 'n03\nn01\nn03\n', [1, 0, 1], ['n01', 'n03']],
    ['numbers from 0', '5\n0\n7', [5, 0, 7], []],
    ['numbers from 1', '2\n1\r\n8\n', [1, 0, 7], []],
    ['numbers as a table of floats has them', '5.0\n0.0\n7.0', [5, 0, 7], []],
    ['numbers of a few classes, the last among them', '5\n4\n8', [4, 3, 7], []],
    ['file and number', `${images[0]} 7\n${images[1]} 6\n${images[2]} 0\n`, [6, 7, 0], []],
    ['names that could be numbers', '12e4\nab34\n0x1', [1, 2, 0], ['0x1', '12e4', 'ab34']],
    ['file and synset, by commas', `${images[0]},n2\n${images[1]}, n1\n${images[2]},n2`, [0, 1, 1], ['n1', 'n2']],
    ['JSON', JSON.stringify({[images[0]!]: 7, [images[1]!]: 6, [images[2]!]: 0}), [6, 7, 0], []],
  ])('%s', async (_, content, labels, classes) => {
    expect(await labelsOf(content)).toEqual({labels, classes});
  });

  test.each([
    ['2\n1', /2 labels for 3 images/],
    ['2\nn1\n3', /mixes numbers and names/],
    ['0.5\n1.5\n0.5', /labels\.txt: the label '0\.5' \(line 1\) is not a whole number/],
    ['cat\n1.5\ndog', /the label '1\.5' \(line 2\) is not a whole number/],
    ['0\n0x1\n2', /the label '0x1' \(line 2\) is not a whole number/],
    ['0\n1\n1e1', /the label '1e1' \(line 3\) is not a whole number/],
    [JSON.stringify({[images[0]!]: 0.5, [images[1]!]: 1, [images[2]!]: 2}), /the label '0\.5' \('.*'\) is not a whole/],
    ['', /is empty/],
    ['1\n\n2\n3', /line 2 is empty/],
    ['a 1\nb', /line 2.*one column/],
    ['a 1\nb 2', /no label for 3 of 3 images/],
    ['{"a": []}', /neither a number nor a name/],
    ['{', /not valid JSON/],
    ['1\n2\n\u00001 3', /no label|one column/],
  ])('%j is refused', async (content, reason) => {
    await expect(labelsOf(content)).rejects.toThrow(reason);
  });

  test('ILSVRC2012’s own numbering is recognised, and refused', async () => {
    rmSync(join(root, 'val'), {recursive: true});
    for (let i = 1; i <= 8; i++) put(`val/ILSVRC2012_val_0000000${i}.JPEG`);
    await expect(labelsOf('490\n361\n171\n822\n297\n482\n13\n704\n')).rejects.toThrow(/own class numbers/);
  });

  test('without labels they are unknown', async () => {
    await opened(join(root, 'val'), (set) => {
      expect(set.samples.map(({label}) => label)).toEqual([undefined, undefined, undefined]);
      expect(set.classes).toEqual([]);
    });
  });

  test('for class folders, the order of the classes', async () => {
    for (const path of ['set/cat/1.jpg', 'set/dog/1.jpg']) put(path);
    const file = put('classes.txt', 'dog\ncow\ncat\n');
    await opened(
      join(root, 'set'),
      (set) => {
        expect(set.classes).toEqual(['dog', 'cow', 'cat']);
        expect(names(set)).toEqual([
          ['dog/1.jpg', 0],
          ['cat/1.jpg', 2],
        ]);
      },
      file,
    );
    await expect(openDataset(join(root, 'set'), {labels: put('few.txt', 'dog\n')})).rejects.toThrow(
      /does not list 1 of the 2.*cat/,
    );
  });
});

describe('tar archives', () => {
  const archive = (...parts: (Part | Uint8Array)[]) => put('set.tar', tarOf(...parts));
  const longName = `cat/${'x'.repeat(150)}.jpg`;

  test.each(['tar', 'tar.gz'])('%s: read like the folder, contents by offset', async (form) => {
    const bytes = tarOf(
      {name: './', type: '5'},
      {name: './dog/2.jpg', content: 'two'},
      {name: 'cat/._1.jpg', content: 'mac'},
      {name: 'cat/1.jpg', content: 'one'},
      {name: 'empty/', type: '5'},
      {name: 'README.md', content: 'r'},
    );
    const path = put(`set.${form}`, form === 'tar' ? bytes : gzipSync(bytes));
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('gpd-'));
    await opened(path, async (set) => {
      expect(set.classes).toEqual(['cat', 'dog', 'empty']);
      expect(names(set)).toEqual([
        ['cat/1.jpg', 0],
        ['dog/2.jpg', 1],
      ]);
      expect([await text(set, 1), await text(set, 0), await text(set, 1)]).toEqual(['two', 'one', 'two']);
    });
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('gpd-')).length).toBeLessThanOrEqual(before.length);
  });

  test('long names: ustar prefix, GNU, pax', async () => {
    const path = archive(
      {name: 'a.jpg', prefix: 'cat/deep', content: '1'},
      {name: '././@LongLink', type: 'L', content: `${longName}\0`},
      {name: longName.slice(0, 100), content: '2'},
      {name: 'PaxHeader', type: 'x', content: paxRecord('mtime', '1.5') + paxRecord('path', 'dog/é.jpg')},
      {name: 'dog/_.jpg', content: '3'},
    );
    await opened(path, async (set) => {
      expect(names(set)).toEqual([
        [longName, 0],
        ['cat/deep/a.jpg', 0],
        ['dog/é.jpg', 1],
      ]);
      expect(await text(set, 0)).toBe('2');
    });
  });

  test('a set in one folder, and ILSVRC2012 flat', async () => {
    await opened(archive({name: 'val/cat/1.jpg'}, {name: 'notes.txt'}, {name: 'val/dog/1.jpg'}), (set) => {
      expect(set.classes).toEqual(['cat', 'dog']);
      expect(set.warnings.map(warningText)).toEqual(["1 file without an image's ending was left out (1 .txt): notes.txt"]);
    });
    await opened(archive({name: 'val/ILSVRC2012_val_00000001.JPEG'}), (set) => expect(set.classes).toEqual([]));
  });

  test('links, devices and sparse files are left out, with a word; the last of two equal names counts', async () => {
    const path = archive(
      {name: 'a/1.jpg', content: 'old'},
      {name: 'a/2.jpg', type: '2', link: '/etc/passwd'},
      {name: 'a/3.jpg', type: '1', link: 'a/1.jpg'},
      {name: 'a/4.jpg', type: '3'},
      {name: 'a/5.jpg', type: 'S'},
      {name: 'p', type: 'x', content: paxRecord('GNU.sparse.major', '1')},
      {name: 'a/6.jpg', content: 's'},
      {name: 'a/1.jpg', content: 'new'},
    );
    await opened(path, async (set) => {
      expect(names(set)).toEqual([['a/1.jpg', 0]]);
      expect(await text(set, 0)).toBe('new');
      expect(set.warnings.map(warningText)).toEqual([
        expect.stringMatching(/^2 links in the archive were left out .*: a\/2.jpg, a\/3.jpg$/),
        '3 entries of the archive were left out, no plain files (device, sparse): a/4.jpg, a/5.jpg and 1 more',
        '1 name of the archive occurs more than once; the last was taken: a/1.jpg',
      ]);
    });
  });

  test.each<[string, Part | Uint8Array, RegExp]>([
    ['a name that leads out', {name: 'a/../../etc/1.jpg'}, /contains '\.\.'/],
    ['backslashes that lead out', {name: 'a\\..\\1.jpg'}, /contains '\.\.'/],
    ['an absolute name', {name: '/a/1.jpg'}, /absolute/],
    ['a drive', {name: 'C:/a/1.jpg'}, /absolute/],
    ['more bytes than there are', {name: 'a/1.jpg', size: 1e6}, /has 1000000 bytes, the archive only/],
    ['an enormous size', Uint8Array.from(tarPart({name: 'a/1.jpg', size: 8 ** 11 - 1})), /the archive only/],
    ['a huge pax header', {name: 'p', type: 'x', content: new Uint8Array(2 << 20)}, /declares 2097152 bytes of metadata/],
    ['a malformed pax header', {name: 'p', type: 'x', content: '99 path=x\n'}, /not well formed/],
    ['a pax record of no length', {name: 'p', type: 'x', content: '0 path=x\n'}, /not well formed/],
    ['a pax size that is none', {name: 'p', type: 'x', content: paxRecord('size', '-5')}, /gives the size '-5'/],
    [
      'a pax size beyond the end',
      Buffer.concat([tarPart({name: 'p', type: 'x', content: paxRecord('size', '99999')}), tarPart({name: 'a/1.jpg'})]),
      /has 99999 bytes/,
    ],
    ['rubbish', new Uint8Array(512).fill(7), /no valid tar header/],
  ])('%s is refused', async (_, part, reason) => {
    await expect(openDataset(archive({name: 'a/0.jpg'}, part))).rejects.toMatchObject({
      code: 'DATASET_INVALID',
      message: expect.stringMatching(reason),
    });
  });

  test('cut anywhere, and any byte of a header changed: an answer, never a hang', async () => {
    const whole = tarOf(
      {name: 'a/0.jpg', content: 'x'},
      {name: 'p', type: 'x', content: paxRecord('path', 'b/1.jpg')},
      {name: 'b/_', content: 'y'},
    );
    for (let i = 0; i < whole.length; i += 61) {
      const damaged = Uint8Array.from(whole);
      damaged[i]! ^= 0x11;
      for (const bytes of [whole.subarray(0, i), damaged]) {
        const result = await openDataset(put('damaged.tar', bytes)).catch((error: unknown) => error);
        if (result instanceof Error) expect(result.name).toBe('GpdError');
        else await (result as Dataset).close();
      }
    }
  });

  test('gzip: cut off, and a bomb', async () => {
    const packed = gzipSync(tarOf({name: 'a/0.jpg', content: 'x'.repeat(5000)}));
    await expect(openDataset(put('cut.tgz', packed.subarray(0, 60)))).rejects.toThrow(/not a complete gzip/);
    await expect(openDataset(put('bomb.tgz', gzipSync(new Uint8Array(70 << 20))))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
  });
});

describe('CIFAR-10', () => {
  const record = (label: number, value: number) =>
    Uint8Array.from({length: 3073}, (_, i) => (i === 0 ? label : i <= 1024 ? value : i <= 2048 ? 2 : 3));

  test('binary batches: the test batch of a folder, or the file named', async () => {
    put('cifar/test_batch.bin', Buffer.concat([record(3, 50), record(9, 60)]));
    const train = put('cifar/data_batch_1.bin', record(1, 70));
    await opened(join(root, 'cifar'), async (set) => {
      expect(set.classes[9]).toBe('truck');
      expect(set.samples.map(({label}) => label)).toEqual([3, 9]);
      const image = decodePpm(await set.samples[1]!.read());
      expect([image.width, image.height, ...image.data.subarray(0, 6)]).toEqual([32, 32, 60, 2, 3, 60, 2, 3]);
      expect(set.warnings.map(warningText)).toEqual([
        'the test batch was taken, 1 training batch was left out: data_batch_1.bin',
      ]);
    });
    await opened(train, (set) => expect(set.samples.map(({label}) => label)).toEqual([1]));
  });

  test('damage is named', async () => {
    await expect(openDataset(put('test_batch.bin', new Uint8Array(3072)))).rejects.toThrow(/3072 bytes are not a whole number/);
    await expect(openDataset(put('test_batch.bin', record(10, 0)))).rejects.toThrow(
      /the label of test_batch.bin#0 is 10, of 10 classes/,
    );
  });
});

test.each([
  ['set.zip', 'PK\x03\x04', /begins as a zip archive but has no central directory/],
  ['set.tar.bz2', 'BZh91AY', /is not a complete bzip2 file \(it ends too early\)/],
  ['set.tar.xz', Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0), /is not a complete xz file \(it ends too early\)/],
  ['set.tar.zst', Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd), /zstd archives are not read; unpack it/],
  ['test.parquet', 'PAR1', /is not a complete parquet file/],
  ['photo.jpg', Uint8Array.of(0xff, 0xd8, 0xff), /a single image/],
  ['x', 'whatever', /no set of images/],
  ['empty', '', /no set of images/],
])('%s is refused', async (name, content, reason) => {
  await expect(openDataset(put(name, content))).rejects.toThrow(reason);
});
