/**
 * A .tar.gz cannot be read by offset: it is unpacked once, to a temporary file that disappears with the process, kill -9 included. (CIFAR's 50,000
 * images take 75 MB. ImageNet's 6.7 GB gain nothing from gzip; whoever has them so needs the space.)
 */
import {createReadStream, createWriteStream, statSync} from 'node:fs';
import {join} from 'node:path';
import {Transform} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip} from 'node:zlib';
import {GpdError} from '../core/error.js';
import {makeTemporary, removeHidden} from '../core/temporary.js';

/** JPEGs hardly shrink, and tar's padding at most tenfold; beyond this it is a bomb. Small archives may be all padding. */
const MAX_RATIO = 50;
const ALWAYS_ALLOWED = 64 * 1024 * 1024;

export interface Unpacked {
  readonly path: string;
  /** The file has been opened: where the system allows it, its name goes now, and its bytes with the last handle. */
  opened(): void;
  remove(): void;
}

export async function gunzipToTemporary(path: string): Promise<Unpacked> {
  const folder = makeTemporary();
  const unpacked = join(folder, 'archive.tar');
  const remove = () => void removeHidden(folder);
  try {
    await pipeline(createReadStream(path), createGunzip(), limited(path), createWriteStream(unpacked));
  } catch (error) {
    remove();
    throw explained(path, folder, error as NodeJS.ErrnoException);
  }
  return {path: unpacked, opened: process.platform === 'win32' ? () => {} : remove, remove};
}

function limited(path: string): Transform {
  const limit = Math.max(ALWAYS_ALLOWED, statSync(path).size * MAX_RATIO);
  let total = 0;
  return new Transform({
    transform(chunk: Uint8Array, _, callback) {
      total += chunk.length;
      const error = new GpdError('LIMIT_EXCEEDED', `${path}: unpacks to more than ${MAX_RATIO} times its size`, {
        at: path,
        hint: 'no set of images does that; if it is one, unpack it yourself and give the .tar or the folder',
      });
      callback(total > limit ? error : null, chunk);
    },
  });
}

function explained(path: string, folder: string, error: NodeJS.ErrnoException): Error {
  if (error instanceof GpdError) return error;
  const code = error.code ?? '';
  if (code === 'ENOSPC') {
    return new GpdError('DATASET_INVALID', `${path}: no space left in ${folder} to unpack it`, {
      at: path,
      hint: 'unpack it where there is space (gunzip -k) and give the .tar, or set TMPDIR',
      cause: error,
    });
  }
  if (code.startsWith('Z_')) {
    return new GpdError('DATASET_INVALID', `${path}: is not a complete gzip file (${error.message})`, {
      at: path,
      hint: 'download or copy it again',
      cause: error,
    });
  }
  return new GpdError('FILE_UNREADABLE', `${path}: cannot be unpacked (${code || error.message})`, {
    at: path,
    hint: 'check the file',
    cause: error,
  });
}
