import {deflateRawSync} from 'node:zlib';
import type {Random} from '../../src/core/random.js';
import {u64} from '../../test/checkpoint/assembler.js';
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
  return {name, data: stored, method: isDeflated ? 8 : 0, flags: 0, disk: 0, ...(isDeflated && {crc: 0}), ...wide};
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

/** PyTorch's zip container, with what lies in it. */
export const zip: Reader = {
  name: 'zip',
  generate(dice, bends) {
    const description = archive(dice);
    for (let i = 0; i < bends; i++) bend(description, dice);
    return fakeZip(description.entries, description.end);
  },
  read: readCheckpoint,
};
