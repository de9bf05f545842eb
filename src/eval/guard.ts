/**
 * A thread that watches its process while the engine computes, when nothing else in it can: it ends the process when its memory exceeds
 * the limit, or when the process that started it is gone. It is told the limit; `memory-limit.ts` says what that is.
 */
import {Worker} from 'node:worker_threads';

/** The pipe, beside stdin, stdout, stderr and the channel, through which the thread says why it ends the process. */
export const REPORT_FD = 4;

export interface GuardSettings {
  /** Bytes of resident memory. */
  limit: number;
  /** Undefined where nobody supervises: reasons go to stderr. */
  parent: number | undefined;
  /** Where the reason is written to. */
  reportFd: number;
}
/** What the thread writes before it ends the process. */
export interface GuardReport {
  readonly limit: number;
  readonly resident: number;
}

let parent: number | undefined;
let thread: Worker | undefined;

/** Says that another process started this one, reads its reports, and is lost if that process ends. */
export function supervisedBy(pid: number): void {
  parent = pid;
}

/** Starts the thread, or tells it another limit. */
export function guard(limit: number): void {
  if (thread) {
    thread.postMessage(limit);
    return;
  }
  const settings: GuardSettings = {limit, parent, reportFd: parent === undefined ? 2 : REPORT_FD};
  thread = new Worker(new URL('./guard-thread.js', import.meta.url), {workerData: settings});
  thread.unref();
}
