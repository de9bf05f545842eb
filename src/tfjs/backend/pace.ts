/**
 * Which calls are computed at once, in TensorFlow.js's own cpu code, and which are recorded for onnxruntime.
 *
 * A recorded call costs some microseconds more than one that is computed at once, and its graph has to be compiled first. So a
 * program begins at once, and goes over to recording where its last steps had so much work for a call that recording repays, and as
 * soon as the compiling costs no more than what has been computed until then. Work is estimated from shapes (`work.ts`), never
 * measured: the same program takes the same way, to the same bits, in every run.
 */
import {trace} from '../../core/debug.js';

interface Step {
  calls: number;
  /** Nanoseconds in TensorFlow.js's cpu code, beside what any call costs. */
  work: number;
}

/** What a recorded call costs more than one that is computed at once, nanoseconds: recording, planning, a node's run. */
const RECORDING = 15_000;
/** What any call costs, nanoseconds. */
const CALLING = 10_000;
/** To compile one call, once for each structure. */
const COMPILING = 200_000;
/** A call with so much work is recorded whatever the others are. */
const LARGE = 10_000_000;
/** A call with less work on numbers that are there is not worth a node: constants, a batch that is gathered. */
const TINY = 50_000;
/** So many steps decide: two networks may take turns, and an epoch end with a few of its own. */
const REMEMBERED = 8;

export class Pace {
  private step: Step = {calls: 0, work: 0};
  private last: Step[] = [];
  private spent = 0;
  private recording = false;

  /** One more call, whichever way it goes: whether it is to be computed at once if its operands are there. */
  isAtOnce(work: number): boolean {
    this.step.calls++;
    this.step.work += work;
    return work < (this.recording ? TINY : LARGE);
  }

  /** A variable that was assigned is used, or something is read. */
  endStep(): void {
    if (this.step.calls === 0) return;
    this.last = [...this.last.slice(1 - REMEMBERED), this.step];
    this.spent += this.step.work + this.step.calls * CALLING;
    this.step = {calls: 0, work: 0};
    const calls = this.last.reduce((sum, step) => sum + step.calls, 0);
    const work = this.last.reduce((sum, step) => sum + step.work, 0);
    const longest = Math.max(...this.last.map((step) => step.calls));
    const repays = work > calls * RECORDING;
    if (this.recording === repays) return;
    if (repays && longest * COMPILING > 2 * this.spent) return;
    this.recording = repays;
    this.spent = 0;
    const share = `${(work / calls / 1000).toFixed(1)} µs of work a call`;
    trace(
      'lazy',
      () => `${share}: steps are ${repays ? 'recorded' : "computed at once, in TensorFlow.js's cpu code"} from now on`,
    );
  }
}
