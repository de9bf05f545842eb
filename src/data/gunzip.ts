/**
 * A .tar.gz cannot be read by offset: it is unpacked once, to a temporary file that disappears with the process. (CIFAR's 50,000
 * images take 75 MB. ImageNet's 6.7 GB gain nothing from gzip; whoever has them so needs the space.)
 */
import {createReadStream, createWriteStream, mkdtempSync, rmSync, statSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {Transform} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip} from 'node:zlib';
import {GpdError} from '../core/error.js';

/** JPEGs hardly shrink, and tar's padding at most tenfold; beyond this it is a bomb. Small archives may be all padding. */
const MAX_RATIO = 50;
const ALWAYS_ALLOWED = 64 * 1024 * 1024;

export interface Unpacked {
  readonly path: string;
  remove(): void;
}

export async function gunzipToTemporary(path: string): Promise<Unpacked> {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-'));
  const remove = () => rmSync(folder, {recursive: true, force: true});
  const onExit = () => remove();
  process.once('exit', onExit);
  const unpacked = join(folder, 'archive.tar');
  const done = () => {
    process.removeListener('exit', onExit);
    remove();
  };
  try {
    await pipeline(createReadStream(path), createGunzip(), limited(path), createWriteStream(unpacked));
  } catch (error) {
    done();
    throw explained(path, folder, error as NodeJS.ErrnoException);
  }
  return {path: unpacked, remove: done};
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
