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
import {printable, printableLines} from '../core/printable.js';
import {systemError, systemReason} from '../core/system-error.js';
import {exitCodeOf, exitCodes} from './exit-codes.js';
import {renderError} from './render/error.js';
import {obeySignal, stopSignalNames} from './stop-signals.js';
import {styleFor} from './terminal/style.js';

/** `signals`: whether this process listens to the system itself. */
export async function start(
  argv: readonly string[],
  {signals}: {signals: 'from the system' | 'from the supervisor'},
): Promise<void> {
  settings.enableAutoTranspile = false; // oclif would look for TypeScript sources and for ts-node
  process.env['NODE_ENV'] ??= 'production';
  handlePipes();
  if (signals === 'from the system') for (const name of stopSignalNames) process.on(name, () => obeySignal(name));
  try {
    await import('../core/debug.js');
  } catch (error) {
    printError(printable((error as Error).message)); // a misspelt topic in GPD_DEBUG
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
  let lost: NodeJS.ErrnoException | undefined;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    lost ??= error;
    process.exit(error.code === 'EPIPE' ? (process.exitCode ?? exitCodes.ok) : exitCodes.failure);
  });
  process.on('exit', (code) => {
    if (!lost || lost.code === 'EPIPE') return;
    printError(renderError(outputLost(lost), styleFor(process.stderr)).join('\n'));
    if (code === exitCodes.ok) process.exitCode = exitCodes.failure;
  });
  process.stderr.on('error', () => {}); // progress that nobody reads
}

function outputLost(cause: Error): GpdError {
  const [problem, hint] = systemReason(cause);
  return new GpdError('OUTPUT_REFUSED', `standard output: ${problem}; results that were written to files stay`, {
    at: 'standard output',
    hint,
    cause,
  });
}

/** How a command ends that failed: bad input, bad usage or `exit()`, and bugs. */
async function fail(thrown: unknown): Promise<never> {
  const error = systemError(thrown) ?? thrown;
  const code = exitCodeOf(error);
  if (error instanceof GpdError) printError(renderError(error, styleFor(process.stderr)).join('\n'));
  else if (code === exitCodes.bug)
    printError(
      `gpd has a bug: this should not happen, whatever the input. Please report it.\n${printableLines(stackOf(error))}`,
    );
  else {
    const {handle} = await import('@oclif/core/handle'); // prints, and exits with the error's own code
    await handle(safeUsage(error as Error));
  }
  process.exit(code);
}

/** The usage errors of oclif repeat what was typed, and file names are typed with a `*`. */
function safeUsage(error: Error): Error {
  const odd = process.argv.slice(2).filter((word) => printable(word) !== word);
  const inOneLine = odd.reduce((text, word) => text.replaceAll(word, printable(word)), error.message);
  error.message = printableLines(inOneLine.replaceAll('\t', '  '));
  return error;
}

const printError = (text: string): boolean => process.stderr.write(`${text}\n`);
const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));
