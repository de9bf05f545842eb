/**
 * Where the entries of a zip archive lie. The directory says where each begins; where its data begins only its local header knows. Whoever
 * reads an archive from the front goes from header to header, so the two ways must find the same: no overlap, no hole, nothing said twice.
 */
import {ByteReader, type ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {decodeUtf8} from './utf8.js';
import {zipProblem} from './zip-directory.js';

/** An entry as the central directory has it. */
export interface ListedEntry {
  readonly name: string;
  readonly flags: number;
  /** 0 stored, 8 deflated. */
  readonly method: 0 | 8;
  readonly crc: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly headerOffset: number;
}

const ONES = 0xffffffff;
const ZIP64 = 0x0001;
/** Info-ZIP's second name of an entry (4.6.9): other readers take it instead of the first. */
const UNICODE_PATH = 0x7075;
const HEADER = 0x04034b50;
const HEADER_SIZE = 30;
const DESCRIPTOR = 0x08074b50;
/** 4.4.4: bit 3; with those of encryption (0, 6, 13) the ones that change what the bytes are. */
const HAS_DESCRIPTOR = 0x0008;
const MEANINGFUL = 0x2041 | HAS_DESCRIPTOR;

/** Where the data of each entry begins. Throws CHECKPOINT_CORRUPT and CHECKPOINT_TRUNCATED. */
export function placeEntries(
  source: ByteSource,
  listed: readonly ListedEntry[],
  directoryOffset: number,
): ReadonlyMap<ListedEntry, number> {
  const sorted = [...listed].sort((a, b) => a.headerOffset - b.headerOffset);
  const first = sorted[0]?.headerOffset ?? directoryOffset;
  const places = new Map<ListedEntry, number>();
  for (const [i, entry] of sorted.entries()) {
    const next = sorted[i + 1]?.headerOffset ?? directoryOffset;
    const dataOffset = checkLocalHeader(source, entry, next);
    places.set(entry, dataOffset);
    const end = dataOffset + entry.compressedSize;
    if (entry.flags & HAS_DESCRIPTOR) checkDescriptor(source, entry, end, next - end);
    else if (end < next) throw zipProblem(source, `${next - end} bytes after entry '${entry.name}' belong to none`, end);
  }
  if (first !== 0) throw zipProblem(source, `${first} bytes before the first entry belong to none`, 0);
  return places;
}

/** 4.3.7. With flag bit 3 (PyTorch's own writer) CRC and sizes are 0 in this header. It is read up to where the next one begins. */
function checkLocalHeader(source: ByteSource, entry: ListedEntry, next: number): number {
  const at = entry.headerOffset;
  const mismatch = (what: string) =>
    zipProblem(source, `local and central header of '${entry.name}' disagree on the ${what}`, at);
  if (at + HEADER_SIZE > source.size) throw truncated(source, entry.name, at + HEADER_SIZE);
  const fixed = new ByteReader(source.read(at, HEADER_SIZE), source.name);
  if (fixed.u32() !== HEADER) throw mismatch('place');
  fixed.take(2);
  if ((fixed.u16() ^ entry.flags) & MEANINGFUL) throw mismatch('encryption or the data descriptor');
  if (fixed.u16() !== entry.method) throw mismatch('method');
  fixed.take(4);
  const [crc, compressedSize, size] = [fixed.u32(), fixed.u32(), fixed.u32()];
  const [nameLength, extraLength] = [fixed.u16(), fixed.u16()];
  const dataOffset = at + HEADER_SIZE + nameLength + extraLength;
  const end = dataOffset + entry.compressedSize;
  if (end > source.size) throw truncated(source, entry.name, end);
  if (end > next) throw zipProblem(source, `entry '${entry.name}' overlaps what follows it`, at);
  const more = new ByteReader(source.read(at + HEADER_SIZE, nameLength + extraLength), source.name);
  if (decodeUtf8(more.take(nameLength)) !== entry.name) throw mismatch('name');
  const isStreamed = (entry.flags & HAS_DESCRIPTOR) !== 0;
  if (crc !== entry.crc && !(crc === 0 && isStreamed)) throw mismatch('CRC');
  const zip64 = zip64Field(source, more.take(extraLength), at);
  const wide = (value: number) => (value === ONES && zip64 && zip64.remaining >= 8 ? zip64.u64() : BigInt(value));
  const agrees = (local: bigint, central: number) => local === BigInt(central) || (local === 0n && isStreamed);
  if (!agrees(wide(size), entry.size) || !agrees(wide(compressedSize), entry.compressedSize)) throw mismatch('size');
  return dataOffset;
}

/** 4.3.9: CRC and sizes once more, of 4 or 8 bytes, with a signature or without. PyTorch's writer leaves it out behind an empty entry. */
function checkDescriptor(source: ByteSource, entry: ListedEntry, at: number, length: number): void {
  if (length === 0 && entry.size === 0) return;
  const wrong = (what: string) => zipProblem(source, `the data descriptor of entry '${entry.name}' ${what}`, at);
  if (![12, 16, 20, 24].includes(length)) throw wrong(`has ${length} bytes`);
  const reader = new ByteReader(source.read(at, length), source.name);
  if (length % 8 === 0 && reader.u32() !== DESCRIPTOR) throw wrong('does not begin as one');
  const crc = reader.u32();
  const number = length >= 20 ? () => reader.u64() : () => BigInt(reader.u32());
  const [compressedSize, size] = [number(), number()];
  if (crc !== entry.crc || compressedSize !== BigInt(entry.compressedSize) || size !== BigInt(entry.size))
    throw wrong('contradicts the directory');
}

/** 4.5: the zip64 field of an entry. Two of them, or a second name, are two readings. */
export function zip64Field(source: ByteSource, extra: Uint8Array, at: number): ByteReader | undefined {
  const reader = new ByteReader(extra, 'extra field');
  let found: ByteReader | undefined;
  while (reader.remaining >= 4) {
    const [id, length] = [reader.u16(), reader.u16()];
    if (length > reader.remaining) break; // padding that is no field: the file's own business
    const data = reader.take(length);
    if (id === UNICODE_PATH) throw zipProblem(source, 'an entry has a second name (an Info-ZIP unicode path)', at);
    if (id !== ZIP64) continue;
    if (found) throw zipProblem(source, 'an entry has two zip64 fields', at);
    found = new ByteReader(data, 'zip64 extra field');
  }
  return found;
}

const truncated = (source: ByteSource, name: string, end: number): GpdError =>
  new GpdError('CHECKPOINT_TRUNCATED', `${source.name}: entry '${name}' ends at byte ${end}, the file has ${source.size}`, {
    at: `${source.name}@${source.size}`,
    hint: 'the file is incomplete: download or copy it again',
  });
