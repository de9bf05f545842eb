/** Finds the central directory of a zip archive: the end record, its zip64 form, and the checks that make the answer unique. */
import {ByteReader, type ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';

export interface DirectoryPlace {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

const END = 0x06054b50;
const END_SIZE = 22;
const LOCATOR = 0x07064b50;
const LOCATOR_SIZE = 20;
const END64 = 0x06064b50;
const END64_SIZE = 56;
const MAX_COMMENT = 0xffff;

export const zipProblem = (source: ByteSource, problem: string, at: number): GpdError =>
  new GpdError('CHECKPOINT_CORRUPT', `${source.name}: ${problem}`, {
    at: `${source.name}@${at}`,
    hint: 'the file is damaged or was made to deceive: get it again from its source',
  });

/** Throws LIMIT_EXCEEDED for one of more than `most` bytes. */
export function findDirectory(source: ByteSource, most: number): DirectoryPlace {
  const end = findEnd(source);
  const place = readEnd64(source, end.at, end) ?? end;
  const expectedEnd = place.end;
  if (place.offset + place.size !== expectedEnd) {
    throw zipProblem(
      source,
      `the central directory ends at ${place.offset + place.size}, its end record begins at ${expectedEnd}`,
      end.at,
    );
  }
  if (place.size > most) {
    throw new GpdError('LIMIT_EXCEEDED', `${source.name}: a central directory of ${place.size} bytes; up to ${most} are read`, {
      at: `${source.name}@${place.offset}`,
      hint: 'this is not a checkpoint of a network',
    });
  }
  return {offset: place.offset, size: place.size, count: place.count};
}

interface EndRecord extends DirectoryPlace {
  readonly at: number;
  /** Where the directory must end: at the first of the end records. */
  readonly end: number;
}

/** 4.3.16. A comment may contain what looks like an end record, so every place where one fits is tried, and two are refused. */
function findEnd(source: ByteSource): EndRecord {
  const tailLength = Math.min(source.size, END_SIZE + MAX_COMMENT);
  const tailAt = source.size - tailLength;
  const tail = source.read(tailAt, tailLength);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const fitting: number[] = [];
  for (let i = tailLength - END_SIZE; i >= 0; i--) {
    if (tail[i] === 0x50 && view.getUint32(i, true) === END && i + END_SIZE + view.getUint16(i + 20, true) === tailLength)
      fitting.push(i);
  }
  const [first, second] = fitting;
  if (first === undefined) {
    throw new GpdError(
      'CHECKPOINT_TRUNCATED',
      `${source.name}: begins as a zip archive but has no central directory at its end`,
      {
        at: `${source.name}@${source.size}`,
        hint: 'the file is incomplete: download or copy it again',
      },
    );
  }
  if (second !== undefined) throw zipProblem(source, 'two places look like the end of the archive', tailAt + second);
  return readEnd(source, new ByteReader(tail.subarray(first), source.name), tailAt + first);
}

function readEnd(source: ByteSource, reader: ByteReader, at: number): EndRecord {
  reader.take(4);
  const [disk, directoryDisk, countHere, count] = [reader.u16(), reader.u16(), reader.u16(), reader.u16()];
  const [size, offset] = [reader.u32(), reader.u32()];
  if (disk !== directoryDisk || countHere !== count || (disk !== 0 && disk !== 0xffff)) {
    throw zipProblem(source, 'the archive is spread over several disks', at);
  }
  return {at, end: at, count, size, offset};
}

/** 4.3.14, 4.3.15: the zip64 end record, if its locator stands right before the end record. The two must not contradict each other. */
function readEnd64(source: ByteSource, endAt: number, end: EndRecord): EndRecord | undefined {
  if (endAt < LOCATOR_SIZE + END64_SIZE) return undefined;
  const locator = new ByteReader(source.read(endAt - LOCATOR_SIZE, LOCATOR_SIZE), source.name);
  if (locator.u32() !== LOCATOR) return undefined;
  const lie = (what: string) => zipProblem(source, `the zip64 end record ${what}`, endAt - LOCATOR_SIZE);
  const [disk, place, disks] = [locator.u32(), locator.u64(), locator.u32()];
  if (disk !== 0 || disks > 1) throw lie('lies on another disk');
  if (place > BigInt(endAt - LOCATOR_SIZE - END64_SIZE)) throw lie('lies outside the file');
  const at = Number(place);
  const record = new ByteReader(source.read(at, END64_SIZE), source.name);
  if (record.u32() !== END64) throw lie('does not begin as one');
  if (BigInt(at) + 12n + record.u64() !== BigInt(endAt - LOCATOR_SIZE)) throw lie('does not end where its locator begins');
  record.take(4); // versions
  if (record.u32() !== 0 || record.u32() !== 0) throw lie('lies on another disk');
  const [countHere, count, size, offset] = [record.u64(), record.u64(), record.u64(), record.u64()];
  if (countHere !== count || size > place || offset > place || count > place) throw lie('declares more than the file has');
  const wide = {count: Number(count), size: Number(size), offset: Number(offset)};
  const same = (narrow: number, ones: number, value: number) => narrow === ones || narrow === value;
  if (
    !same(end.count, 0xffff, wide.count) ||
    !same(end.size, 0xffffffff, wide.size) ||
    !same(end.offset, 0xffffffff, wide.offset)
  ) {
    throw lie('contradicts the end record');
  }
  return {at, end: at, ...wide};
}
