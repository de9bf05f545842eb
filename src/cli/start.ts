/**
 * The process around the commands: settings, signals, closed pipes, exit codes. Everything heavy is imported by the command that
 * needs it; `gpd --help` reads the manifest and loads no command at all.
 */
import {run} from '@oclif/core/run';
import {settings} from '@oclif/core/settings';
import {GpdError} from '../core/error.js';
import {exitCodeOf, exitCodes} from './exit-codes.js';
import {renderError} from './render-error.js';
import {styleFor} from './style.js';

export async function start(argv: readonly string[]): Promise<void> {
  settings.enableAutoTranspile = false; // oclif would look for TypeScript sources and for ts-node
  process.env['NODE_ENV'] ??= 'production';
  handlePipes();
  handleSignals();
  try {
    await import('../core/debug.js');
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`); // a misspelt topic in GPD_DEBUG
    process.exit(exitCodes.usage);
  }
  try {
    await run([...argv], import.meta.url);
  } catch (error) {
    await fail(error);
  }
}

/** A reader that went away (`gpd inspect FILE | head`) wants no more output: no message, and nothing that looks like a failure. */
function handlePipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(process.exitCode ?? 0);
  });
  process.stderr.on('error', () => {}); // progress that nobody reads
}

const signals = {SIGHUP: 1, SIGINT: 2, SIGTERM: 15} as const;

/** `process.exit` runs the exit handlers, and `core/output.ts` removes there what is unfinished. */
function handleSignals(): void {
  for (const [signal, number] of Object.entries(signals)) process.once(signal, () => process.exit(128 + number));
}

/** How a command ends that failed: bad input, bad usage or `exit()`, and bugs. */
async function fail(error: unknown): Promise<never> {
  const code = exitCodeOf(error);
  if (error instanceof GpdError) printError(renderError(error, styleFor(process.stderr)).join('\n'));
  else if (code === exitCodes.bug)
    printError(`gpd has a bug: this should not happen, whatever the input. Please report it.\n${stackOf(error)}`);
  else {
    const {handle} = await import('@oclif/core/handle'); // prints, and exits with the error's own code
    await handle(error as Error);
  }
  process.exit(code);
}

const printError = (text: string): boolean => process.stderr.write(`${text}\n`);
const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));
