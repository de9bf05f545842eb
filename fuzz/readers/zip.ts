import {deflateRawSync} from 'node:zlib';
import {crc32} from '../../src/checkpoint/crc32.js';
import {readZip} from '../../src/checkpoint/zip.js';
import {bufferSource} from '../../src/core/bytes.js';
import type {Random} from '../../src/core/random.js';
import {u32, u64} from '../../test/checkpoint/assembler.js';
import {type FakeEnd, type FakeEntry, fakeZip, u16} from '../../test/checkpoint/fake-zip.js';
import {bend} from '../bend.js';
import {chance, noise, pick, trickyNames} from '../dice.js';
import type {Reader} from '../reader.js';
import {readCheckpoint} from './checkpoint.js';
import {assemble, program, stateDict, storages, value} from './pickle-program.js';

/** The fields of an entry that are given a value of their own, so that there is something to bend. */
function entry(dice: Random, name: string, data: Uint8Array): FakeEntry {
  const isDeflated = chance(dice, name.includes('/data/') ? 0.02 : 0.15);
  const stored = isDeflated ? deflateRawSync(data) : data;
  const sizes = {size: data.length, compressedSize: stored.length};
  const wide = chance(dice, 0.15)
    ? {size: 0xffffffff, compressedSize: 0xffffffff, extra: zip64Field(sizes.size, sizes.compressedSize)}
    : sizes;
  const isStreamed = chance(dice, 0.3);
  const crc = isDeflated ? 0 : crc32(stored);
  const streamed = {
    flags: 8,
    localCrc: 0,
    ...(chance(dice, 0.5) && {localSizes: [0, 0] as const}),
    after: descriptor(dice, crc, sizes),
  };
  const localExtra = chance(dice, 0.3) ? Uint8Array.from([...u16(0x4246), ...u16(5), 0, 0, 0, 0, 0]) : new Uint8Array();
  return {
    name,
    data: stored,
    method: isDeflated ? 8 : 0,
    flags: 0,
    disk: 0,
    crc,
    localExtra,
    ...wide,
    ...(isStreamed && streamed),
  };
}

/** Of 4 or 8 bytes a size, with a signature or without. */
function descriptor(dice: Random, crc: number, {size, compressedSize}: {size: number; compressedSize: number}): Uint8Array {
  const number = chance(dice, 0.3) ? (n: number) => u64(BigInt(n)) : u32;
  const signature = chance(dice, 0.7) ? u32(0x08074b50) : [];
  return Uint8Array.from([...signature, ...u32(crc), ...number(compressedSize), ...number(size)]);
}

const zip64Field = (...numbers: number[]): Uint8Array =>
  Uint8Array.from([...u16(1), ...u16(8 * numbers.length), ...numbers.flatMap((n) => u64(BigInt(n)))]);

function archive(dice: Random): {entries: FakeEntry[]; end: FakeEnd} {
  const numbers = storages(dice);
  const root = chance(dice, 0.9) ? stateDict(dice, numbers) : value(dice);
  const entries = [entry(dice, 'a/data.pkl', assemble(program(dice, root)))];
  if (chance(dice, 0.5)) entries.push(entry(dice, 'a/byteorder', Buffer.from(pick(dice, ['little', 'big']))));
  for (const {key, bytes} of numbers) entries.push(entry(dice, `a/data/${key}`, noise(dice, bytes)));
  if (chance(dice, 0.1)) entries.push(entry(dice, pick(dice, trickyNames), noise(dice, 4)));
  return {entries, end: chance(dice, 0.1) ? {comment: noise(dice, 9)} : {}};
}

/**
 * The names as a reader finds them that knows no directory, going from header to header. Undefined where it cannot know how long an entry
 * is: sizes stand behind the data, without a signature.
 */
function fromTheFront(bytes: Uint8Array): string[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const names: string[] = [];
  let at = 0;
  while (at + 30 <= bytes.length && view.getUint32(at, true) === 0x04034b50) {
    const [nameLength, extraLength] = [view.getUint16(at + 26, true), view.getUint16(at + 28, true)];
    names.push(Buffer.from(bytes.subarray(at + 30, at + 30 + nameLength)).toString());
    at += 30 + nameLength + extraLength;
    const [isStreamed, declared] = [
      view.getUint16(at - extraLength - nameLength - 24, true) & 8,
      view.getUint32(at - extraLength - nameLength - 12, true),
    ];
    if (declared === 0xffffffff || (isStreamed && declared === 0)) return undefined;
    at += declared + (isStreamed ? descriptorLength(view, at + declared) : 0);
  }
  return names;
}

/** Up to the next header. */
function descriptorLength(view: DataView, at: number): number {
  const isHeader = (length: number) =>
    at + length + 4 <= view.byteLength && [0x04034b50, 0x02014b50].includes(view.getUint32(at + length, true));
  return [0, 12, 16, 20, 24].find(isHeader) ?? 0;
}

/** PyTorch's zip container, with what lies in it. */
export const zip: Reader = {
  name: 'zip',
  generate(dice, bends) {
    const description = archive(dice);
    for (let i = 0; i < bends; i++) bend(description, dice);
    return fakeZip(description.entries, description.end);
  },
  read(bytes) {
    const entries = [...readZip(bufferSource(bytes)).entries.values()].sort((a, b) => a.headerOffset - b.headerOffset);
    const front = fromTheFront(bytes);
    const listed = entries.map(({name}) => name);
    if (front && JSON.stringify(front) !== JSON.stringify(listed)) throw new Error(`two readings: ${listed}; ${front}`);
    return readCheckpoint(bytes);
  },
};
