/**
 * Zip archives, as strictly as they can be read: everything that two readers could understand differently is refused.
 * Format: APPNOTE.TXT 6.3.10 (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT); section numbers below are its own.
 */
import {inflateRawSync} from 'node:zlib';
import {ByteReader, type ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {costs, MemoryBudget} from '../core/memory-budget.js';
import {crc32, crc32OfRange} from './crc32.js';
import {decodeUtf8} from './utf8.js';
import {findDirectory, zipProblem} from './zip-directory.js';
import {type ListedEntry, placeEntries, zip64Field} from './zip-entries.js';

export interface ZipEntry extends ListedEntry {
  /** Where the data begins, known from the local header. */
  readonly dataOffset: number;
}

export interface ZipArchive {
  readonly source: ByteSource;
  readonly entries: ReadonlyMap<string, ZipEntry>;
}

/** What an archive may have: more is not what the reader expects. */
export interface ZipLimits {
  readonly entries: number;
  readonly directoryBytes: number;
}
/** ResNet-152 with OREPA, optimizer and EMA has about 10,000 storages. An entry takes 46 bytes of the directory, and its name. */
const OF_CHECKPOINTS: ZipLimits = {entries: 200_000, directoryBytes: 64 << 20};
/** Records that are read whole are small ones (pickles, versions): their bytes are in the file, unless they are compressed. */
const MAX_RECORD = 64 << 20;
const MAX_INFLATED = 4 << 20;

export function readZip(
  source: ByteSource,
  budget = new MemoryBudget(source.name, source.size),
  limits: ZipLimits = OF_CHECKPOINTS,
): ZipArchive {
  const directory = findDirectory(source, limits.directoryBytes);
  if (directory.count > limits.entries) throw limit(source, `${directory.count} entries; up to ${limits.entries} are read`);
  const reader = new ByteReader(source.read(directory.offset, directory.size), source.name);
  const listed = new Map<string, ListedEntry>();
  const folded = new Set<string>(); // names that differ only in case, or in how accents are written, are one file on some systems
  for (let i = 0; i < directory.count; i++) {
    budget.spend(costs.file);
    const entry = readEntry(source, reader, directory.offset);
    const key = foldedName(entry.name);
    if (folded.has(key)) throw zipProblem(source, `two entries are called '${entry.name}'`, entry.headerOffset);
    folded.add(key);
    listed.set(entry.name, entry);
  }
  if (reader.remaining > 0) throw zipProblem(source, 'the central directory is longer than its entries', directory.offset);
  const places = placeEntries(source, [...listed.values()], directory.offset);
  const entries = new Map([...listed].map(([name, entry]) => [name, {...entry, dataOffset: places.get(entry)!}] as const));
  return {source, entries};
}

const foldedName = (name: string): string => name.normalize('NFD').toUpperCase().toLowerCase().normalize('NFC');

/** 4.3.12: one file header of the central directory. */
function readEntry(source: ByteSource, reader: ByteReader, directoryOffset: number): ListedEntry {
  const at = directoryOffset + reader.offset;
  if (reader.u32() !== 0x02014b50) throw zipProblem(source, 'a central directory entry does not begin as one', at);
  reader.take(4); // versions
  const flags = reader.u16();
  const method = reader.u16();
  reader.take(4); // time and date
  const crc = reader.u32();
  const sizes = {compressedSize: reader.u32(), size: reader.u32()};
  const [nameLength, extraLength, commentLength, disk] = [reader.u16(), reader.u16(), reader.u16(), reader.u16()];
  reader.take(6); // attributes
  const headerOffset = reader.u32();
  const name = checkName(source, decodeUtf8(reader.take(nameLength)), at);
  const extra = reader.take(extraLength);
  reader.take(commentLength);
  const fields = widen(source, extra, {...sizes, headerOffset}, at);
  if (flags & 0x2041) throw unsupported(source, `entry '${name}' is encrypted`, at); // 4.4.4: bits 0, 6, 13
  if (method !== 0 && method !== 8) throw unsupported(source, `entry '${name}' uses compression method ${method}`, at);
  if (method === 0 && fields.compressedSize !== fields.size)
    throw zipProblem(source, `stored entry '${name}' has two sizes`, at);
  if (disk !== 0) throw unsupported(source, `entry '${name}' lies on another disk`, at);
  return {name, flags, method, crc, ...fields};
}

type Sizes = Pick<ListedEntry, 'compressedSize' | 'size' | 'headerOffset'>;

/** 4.5.3: a field that is all ones has its value in the zip64 extra field, in this order and only then. */
function widen(source: ByteSource, extra: Uint8Array, fields: Sizes, at: number): Sizes {
  const zip64 = zip64Field(source, extra, at);
  const take = (value: number) => {
    if (value !== 0xffffffff || !zip64) return value;
    if (zip64.remaining < 8) throw zipProblem(source, 'a zip64 field is too short', at);
    const wide = zip64.u64();
    if (wide > BigInt(source.size))
      throw zipProblem(source, `a zip64 field says ${wide}, the file has ${source.size} bytes`, at);
    return Number(wide);
  };
  const size = take(fields.size); // the order of the standard: original size, compressed size, offset
  const compressedSize = take(fields.compressedSize);
  return {size, compressedSize, headerOffset: take(fields.headerOffset)};
}

function checkName(source: ByteSource, name: string | undefined, at: number): string {
  if (name === undefined || name === '') throw zipProblem(source, 'an entry name is empty or not UTF-8', at);
  // a folder's own name ends with a slash; any other empty part, '.' and '..' are other names of another entry
  const parts = name.replace(/\/$/, '').split('/');
  if (/^[a-z]:|\0|\\/i.test(name) || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw zipProblem(source, `unsafe entry name ${JSON.stringify(name)}`, at);
  }
  return name;
}

/** A whole record that is expected to be small, checked against its CRC. */
export function readRecord(archive: ZipArchive, entry: ZipEntry): Uint8Array {
  const {source} = archive;
  const most = entry.method === 8 ? MAX_INFLATED : MAX_RECORD;
  if (entry.size > most) throw limit(source, `record '${entry.name}' has ${entry.size} bytes; up to ${most} are read`);
  const data = source.read(entry.dataOffset, entry.compressedSize);
  const bytes = entry.method === 8 ? inflate(source, entry, data) : data;
  if (entry.crc !== 0 && crc32(bytes) !== entry.crc) throw badCrc(archive, entry);
  return bytes;
}

/** Never makes more than the declared size, which was checked against the limit. */
function inflate(source: ByteSource, entry: ZipEntry, data: Uint8Array): Uint8Array {
  const wrong = (cause?: unknown) =>
    new GpdError('CHECKPOINT_CORRUPT', `${source.name}: record '${entry.name}' does not inflate to its ${entry.size} bytes`, {
      at: `${source.name}@${entry.dataOffset}`,
      hint: 'download or copy the file again',
      cause,
    });
  let bytes: Uint8Array;
  try {
    bytes = inflateRawSync(data, {maxOutputLength: Math.max(1, entry.size)});
  } catch (error) {
    throw wrong(error);
  }
  if (bytes.length !== entry.size) throw wrong();
  return bytes;
}

export type CrcResult = 'match' | 'mismatch' | 'not-recorded';

/**
 * Reads all of a stored entry, in bounded memory, and compares. A CRC of 0 is what torch.save writes when told not to compute them
 * (set_crc32_options(False), PyTorch pull request 137735): it says nothing, unless the data really has it.
 */
export function verifyCrc(archive: ZipArchive, entry: ZipEntry): CrcResult {
  if (entry.crc === 0) return entry.size === 0 ? 'match' : 'not-recorded';
  return crc32OfRange(archive.source, entry.dataOffset, entry.compressedSize) === entry.crc ? 'match' : 'mismatch';
}

export const badCrc = (archive: ZipArchive, entry: ZipEntry): GpdError =>
  new GpdError('CHECKPOINT_CORRUPT', `${archive.source.name}: the bytes of '${entry.name}' do not match their CRC-32`, {
    at: `${archive.source.name}@${entry.dataOffset}`,
    hint: 'the file was damaged after it was written: download or copy it again',
  });

const unsupported = (source: ByteSource, problem: string, at: number): GpdError =>
  new GpdError('CHECKPOINT_CORRUPT', `${source.name}: ${problem}; torch.save writes plain stored entries`, {
    at: `${source.name}@${at}`,
    hint: 'unpack it and save the checkpoint again with torch.save',
  });

const limit = (source: ByteSource, problem: string): GpdError =>
  new GpdError('LIMIT_EXCEEDED', `${source.name}: ${problem}`, {
    at: source.name,
    hint: 'this is not a checkpoint of a network',
  });
