/** The program of a decoding thread: jobs in, crops out. Few are under way at once; the others wait here, so that this thread has work while the main one is busy. */
import {parentPort} from 'node:worker_threads';
import type {Job, JobResult} from './decoders.js';
import {prepare} from './prepare.js';

/** One image is decoded by libvips in a thread of its own while another is resampled here. */
const UNDER_WAY = 2;

const port = parentPort;
if (!port) throw new Error('decode-worker is a worker thread, not a program');

const waiting: Job[] = [];
let running = 0;

async function run(job: Job): Promise<void> {
  let result: JobResult;
  try {
    const {width, height, data} = await prepare(job.bytes, job.options);
    const own = Buffer.isBuffer(data) ? new Uint8Array(data) : data; // sharp's memory cannot be moved between threads
    result = {id: job.id, image: {width, height, data: own}};
  } catch (error) {
    result = {id: job.id, error: (error as Error).message};
  }
  port!.postMessage(result, 'image' in result ? [result.image.data.buffer as ArrayBuffer] : []);
}

function pump(): void {
  while (running < UNDER_WAY && waiting.length > 0) {
    running++;
    void run(waiting.shift()!).then(() => {
      running--;
      pump();
    });
  }
}

port.on('message', (job: Job | 'close') => {
  if (job === 'close') {
    waiting.length = 0;
    port.close();
    return;
  }
  waiting.push(job);
  pump();
});
