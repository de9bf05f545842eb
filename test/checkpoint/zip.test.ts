import {deflateRawSync} from 'node:zlib';
import {crc32, crc32ByTable} from '../../src/checkpoint/crc32.js';
import {createZipWriter} from '../../src/checkpoint/write-zip.js';
import {readRecord, readZip, verifyCrc} from '../../src/checkpoint/zip.js';
import {bufferSource} from '../../src/core/bytes.js';
import {bytes, collect, refusal, u32, u64} from './assembler.js';
import {u16, fakeZip as zip} from './fake-zip.js';

const readAll = (data: Uint8Array) => {
  const archive = readZip(bufferSource(data, 'test.zip'));
  return [...archive.entries.values()].map((entry) => [entry.name, Buffer.from(readRecord(archive, entry)).toString()]);
};
const deflated = (text: string) => deflateRawSync(Buffer.from(text));
const zip64End = (
  count: number,
  size: number,
  offset: number,
  at: number,
  lie: Partial<{at: number; length: number; disks: number}> = {},
) =>
  bytes(
    bytes(
      'PK\x06\x06',
      u64(BigInt(lie.length ?? 44)),
      u16(45),
      u16(45),
      u32(0),
      u32(0),
      u64(BigInt(count)),
      u64(BigInt(count)),
      u64(BigInt(size)),
      u64(BigInt(offset)),
    ),
    bytes('PK\x06\x07', u32(0), u64(BigInt(lie.at ?? at)), u32(lie.disks ?? 1)),
  );

test('both CRC-32 implementations agree, piecewise too', () => {
  const data = Uint8Array.from({length: 1000}, (_, i) => (i * 7919) >>> 3);
  expect(crc32ByTable(bytes('123456789'))).toBe(0xcbf43926); // the check value of the definition
  expect(crc32(bytes('123456789'))).toBe(0xcbf43926);
  expect(crc32(data)).toBe(crc32ByTable(data));
  expect(crc32ByTable(data.subarray(300), crc32ByTable(data.subarray(0, 300)))).toBe(crc32(data));
});

describe('read', () => {
  test('stored and deflated records, with a comment', () => {
    const text = 'x'.repeat(1000);
    const data = deflated(text);
    const entry = {name: 'b', data, method: 8, size: 1000, crc: crc32(Buffer.from(text))};
    expect(readAll(zip([{}, entry], {comment: bytes('a comment')}))).toEqual([
      ['a', 'hello'],
      ['b', text],
    ]);
  });
  test('flag bit 3: nothing but the name in the local header', () => {
    const crc = u32(crc32(bytes('hello')));
    const narrow = [...crc, ...u32(5), ...u32(5)];
    const wide = [...crc, ...u64(5n), ...u64(5n)];
    for (const after of [narrow, bytes('PK\x07\x08', narrow), wide, bytes('PK\x07\x08', wide)]) {
      const streamed = {flags: 0x808, localCrc: 0, localSizes: [0, 0], after: bytes(after)} as const;
      expect(readAll(zip([streamed, {...streamed, name: 'b'}]))).toEqual([
        ['a', 'hello'],
        ['b', 'hello'],
      ]);
    }
  });
  test('flag bit 3 and no descriptor, behind an entry without data: as PyTorch writes an empty storage', () => {
    expect(readAll(zip([{flags: 8, data: bytes()}, {name: 'b'}]))).toEqual([
      ['a', ''],
      ['b', 'hello'],
    ]);
  });
  test('padding in the extra field, names with accents, the entry of a folder', () => {
    const padded = {localExtra: bytes('FB', u16(9), '123456789')};
    expect(readAll(zip([{name: 'r/', data: bytes()}, {...padded, name: 'r/é'}, {name: 'r/e'}])).map(([name]) => name)).toEqual([
      'r/',
      'r/é',
      'r/e',
    ]);
    const zip64 = bytes(u16(1), u16(16), u64(5n), u64(5n));
    expect(readAll(zip([{localSizes: [0xffffffff, 0xffffffff], localExtra: zip64}]))).toEqual([['a', 'hello']]);
  });
  test('a CRC of 0 was not recorded', () => {
    const archive = readZip(bufferSource(zip([{crc: 0}])));
    expect(verifyCrc(archive, archive.entries.get('a')!)).toBe('not-recorded');
    expect(readAll(zip([{crc: 0}]))).toEqual([['a', 'hello']]);
  });
  test('zip64 from the first byte on', () => {
    const data = collect((sink) => {
      const writer = createZipWriter(sink, 1);
      writer.add('r/one', bytes('first'));
      writer.add('r/two', bytes('second'));
      writer.finish();
    });
    expect(readAll(data)).toEqual([
      ['r/one', 'first'],
      ['r/two', 'second'],
    ]);
  });
  test('data begins on multiples of 64 in what we write', () => {
    const data = collect((sink) => {
      const writer = createZipWriter(sink);
      for (let i = 0; i < 70; i++) writer.add(`r/${'n'.repeat(i + 1)}`, new Uint8Array(i));
      writer.finish();
    });
    for (const entry of readZip(bufferSource(data)).entries.values()) expect(entry.dataOffset % 64).toBe(0);
  });
  test('more than 65,535 entries', () => {
    const data = collect((sink) => {
      const writer = createZipWriter(sink);
      for (let i = 0; i < 66_000; i++) writer.add(`r/${i}`, new Uint8Array(300));
      writer.finish();
    });
    expect(readZip(bufferSource(data)).entries.size).toBe(66_000);
  });
});

