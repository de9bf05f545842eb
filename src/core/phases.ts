/** Long work in phases: each is announced, and none begins once the work is no longer wanted. */
import {setImmediate} from 'node:timers/promises';

/** How long work in phases is watched and ended. */
export interface PhaseHooks {
  /** Called once, before the first phase, with the names of all phases in order. */
  readonly onPlan?: ((phases: readonly string[]) => void) | undefined;
  /** Called with the name of each phase as it begins, and of what goes on within a long one. */
  readonly onPhase?: ((phase: string) => void) | undefined;
  /** Ends the work before its next phase: the function throws the signal's reason, and writes nothing. */
  readonly signal?: AbortSignal | undefined;
}

/** The names of the phases that are not left out. */
export const phasesIn = (...phases: readonly (string | false | readonly string[])[]): string[] =>
  phases.flatMap((phase) => phase || []);

/** Throws the signal's reason. Timers and events have their turn first: the engine blocks this thread for long. */
export async function enterPhase({onPhase, signal}: PhaseHooks, phase: string): Promise<void> {
  onPhase?.(phase);
  if (!signal) return;
  await setImmediate();
  signal.throwIfAborted();
}
