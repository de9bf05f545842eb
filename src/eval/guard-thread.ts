/** The thread of `guard.ts`. It must not need the main thread for anything: that may be inside the engine for ever. */
import {writeSync} from 'node:fs';
import {parentPort, workerData} from 'node:worker_threads';
import type {GuardReport, GuardSettings} from './guard.js';

/** A model that grows by a gigabyte a second is seen within 20 MB. */
const EVERY_MS = 20;

const {parent, reportFd, limit: first} = workerData as GuardSettings;
let limit = first;
parentPort!.on('message', (next: number) => {
  limit = next;
});

const end = () => process.kill(process.pid, 'SIGKILL');

function isOrphan(): boolean {
  if (parent === undefined) return false;
  if (process.ppid !== parent) return true;
  try {
    return !process.kill(parent, 0); // where a process keeps the id of a parent that is gone
  } catch {
    return true;
  }
}

setInterval(() => {
  if (isOrphan()) end();
  const resident = process.memoryUsage.rss();
  if (resident <= limit) return;
  try {
    writeSync(reportFd, `${JSON.stringify({limit, resident} satisfies GuardReport)}\n`);
  } finally {
    end();
  }
}, EVERY_MS);
