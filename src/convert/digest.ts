/**
 * SHA-256 of a file and the checksums of its parts, on another thread: a large checkpoint is read to its end while the main
 * thread reads the part that it needs.
 */
import {Worker} from 'node:worker_threads';
import type {StorageChecksum} from '../checkpoint/checkpoint.js';
import {GpdError} from '../core/error.js';

/** As a string, so that it needs no file of its own beside a bundle. zlib.crc32 came with Node 20.15 and 22.2. */
const worker = `
const {createHash} = require('node:crypto');
const {openSync, readSync} = require('node:fs');
const {crc32} = require('node:zlib');
const {parentPort, workerData: {files, ranges}} = require('node:worker_threads');
const hash = createHash('sha256');
const buffer = Buffer.allocUnsafe(2 ** 20);
const damaged = [];
let next = 0, crc = 0, start = 0;
for (const path of files) for (let fd = openSync(path, 'r'), n; (n = readSync(fd, buffer, 0, buffer.length, null)) > 0; start += n) {
  hash.update(n === buffer.length ? buffer : buffer.subarray(0, n));
  while (crc32 && next < ranges.length && ranges[next].offset < start + n) {
    const {offset, length, crc: expected} = ranges[next];
    const end = offset + length;
    crc = crc32(buffer.subarray(Math.max(0, offset - start), Math.min(n, end - start)), crc);
    if (end > start + n) break;
    if (crc !== expected) damaged.push(next);
    next++;
    crc = 0;
  }
}
parentPort.postMessage({sha256: hash.digest('hex'), damaged, checked: crc32 ? ranges.length : 0});
`;

export interface Digest {
  sha256: string;
  /** Storages whose bytes are not those that were written, by the first tensor in each. */
  damaged: string[];
  /** Storages that were compared with their checksum. */
  checked: number;
}

/** Of the bytes of one file, or of several one behind the other; offsets of the checksums count through all of them. */
export function digestFiles(files: readonly string[], checksums: readonly StorageChecksum[]): Promise<Digest> {
  const sorted = [...checksums].sort((a, b) => a.offset - b.offset);
  const ranges = sorted.map(({offset, length, crc}) => ({offset, length, crc}));
  return new Promise((resolve, reject) => {
    const thread = new Worker(worker, {eval: true, workerData: {files, ranges}});
    thread.once('message', ({sha256, damaged, checked}: {sha256: string; damaged: number[]; checked: number}) =>
      resolve({sha256, checked, damaged: damaged.map((i) => sorted[i]!.keys[0]!)}),
    );
    thread.once('error', (cause) =>
      reject(
        new GpdError('FILE_UNREADABLE', `${files.join(', ')}: cannot be read to the end (${cause.message})`, {
          at: files[0]!,
          hint: 'check the disk and the connection to it',
          cause,
        }),
      ),
    );
  });
}

/** Numbers that changed since they were written are refused: nothing else would notice a flipped bit. */
export function refuseDamage(path: string, {damaged}: Digest): void {
  const [first] = damaged;
  if (first === undefined) return;
  const others = damaged.length > 1 ? ` and ${damaged.length - 1} more` : '';
  throw new GpdError('CHECKPOINT_CORRUPT', `${path}: the bytes of '${first}'${others} do not match their checksum`, {
    at: first,
    hint: 'the file was damaged after it was written: download or copy it again',
    data: {damaged},
  });
}
