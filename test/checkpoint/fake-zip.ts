/** Builds zip archives with every field open to lies. What is not given is what an honest writer would put there. */
import {crc32} from '../../src/checkpoint/crc32.js';
import {bytes, u32} from './assembler.js';

export const u16 = (n: number) => [n & 255, n >>> 8];

export interface FakeEntry {
  /** Text is written in UTF-8. */
  name?: string | Uint8Array;
  localName?: string | Uint8Array;
  data?: Uint8Array;
  flags?: number;
  localFlags?: number;
  method?: number;
  localMethod?: number;
  crc?: number;
  localCrc?: number;
  size?: number;
  compressedSize?: number;
  offset?: number;
  disk?: number;
  extra?: Uint8Array;
  localExtra?: Uint8Array;
  localSizes?: readonly [compressed: number, size: number];
  /** What stands behind the data: a data descriptor, or what does not belong there. */
  after?: Uint8Array;
}
export interface FakeEnd {
  count?: number;
  size?: number;
  offset?: number;
  disk?: number;
  comment?: Uint8Array;
  before?: Uint8Array;
}

const encoded = (name: string | Uint8Array): Uint8Array => (typeof name === 'string' ? Buffer.from(name) : name);

export function fakeZip(entries: readonly FakeEntry[], end: FakeEnd = {}): Uint8Array {
  const locals: Uint8Array[] = [];
  const centrals: Uint8Array[] = [];
  let offset = 0;
  for (const fake of entries) {
    const {name = 'a', data = bytes('hello'), flags = 0, method = 0, disk = 0, extra = bytes()} = fake;
    const {localName = name, localFlags = flags, localMethod = method, crc = crc32(data), localCrc = crc} = fake;
    const {size = data.length, compressedSize = data.length} = fake;
    const {localExtra = bytes(), localSizes = [compressedSize, size], after = bytes()} = fake;
    const sizes = [...u32(compressedSize), ...u32(size)];
    const local = bytes(
      'PK\x03\x04',
      u16(20),
      u16(localFlags),
      u16(localMethod),
      u32(0),
      u32(localCrc),
      localSizes.flatMap(u32),
      u16(encoded(localName).length),
      u16(localExtra.length),
      encoded(localName),
      localExtra,
      data,
      after,
    );
    centrals.push(
      bytes(
        'PK\x01\x02',
        u16(20),
        u16(20),
        u16(flags),
        u16(method),
        u32(0),
        u32(crc),
        sizes,
        u16(encoded(name).length),
        u16(extra.length),
        u16(0),
        u16(disk),
      ),
      bytes(u16(0), u32(0), u32(fake.offset ?? offset), encoded(name), extra),
    );
    locals.push(local);
    offset += local.length;
  }
  const directory = bytes(...centrals);
  const {
    count = entries.length,
    size = directory.length,
    offset: start = offset,
    disk = 0,
    comment = bytes(),
    before = bytes(),
  } = end;
  const record = bytes(
    'PK\x05\x06',
    u16(disk),
    u16(0),
    u16(count),
    u16(count),
    u32(size),
    u32(start),
    u16(comment.length),
    comment,
  );
  return bytes(...locals, directory, before, record);
}
