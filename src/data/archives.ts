/** Archives, by their first bytes: each becomes a listing of what lies in it, with contents that are read by offset. */
import {GpdError} from '../core/error.js';
import {type FileSpan, indexed} from './data-file.js';
import type {Listing} from './entries.js';
import {imageKind} from './image-kind.js';
import {listTar} from './tar.js';
import {isEmptyBlock, parseTarHeader, TAR_BLOCK_BYTES} from './tar-header.js';
import {type CodecName, codecs, unpackToTemporary} from './unpack.js';
import {listZip} from './zip-set.js';

/** What a file is that a set may lie in. */
export type ArchiveKind = 'tar' | 'zip' | CodecName;

const text = (bytes: Uint8Array, length: number): string => String.fromCharCode(...bytes.subarray(0, length));

/** From the first bytes of a file; undefined where it is no archive that is read here. */
export function archiveKind(place: FileSpan): ArchiveKind | undefined {
  const head = headOf(place);
  const start = text(head, 8);
  for (const [name, {magic}] of Object.entries(codecs)) if (start.startsWith(magic)) return name as CodecName;
  if (start.startsWith('PK\x03\x04') || start.startsWith('PK\x05\x06')) return 'zip';
  if (parseTarHeader(head)) return 'tar';
  return head.length === TAR_BLOCK_BYTES && isEmptyBlock(head) ? 'tar' : undefined; // an empty one
}

/** A table, whatever its name ends in. */
export const isParquet = (place: FileSpan): boolean => text(headOf(place), 4) === 'PAR1';

/** The first block, or as much as there is. */
export const headOf = (place: FileSpan): Uint8Array =>
  indexed(place, (source) => source.read(0, Math.min(source.size, TAR_BLOCK_BYTES)));

/** Throws DATASET_INVALID for what is damaged, LIMIT_EXCEEDED for what unpacks to more than images do. */
export async function listArchive(place: FileSpan, kind: ArchiveKind): Promise<Listing> {
  if (kind === 'tar') return listTar(place);
  if (kind === 'zip') return listZip(place);
  const {file, close} = await unpackToTemporary(place, kind);
  try {
    const whole = {name: place.name, file, offset: 0, size: await file.size()};
    return {...listTar(whole), close};
  } catch (error) {
    await close();
    throw error;
  }
}

/** By their first bytes. */
const OTHERS: readonly (readonly [magic: string, what: string])[] = [
  ['\x28\xb5\x2f\xfd', 'zstd archives are not read; unpack it (unzstd) and give the .tar'],
  ['7z\xbc\xaf', '7z archives are not read; unpack it and give the folder'],
  ['Rar!', 'rar archives are not read; unpack it and give the folder'],
  ['\x89HDF', 'HDF5 files are not read; write its images into class folders'],
  ['\x93NUMPY', 'NumPy arrays are not read; write their images into class folders'],
];

/** Why a file is no set of images. */
export function noArchive(place: FileSpan): GpdError {
  const head = headOf(place);
  const start = text(head, 8);
  const other = OTHERS.find(([magic]) => start.startsWith(magic))?.[1];
  const what = other ?? (imageKind(head) ? 'is a single image, not a set of them' : 'is no set of images that is read here');
  return new GpdError('DATASET_INVALID', `${place.name}: ${what}`, {
    at: place.name,
    hint: 'give a folder, or a .tar, .tar.gz, .tar.bz2, .tar.xz or .zip of one, with <class>/<image>, or .parquet; docs/evaluation.md lists all layouts',
  });
}
