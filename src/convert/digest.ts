/** SHA-256 of a file, on another thread: a large checkpoint is read to its end while the main thread reads the part that it needs. */
import {Worker} from 'node:worker_threads';
import {GpdError} from '../core/error.js';

/** As a string, so that it needs no file of its own beside a bundle. */
const worker = `
const {createHash} = require('node:crypto');
const {openSync, readSync} = require('node:fs');
const {parentPort, workerData} = require('node:worker_threads');
const hash = createHash('sha256');
const buffer = Buffer.allocUnsafe(2 ** 20);
const fd = openSync(workerData, 'r');
for (let n; (n = readSync(fd, buffer, 0, buffer.length, null)) > 0; ) hash.update(n === buffer.length ? buffer : buffer.subarray(0, n));
parentPort.postMessage(hash.digest('hex'));
`;

export function sha256OfFile(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(worker, {eval: true, workerData: path});
    thread.once('message', resolve);
    thread.once('error', (cause) => reject(new GpdError('FILE_UNREADABLE', `${path}: ${cause.message}`, {at: path, cause})));
  });
}
