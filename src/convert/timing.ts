import {enterPhase, type PhaseHooks} from '../core/phases.js';

/** Where the time of a run goes: phases by name, in order of their first use. */
export interface Timing {
  phases: {phase: string; ms: number}[];
  totalMs: number;
}

export class Stopwatch {
  private readonly start = performance.now();
  private readonly phases = new Map<string, number>();

  constructor(private readonly hooks: PhaseHooks = {}) {}

  async measure<T>(phase: string, work: () => T | Promise<T>): Promise<T> {
    await enterPhase(this.hooks, phase);
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.phases.set(phase, (this.phases.get(phase) ?? 0) + performance.now() - start);
    }
  }
  report(): Timing {
    return {phases: [...this.phases].map(([phase, ms]) => ({phase, ms})), totalMs: performance.now() - this.start};
  }
}
