/** Stands in for the decoding thread in loader.test.ts: ends at its third job, as a thread does when memory runs out. */
import {parentPort} from 'node:worker_threads';
import type {Job} from '../../../src/data/decoders.js';

let jobs = 0;
parentPort?.on('message', (job: Job | 'close') => {
  if (job === 'close') parentPort?.close();
  else if (++jobs === 3) process.exit(7);
});
