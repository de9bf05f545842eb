/** Long work in phases: each is announced, and none begins once the work is no longer wanted. */
import {setImmediate} from 'node:timers/promises';

/** How long work in phases is watched and ended. */
export interface PhaseHooks {
  /** Called with the name of each phase as it begins. */
  readonly onPhase?: ((phase: string) => void) | undefined;
  /** Ends the work before its next phase: the function throws the signal's reason, and writes nothing. */
  readonly signal?: AbortSignal | undefined;
}

/** Throws the signal's reason. Timers and events have their turn first: the engine blocks this thread for long. */
export async function enterPhase({onPhase, signal}: PhaseHooks, phase: string): Promise<void> {
  onPhase?.(phase);
  if (!signal) return;
  await setImmediate();
  signal.throwIfAborted();
}
