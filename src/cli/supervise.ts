/**
 * Runs a command in a process of its own, and stays able to end it: onnxruntime blocks the thread that calls it, and a model of a stranger
 * may keep it there for ever. Signals are passed on; what is not heard is enforced, and what then lies around is removed.
 */
import {type ChildProcess, fork} from 'node:child_process';
import {rmSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {GpdError} from '../core/error.js';
import {printableJson} from '../core/printable.js';
import {systemError} from '../core/system-error.js';
import {memoryExceeded} from '../eval/memory-limit.js';
import {errorJson} from './error-json.js';
import {exitCodes} from './exit-codes.js';
import {renderError} from './render/error.js';
import {type StopSignal, statusOfSignal, stopSignalNames} from './stop-signals.js';
import type {FromSupervised, ToSupervised} from './supervisor-protocol.js';
import {styleFor} from './terminal/style.js';

/** How long an answer may take, beside what calls of the engine usually take. */
const ANSWER_MS = 1500;
/** The same while a command that has heard the first Ctrl-C finishes, which is more than calls of the engine; and how often it is asked. */
const FINISH_MS = 5000;
const ASK_MS = 500;

/** Ends with the status that the command would have had, or that of what ended it. */
export async function supervise(argv: readonly string[]): Promise<void> {
  const program = fileURLToPath(new URL('../../bin/supervised.js', import.meta.url));
  const stdio = ['inherit', 'inherit', 'inherit', 'ipc', 'pipe'] as const;
  const supervisor = new Supervisor(fork(program, [String(process.pid), ...argv], {stdio: [...stdio]}));
  try {
    process.exitCode = await supervisor.status(argv);
  } catch (error) {
    process.exitCode = fail(systemError(error) ?? crashed(String(error)), argv);
  }
}

class Supervisor {
  private readonly folders = new Set<string>();
  private report = '';
  private longestMs = 0;
  private stopping: StopSignal | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly child: ChildProcess) {
    child.on('message', (message: FromSupervised) => this.note(message));
    child.stdio?.[4]?.on('data', (text: Buffer) => {
      this.report += text.toString();
    });
    for (const signal of stopSignalNames) process.on(signal, () => this.stop(signal));
    process.on('exit', () => child.kill('SIGKILL'));
  }

  async status(argv: readonly string[]): Promise<number> {
    const {child} = this;
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.once('error', reject); // it could not be started
      child.once('close', (...how) => resolve(how));
    });
    clearTimeout(this.timer);
    if (code !== null) return code;
    for (const folder of this.folders) rmSync(folder, {recursive: true, force: true});
    if (this.report !== '') return fail(memoryExceeded('the command', this.report), argv);
    if (this.stopping === undefined) return fail(crashed(signal), argv);
    return statusOfSignal(this.stopping);
  }

  private note(message: FromSupervised): void {
    if ('engineMs' in message) this.longestMs = message.engineMs;
    else if ('heard' in message) this.heard();
    else if (message.held) this.folders.add(message.folder);
    else this.folders.delete(message.folder);
  }

  /** The first Ctrl-C may take its time: the command finishes what is under way, as long as it answers. */
  private heard(): void {
    if (this.stopping === 'SIGINT') this.after(ASK_MS, () => this.ask(null, FINISH_MS + 2 * this.longestMs));
  }

  /** Passes a signal on, or asks whether anybody is there; without an answer the process is ended. */
  private ask(stop: StopSignal | null, patienceMs: number): void {
    this.child.send({stop} satisfies ToSupervised, () => {}); // it may be gone already
    this.after(patienceMs, () => this.end());
  }

  private after(ms: number, next: () => void): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(next, ms);
  }

  private stop(signal: StopSignal): void {
    const isFirst = this.stopping === undefined;
    this.stopping = signal;
    this.ask(signal, ANSWER_MS + (isFirst ? 2 * this.longestMs : 0));
  }

  private end(): void {
    process.stderr.write(`\nended by ${this.stopping}: the engine did not come back; what was not saved is lost\n`);
    this.child.kill('SIGKILL');
  }
}

const crashed = (how: string | null) =>
  new GpdError('ENGINE_FAILED', `the process that ran the command ended with ${how}`, {
    hint: 'memory may have run out, or the engine crashed: try fewer images in a batch; a crash is worth a report',
  });

/** As the command itself would have said it. */
function fail(error: GpdError, argv: readonly string[]): number {
  const end = argv.indexOf('--');
  const asJson = (end < 0 ? argv : argv.slice(0, end)).includes('--json');
  if (asJson) process.stdout.write(`${printableJson({error: errorJson(error)}, 2)}\n`);
  else process.stderr.write(`${renderError(error, styleFor(process.stderr)).join('\n')}\n`);
  return exitCodes.failure;
}
