/** Zip archives of images. Entries lie compressed each for itself: they are read by offset, and inflated when they are asked for. */
import {promisify} from 'node:util';
import {inflateRaw} from 'node:zlib';
import {crc32} from '../checkpoint/crc32.js';
import {readZip, type ZipEntry} from '../checkpoint/zip.js';
import {GpdError} from '../core/error.js';
import {MemoryBudget} from '../core/memory-budget.js';
import {type FileSpan, indexed} from './data-file.js';
import {type Entry, isHidden, type Listing} from './entries.js';
import {whyUnsafeName} from './tar-header.js';
import {ALWAYS_ALLOWED, MAX_RATIO} from './unpack.js';

const inflate = promisify(inflateRaw);

/** ImageNet's training images with their paths. */
const LIMITS = {entries: 4_000_000, directoryBytes: 512 << 20};

/** The entries of an archive. Throws DATASET_INVALID for what two programs might unpack differently. */
export function listZip(place: FileSpan): Listing {
  const found = indexed(place, (source) => {
    try {
      return [...readZip(source, new MemoryBudget(place.name, place.size), LIMITS).entries.values()];
    } catch (error) {
      throw ofImages(error);
    }
  });
  const seen = found.filter(({name}) => !isHidden(name));
  const unsafe = seen.find(({name}) => whyUnsafeName(name));
  if (unsafe)
    throw new GpdError(
      'DATASET_INVALID',
      `${place.name}: the name of an entry, '${unsafe.name.slice(0, 80)}', ${whyUnsafeName(unsafe.name)}`,
      {
        at: place.name,
        hint: 'make the archive with relative names',
      },
    );
  const folders = seen.filter(({name}) => name.endsWith('/')).map(({name}) => name.slice(0, -1));
  const entries = seen.filter(({name}) => !name.endsWith('/')).map((entry) => entryOf(place, entry));
  return {name: place.name, entries, folders, warnings: [], async close() {}};
}

/** The reader of zip archives was made for checkpoints, and says so. */
function ofImages(error: unknown): unknown {
  if (!(error instanceof GpdError) || !/^CHECKPOINT_/.test(error.code)) return error;
  return new GpdError('DATASET_INVALID', error.message.replace(/; torch\.save.*/, ''), {
    ...(error.at !== undefined && {at: error.at}),
    hint: 'unpack it yourself and give the folder, or get the archive again from its source',
    cause: error,
  });
}

function entryOf({name, file, offset}: FileSpan, entry: ZipEntry): Entry {
  const {name: path, size, compressedSize, method} = entry;
  const at = offset + entry.dataOffset;
  const read = async () => checked(entry, await unpacked(await file.read(at, compressedSize), entry));
  if (method !== 0) return {path, size, read};
  return {path, size, read, place: () => ({name: `${name}/${path}`, file, offset: at, size})};
}

/** Never makes more than the declared size, nor more than an image's bytes explain. */
async function unpacked(bytes: Uint8Array, {method, size, compressedSize}: ZipEntry): Promise<Uint8Array> {
  if (method === 0) return bytes;
  if (size > Math.max(ALWAYS_ALLOWED, compressedSize * MAX_RATIO)) {
    throw new Error(`it unpacks to ${size} bytes, more than ${MAX_RATIO} times its size`);
  }
  try {
    return new Uint8Array(await inflate(bytes, {maxOutputLength: Math.max(1, size)}));
  } catch (error) {
    throw new Error('its compressed data are damaged', {cause: error});
  }
}

function checked({size, crc}: ZipEntry, bytes: Uint8Array): Uint8Array {
  if (bytes.length !== size || crc32(bytes) !== crc) throw new Error('its checksum in the archive does not fit');
  return bytes;
}
