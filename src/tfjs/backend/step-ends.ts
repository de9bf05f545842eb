/**
 * Where a training step ends. What is recorded is cut there, so that every step of a loop is the same graph, whether or not anything
 * is read of it: after an optimiser's update, and where a variable is used that was assigned since its last use.
 */
import {engine, Optimizer, type Variable} from '@tensorflow/tfjs-core';

/** What is known of the data that a variable has. */
export interface StepMark {
  /** The step in which it was made. */
  step: number;
  /** A variable has it, and has been used since. */
  isUsed?: boolean;
}

export class StepEnds {
  /** The number of the current step. */
  step = 0;
  private isUpdated = false;
  private readonly known = new WeakSet<object>();

  /** An optimiser is done. The step ends before the next kernel: by then the gradients have been disposed of. */
  updated(): void {
    this.isUpdated = true;
  }

  /** Whether a kernel on these operands begins another step; `markOf` gives what is known of the data of a variable that is not disposed. */
  isEnd(inputs: object, markOf: (variable: Variable) => StepMark | undefined): boolean {
    let ends = this.isUpdated;
    for (const input of Object.values(inputs) as Partial<Variable>[]) {
      if (input?.assign && this.isAssigned(input as Variable, markOf(input as Variable))) ends = true;
    }
    return ends;
  }

  next(): void {
    this.isUpdated = false;
    this.step++;
  }

  /** Since it was last used, in this step: what a new variable begins with, an optimiser's zeros, is no end of a step. */
  private isAssigned(variable: Variable, mark: StepMark | undefined): boolean {
    if (!mark || mark.isUsed) return false;
    mark.isUsed = true;
    const isNew = !this.known.has(variable);
    this.known.add(variable);
    return !isNew && mark.step === this.step;
  }
}

/** Tells of every update by one of TensorFlow.js's optimisers: the last thing that each does is to count it. */
export function onUpdate(tell: (backend: unknown) => void): void {
  const prototype = Optimizer.prototype as unknown as {incrementIterations(): void};
  const {incrementIterations} = prototype;
  prototype.incrementIterations = function () {
    incrementIterations.call(this);
    tell(engine().backend);
  };
}