const one = zip([{}]);
const directoryAt = 30 + 1 + 5;
const directorySize = 46 + 1;
const endAt = directoryAt + directorySize;

test.each<[string, Uint8Array, string]>([
  ['encrypted', zip([{flags: 1}]), 'CHECKPOINT_CORRUPT'],
  ['strongly encrypted', zip([{flags: 0x41}]), 'CHECKPOINT_CORRUPT'],
  ['encrypted in the local header only', zip([{localFlags: 1}]), 'CHECKPOINT_CORRUPT'],
  ['another compression method', zip([{method: 12}]), 'CHECKPOINT_CORRUPT'],
  ['local method differs', zip([{localMethod: 8}]), 'CHECKPOINT_CORRUPT'],
  ['local name differs', zip([{localName: 'b'}]), 'CHECKPOINT_CORRUPT'],
  ['local CRC differs', zip([{localCrc: 1}]), 'CHECKPOINT_CORRUPT'],
  ['duplicate names', zip([{}, {}]), 'CHECKPOINT_CORRUPT'],
  ['names that differ in case', zip([{name: 'a'}, {name: 'A'}]), 'CHECKPOINT_CORRUPT'],
  ['two entries over the same bytes', zip([{name: 'a'}, {name: 'b', offset: 0, localName: 'a'}]), 'CHECKPOINT_CORRUPT'],
  ['an entry that overlaps the next', zip([{name: 'a', size: 60, compressedSize: 60}, {name: 'b'}]), 'CHECKPOINT_CORRUPT'],
  ['an entry beyond the file', zip([{size: 5000, compressedSize: 5000}]), 'CHECKPOINT_TRUNCATED'],
  ['a header beyond the file', zip([{offset: 70_000}]), 'CHECKPOINT_TRUNCATED'],
  ['a header at a wrong place', zip([{offset: 3}]), 'CHECKPOINT_CORRUPT'],
  ['stored with two sizes', zip([{size: 4}]), 'CHECKPOINT_CORRUPT'],
  ['..', zip([{name: '../a'}]), 'CHECKPOINT_CORRUPT'],
  ['.. inside', zip([{name: 'a/../../b'}]), 'CHECKPOINT_CORRUPT'],
  ['an absolute name', zip([{name: '/etc/passwd'}]), 'CHECKPOINT_CORRUPT'],
  ['a drive', zip([{name: 'C:x'}]), 'CHECKPOINT_CORRUPT'],
  ['a backslash', zip([{name: '..\\a'}]), 'CHECKPOINT_CORRUPT'],
  ['a NUL', zip([{name: 'a\0b'}]), 'CHECKPOINT_CORRUPT'],
  ['no name', zip([{name: ''}]), 'CHECKPOINT_CORRUPT'],
  ['a name that is not UTF-8', zip([{name: bytes('\xff')}]), 'CHECKPOINT_CORRUPT'],
  ['another disk', zip([{disk: 1}]), 'CHECKPOINT_CORRUPT'],
  ['several disks', zip([{}], {disk: 1}), 'CHECKPOINT_CORRUPT'],
  ['sizes of 0 that no descriptor makes up for', zip([{localSizes: [0, 0]}]), 'CHECKPOINT_CORRUPT'],
  ['a CRC of 0 in the local header alone', zip([{localCrc: 0}]), 'CHECKPOINT_CORRUPT'],
  ['a descriptor announced in one header alone', zip([{localFlags: 8}]), 'CHECKPOINT_CORRUPT'],
  ['a hole between entries', zip([{after: new Uint8Array(5000)}, {name: 'b'}]), 'CHECKPOINT_CORRUPT'],
  ['a hole with an entry in it', zip([{after: one.subarray(0, 36)}, {name: 'b'}]), 'CHECKPOINT_CORRUPT'],
  ['a hole before the directory', zip([{}, {name: 'b', after: bytes('x')}]), 'CHECKPOINT_CORRUPT'],
  [
    'a hole before the first entry',
    zip([{name: 'b', offset: 36}, {offset: 0}].slice(0, 1), {offset: 36}),
    'CHECKPOINT_CORRUPT',
  ],
  ['no data descriptor', zip([{flags: 8}]), 'CHECKPOINT_CORRUPT'],
  ['a data descriptor with another CRC', zip([{flags: 8, after: bytes(u32(1), u32(5), u32(5))}]), 'CHECKPOINT_CORRUPT'],
  [
    'a data descriptor with another size',
    zip([{flags: 8, after: bytes('PK\x07\x08', u32(crc32(bytes('hello'))), u32(5), u32(6))}]),
    'CHECKPOINT_CORRUPT',
  ],
  [
    'a data descriptor that nothing announces',
    zip([{after: bytes('PK\x07\x08', u32(crc32(bytes('hello'))), u32(5), u32(5))}]),
    'CHECKPOINT_CORRUPT',
  ],
  ['an empty part of a name', zip([{name: 'a//b'}]), 'CHECKPOINT_CORRUPT'],
  ['a name with /./', zip([{name: 'a/./b'}]), 'CHECKPOINT_CORRUPT'],
  ['a name that begins with ./', zip([{name: './a'}]), 'CHECKPOINT_CORRUPT'],
  ['names that differ in how an accent is written', zip([{name: '\u00e9'}, {name: 'e\u0301'}]), 'CHECKPOINT_CORRUPT'],
  ['names that differ in case beyond ASCII', zip([{name: 'k'}, {name: '\u212a'}]), 'CHECKPOINT_CORRUPT'],
  ['a second name', zip([{extra: bytes(u16(0x7075), u16(6), 1, u32(0), 'b')}]), 'CHECKPOINT_CORRUPT'],
  ['a second name in the local header', zip([{localExtra: bytes(u16(0x7075), u16(6), 1, u32(0), 'b')}]), 'CHECKPOINT_CORRUPT'],
  ['two zip64 fields', zip([{extra: bytes(u16(1), u16(8), u64(5n), u16(1), u16(8), u64(6n))}]), 'CHECKPOINT_CORRUPT'],
  ['a local size without its zip64 field', zip([{localSizes: [0xffffffff, 0xffffffff]}]), 'CHECKPOINT_CORRUPT'],
  [
    'a local zip64 field that differs',
    zip([{localSizes: [5, 0xffffffff], localExtra: bytes(u16(1), u16(8), u64(6n))}]),
    'CHECKPOINT_CORRUPT',
  ],
  ['a count that is too large', zip([{}], {count: 2}), 'CHECKPOINT_TRUNCATED'],
  ['a count that is too small', zip([{}, {name: 'b'}], {count: 1}), 'CHECKPOINT_CORRUPT'],
  ['a directory that is not where it should be', zip([{}], {offset: 3}), 'CHECKPOINT_CORRUPT'],
  ['an end record inside the comment', zip([{}], {comment: bytes('PK\x05\x06', new Uint8Array(18))}), 'CHECKPOINT_CORRUPT'],
  ['bytes before the end record', zip([{}], {before: bytes('zzz')}), 'CHECKPOINT_CORRUPT'],
  ['zip64: another count', zip([{}], {before: zip64End(2, directorySize, directoryAt, endAt)}), 'CHECKPOINT_CORRUPT'],
  [
    'zip64: record outside',
    zip([{}], {before: zip64End(1, directorySize, directoryAt, endAt, {at: 99_999})}),
    'CHECKPOINT_CORRUPT',
  ],
  [
    'zip64: record elsewhere',
    zip([{}], {before: zip64End(1, directorySize, directoryAt, endAt, {at: 3})}),
    'CHECKPOINT_CORRUPT',
  ],
  [
    'zip64: a length that leaves a gap',
    zip([{}], {before: zip64End(1, directorySize, directoryAt, endAt, {length: 40})}),
    'CHECKPOINT_CORRUPT',
  ],
  ['zip64: more disks', zip([{}], {before: zip64End(1, directorySize, directoryAt, endAt, {disks: 2})}), 'CHECKPOINT_CORRUPT'],
  [
    'zip64: a size beyond the file',
    zip([{size: 0xffffffff, compressedSize: 0xffffffff, extra: bytes(u16(1), u16(16), u64(2n ** 60n), u64(2n ** 60n))}]),
    'CHECKPOINT_CORRUPT',
  ],
  [
    'zip64: a field that is too short',
    zip([{size: 0xffffffff, compressedSize: 0xffffffff, extra: bytes(u16(1), u16(8), u64(5n))}]),
    'CHECKPOINT_CORRUPT',
  ],
  ['cut off', one.subarray(0, -1), 'CHECKPOINT_TRUNCATED'],
  ['nothing but a beginning', one.subarray(0, 30), 'CHECKPOINT_TRUNCATED'],
  ['a bad CRC', zip([{crc: 5}]), 'CHECKPOINT_CORRUPT'],
  ['a zip bomb', zip([{data: deflateRawSync(new Uint8Array(20 << 20)), method: 8, size: 100, crc: 0}]), 'CHECKPOINT_CORRUPT'],
  ['a declared bomb', zip([{data: deflateRawSync(new Uint8Array(1000)), method: 8, size: 2 ** 31, crc: 0}]), 'LIMIT_EXCEEDED'],
  ['deflated to less than declared', zip([{data: deflated('abc'), method: 8, size: 100, crc: 0}]), 'CHECKPOINT_CORRUPT'],
  ['deflated data that is none', zip([{data: bytes([0xff, 0xff]), method: 8, size: 100, crc: 0}]), 'CHECKPOINT_CORRUPT'],
])('refused: %s', (_, data, code) => {
  expect(refusal(() => readAll(data)).code).toBe(code);
});

test('the same archive, honest, with a zip64 record it does not need', () => {
  expect(readAll(zip([{}], {before: zip64End(1, directorySize, directoryAt, endAt)}))).toEqual([['a', 'hello']]);
});
