/** What the exit status of a command means. README.md and docs/formats.md list it for users. */
import {GpdError} from '../core/error.js';

export const exitCodes = {
  ok: 0,
  /** A `GpdError`, or a check that was asked for and is not met. */
  failure: 1,
  /** Flags or arguments that do not exist or do not fit together. */
  usage: 2,
  /** An error that no input should cause: EX_SOFTWARE of sysexits.h. */
  bug: 70,
} as const;

/** oclif's own errors carry their status. */
function statusOf(error: unknown): number | undefined {
  const status = (error as {oclif?: {exit?: unknown}} | undefined)?.oclif?.exit;
  return typeof status === 'number' ? status : undefined;
}

export const exitCodeOf = (error: unknown): number =>
  error instanceof GpdError ? exitCodes.failure : (statusOf(error) ?? exitCodes.bug);
