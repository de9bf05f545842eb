/** What a supervisor and the process that it watches say to each other. Plain data: it crosses a process border. */
import type {StopSignal} from './stop-signals.js';

/** To the process. Signals come this way alone, so that one from a terminal, which reaches both, counts once. */
export interface ToSupervised {
  readonly stop: StopSignal;
}

/** To the supervisor. */
export type FromSupervised =
  /** Its thread is free: it deals with the signal itself. */
  | {readonly heard: StopSignal}
  /** A hidden folder that goes with the process. */
  | {readonly folder: string; readonly held: boolean}
  /** The longest call of the engine so far, in milliseconds. */
  | {readonly engineMs: number};
