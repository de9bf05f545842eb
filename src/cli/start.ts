/**
 * The process around the commands: settings, signals, closed pipes, exit codes. Everything heavy is imported by the command that
 * needs it; `gpd --help` reads the manifest and loads no command at all.
 */
import {fileURLToPath} from 'node:url';
import {Config} from '@oclif/core/config';
import {CLIError} from '@oclif/core/errors';
import {run} from '@oclif/core/run';
import {settings} from '@oclif/core/settings';
import {GpdError} from '../core/error.js';
import {nearest} from '../core/nearest.js';
import {exitCodeOf, exitCodes} from './exit-codes.js';
import {printable} from './format.js';
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
    const config = await Config.load({
      root: fileURLToPath(import.meta.url),
      userPlugins: false,
      devPlugins: false,
      jitPlugins: false,
    });
    const args = withoutHelpWord(argv);
    refuseUnknown(args[0], config);
    await run(args, config);
  } catch (error) {
    await fail(error);
  }
}

/** `gpd help convert` is `gpd convert --help`. */
const withoutHelpWord = ([first, ...rest]: readonly string[]): string[] =>
  first === 'help' ? [...rest, '--help'] : first === undefined ? [] : [first, ...rest];

function refuseUnknown(name: string | undefined, config: Config): void {
  if (name === undefined || name.startsWith('-') || config.findCommand(name) || config.findTopic(name)) return;
  const near = nearest(name, config.commandIDs);
  const hint = near ? `did you mean ${config.bin} ${near}?` : `${config.bin} --help lists the commands`;
  throw new CLIError(`there is no command '${printable(name)}'; ${hint}`, {exit: exitCodes.usage});
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
