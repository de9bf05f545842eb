/** What all commands share: `--json`, and errors that say what, where, why and what to do. */
import {Command} from '@oclif/core/command';
import * as Flags from '@oclif/core/flags';
import {printableJson} from '../core/printable.js';
import {systemError} from '../core/system-error.js';
import {errorJson} from './error-json.js';
import {exitCodeOf} from './exit-codes.js';
import {safeLines, wantsColor} from './terminal/style.js';
import {type UsedCommand, usageError} from './usage-error.js';

export abstract class GpdCommand extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = {
    json: Flags.boolean({description: 'print the result as JSON', helpGroup: 'GLOBAL'}),
  };

  /** `--json` prints what `run` returns; plain data only. */
  abstract override run(): Promise<object>;

  /** Lines for a person, not with `--json`. */
  override log(text = ''): void {
    if (!this.jsonEnabled()) process.stdout.write(`${safeLines(text, wantsColor(process.stdout))}\n`);
  }

  /** A line for a person on stderr, with `--json` too. */
  protected note(text: string): void {
    process.stderr.write(`${safeLines(`note  ${text}`, wantsColor(process.stderr))}\n`);
  }

  protected override logJson(value: unknown): void {
    process.stdout.write(`${printableJson(value, 2)}\n`);
  }

  protected override async catch(thrown: Error): Promise<void> {
    const error = systemError(thrown) ?? ((await usageError(thrown, this.ctor as UsedCommand)) as Error);
    process.exitCode = exitCodeOf(error);
    if (this.jsonEnabled() && !isExit(error)) return super.catch(error);
    throw error;
  }

  protected override toErrorJson(error: unknown): {error: object} {
    return {error: errorJson(error)};
  }
}

const isExit = (error: Error): boolean => (error as {code?: unknown}).code === 'EEXIT';
