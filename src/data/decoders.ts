/** Who decodes: a pool of worker threads, or this thread. Both give the same bytes. */
import {availableParallelism} from 'node:os';
import {Worker} from 'node:worker_threads';
import {GpdError} from '../core/error.js';
import {workerFile} from '../core/worker-file.js';
import {type PrepareOptions, prepare} from './prepare.js';
import type {Image} from './resample.js';

export interface Decoder {
  /** How many images are worked on side by side. */
  readonly parallel: number;
  /** Rejects with a plain Error for a bad image, with a GpdError where decoding itself broke down. The bytes may be moved away. */
  prepare(bytes: Uint8Array, options: PrepareOptions): Promise<Image>;
  close(): Promise<void>;
}

export interface Job {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly options: PrepareOptions;
}
export type JobResult = {readonly id: number} & ({readonly image: Image} | {readonly error: string});

/**
 * Exact decoding needs no workers: sharp decodes in libuv's threads (4, or UV_THREADPOOL_SIZE) whoever asks, and passing images between
 * threads costs more (0.4 ms) than the resampling that workers take over (0.3 ms). They are for callers whose own thread is busy. Fast
 * decoding blocks the thread it runs in: a worker for every core, where there is more than one.
 */
export function defaultWorkers(fast: boolean): number {
  const cores = availableParallelism();
  return fast && cores > 1 ? cores : 0;
}

export function openDecoder(workers: number): Decoder {
  const file = workers > 0 ? workerFile(import.meta.url, './decode-worker.js') : undefined;
  return file ? workerPool(file, workers) : inThisThread();
}

const inThisThread = (): Decoder => ({
  parallel: availableParallelism(),
  prepare,
  async close() {},
});

interface Pending {
  readonly resolve: (image: Image) => void;
  readonly reject: (error: Error) => void;
}
interface Member {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
  readonly ended: Promise<void>;
}

function workerPool(file: URL, count: number): Decoder {
  let broken: GpdError | undefined;
  let nextId = 0;
  const start = (): Member => {
    const worker = new Worker(file);
    const pending = new Map<number, Pending>();
    const fail = (what: string, cause?: unknown) => {
      broken ??= new GpdError('DECODER_FAILED', `a thread that decodes images ${what}`, {
        hint: 'memory may have run out: try fewer workers or a smaller batch',
        cause,
      });
      for (const {reject} of pending.values()) reject(broken);
      pending.clear();
    };
    worker.on('message', (result: JobResult) => {
      const job = pending.get(result.id);
      pending.delete(result.id);
      if ('image' in result) job?.resolve(result.image);
      else job?.reject(new Error(result.error));
    });
    worker.on('error', (error) => fail(`failed: ${error.message}`, error));
    const ended = new Promise<void>((resolve) => {
      worker.on('exit', (code) => {
        if (pending.size > 0) fail(`ended with code ${code} before its work was done`);
        resolve();
      });
    });
    return {worker, pending, ended};
  };
  const members = Array.from({length: count}, start);
  return {
    parallel: count,
    prepare(bytes, options) {
      if (broken) return Promise.reject(broken);
      const {worker, pending} = members.reduce((a, b) => (b.pending.size < a.pending.size ? b : a));
      const id = nextId++;
      return new Promise<Image>((resolve, reject) => {
        pending.set(id, {resolve, reject});
        worker.postMessage({id, bytes, options} satisfies Job, movable(bytes));
      });
    },
    async close() {
      for (const {worker, pending} of members) {
        pending.clear();
        worker.postMessage('close'); // not terminate: libvips may be in the middle of an image
      }
      await Promise.all(members.map(({ended}) => ended));
    },
  };
}

/** A buffer is moved only where it holds nothing else. */
const movable = (bytes: Uint8Array): ArrayBuffer[] =>
  bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength ? [bytes.buffer] : [];
