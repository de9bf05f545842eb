/** What a supervisor and the process that it watches say to each other. Plain data: it crosses a process border. */
import type {StopSignal} from './stop-signals.js';

/** To the process. Signals come this way alone, so that one from a terminal, which reaches both, counts once. */
export interface ToSupervised {
  /** Null: nothing but an answer is asked for. */
  readonly stop: StopSignal | null;
}

/** To the supervisor. */
export type FromSupervised =
  /** Its thread is free: it deals with what it was told. */
  | {readonly heard: true}
  /** A hidden folder that goes with the process. */
  | {readonly folder: string; readonly held: boolean}
  /** The longest call of the engine so far, in milliseconds. */
  | {readonly engineMs: number};
