/**
 * A compressed archive cannot be read by offset: it is unpacked once, to a temporary file that disappears with the process, kill -9 included. (CIFAR's
 * 50,000 images take 75 MB. ImageNet's 6.7 GB gain nothing from gzip; whoever has them so needs the space.)
 */
import {createWriteStream} from 'node:fs';
import {join} from 'node:path';
import {Readable, Transform} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip} from 'node:zlib';
import {GpdError} from '../core/error.js';
import {makeTemporary, removeHidden} from '../core/temporary.js';
import {unbzip2} from './bzip2.js';
import {DataFile, type FileSpan, piecesOf} from './data-file.js';

/** JPEGs hardly shrink, and tar's padding at most tenfold; beyond this it is a bomb. Small archives may be all padding. */
export const MAX_RATIO = 50;
export const ALWAYS_ALLOWED = 64 * 1024 * 1024;

type Pieces = AsyncIterable<Uint8Array>;

/** How bytes are compressed that are read from the first to the last. */
interface Codec {
  /** The first bytes, one character each. */
  readonly magic: string;
  /** What unpacks it on a command line. */
  readonly command: string;
  /** Throws plain errors for what is damaged; gives small pieces, however much a byte unpacks to. */
  unpack(pieces: Pieces): Pieces;
}

/** THE table of compressions. */
export const codecs = {
  gzip: {magic: '\x1f\x8b', command: 'gunzip -k', unpack: gunzip},
  bzip2: {magic: 'BZh', command: 'bunzip2 -k', unpack: unbzip2},
  xz: {magic: '\xfd7zXZ\0', command: 'unxz -k', unpack: unxz},
} as const satisfies Readonly<Record<string, Codec>>;

export type CodecName = keyof typeof codecs;

async function* gunzip(pieces: Pieces): Pieces {
  const unpacking = createGunzip();
  const fed = pipeline(Readable.from(pieces), unpacking);
  fed.catch(() => {}); // the loop below throws it
  yield* unpacking;
  await fed;
}

/** xz's own decoder as WebAssembly. Its dictionary, which is what takes memory, is limited to 64 MiB: that of `xz -9`. */
async function* unxz(pieces: Pieces): Pieces {
  const module = await import('xz-decompress');
  const {XzReadableStream} = (module as unknown as {default?: typeof module}).default ?? module; // CommonJS
  const packed = Readable.toWeb(Readable.from(pieces)) as ReadableStream<Uint8Array>;
  try {
    yield* Readable.fromWeb(new XzReadableStream(packed) as Parameters<typeof Readable.fromWeb>[0]);
  } catch (error) {
    const code = /error code (\d+)/.exec((error as Error).message)?.[1];
    throw new Error(XZ_REASONS[Number(code)] ?? (error as Error).message, {cause: error});
  }
}

/** enum xz_ret of xz-embedded's xz.h. */
const XZ_REASONS: Readonly<Record<number, string>> = {
  4: 'it needs a dictionary of more than 64 MiB',
  5: 'what follows is no xz stream',
  6: 'it was made with options that are not read here',
  7: 'its data are damaged',
  8: 'it ends too early',
};

/** A file without a name, where the system allows that; it is gone when it is closed. */
export async function unpackToTemporary(place: FileSpan, codec: CodecName): Promise<{file: DataFile; close(): Promise<void>}> {
  const folder = makeTemporary();
  const unpacked = join(folder, 'archive.tar');
  const file = new DataFile(unpacked, place.name);
  try {
    const pieces = codecs[codec].unpack(piecesOf(place));
    await pipeline(pieces, limited(place), createWriteStream(unpacked));
    await file.keep();
  } catch (error) {
    removeHidden(folder);
    throw explained(place.name, {folder, codec, error: error as NodeJS.ErrnoException});
  }
  if (process.platform !== 'win32') removeHidden(folder);
  const close = async () => {
    await file.close();
    removeHidden(folder);
  };
  return {file, close};
}

function limited({name, size}: FileSpan): Transform {
  const limit = Math.max(ALWAYS_ALLOWED, size * MAX_RATIO);
  let total = 0;
  return new Transform({
    transform(chunk: Uint8Array, _, callback) {
      total += chunk.length;
      const error = new GpdError('LIMIT_EXCEEDED', `${name}: unpacks to more than ${MAX_RATIO} times its size`, {
        at: name,
        hint: 'no set of images does that; if it is one, unpack it yourself and give the .tar or the folder',
      });
      callback(total > limit ? error : null, chunk);
    },
  });
}

interface Failed {
  readonly folder: string;
  readonly codec: CodecName;
  readonly error: NodeJS.ErrnoException;
}

function explained(name: string, {folder, codec, error}: Failed): Error {
  if (error instanceof GpdError) return error;
  const {code = ''} = error;
  if (code === 'ENOSPC') {
    return new GpdError('DATASET_INVALID', `${name}: no space left in ${folder} to unpack it`, {
      at: name,
      hint: `unpack it where there is space (${codecs[codec].command}) and give the .tar, or set TMPDIR`,
      cause: error,
    });
  }
  if (/^E[A-Z]+$/.test(code)) {
    const hint = 'check the file, and the folder for temporary files (TMPDIR)';
    return new GpdError('FILE_UNREADABLE', `${name}: cannot be unpacked (${code})`, {at: name, hint, cause: error});
  }
  return new GpdError('DATASET_INVALID', `${name}: is not a complete ${codec} file (${error.message})`, {
    at: name,
    hint: 'download or copy it again',
    cause: error,
  });
}
