/** One child process of the bench, seen from the parent: orders go out one at a time, each with its answer. */
import {type ChildProcess, fork} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {type ErrorCode, GpdError} from '../core/error.js';
import type {ChildTask, Opened, Order, Report, RoundOrder} from './bench-protocol.js';
import {REPORT_FD} from './guard.js';
import {memoryExceeded} from './memory-limit.js';

/** The compiled program beside this file. */
const childProgram = (): string => fileURLToPath(new URL('./bench-child.js', import.meta.url));

/** How long an answer may take once the bench was interrupted, beside what answers usually take. */
const ANSWER_MS = 1500;

export class BenchProcess {
  private report = '';
  private longestMs = 0;
  private readonly endWithUs = () => this.kill();

  private constructor(
    private readonly child: ChildProcess,
    private readonly name: string,
    private readonly signal: AbortSignal | undefined,
  ) {
    child.stdio[REPORT_FD]!.on('data', (text: Buffer) => {
      this.report += text.toString();
    });
    process.on('exit', this.endWithUs); // it may be inside the engine, where it does not see that we are gone
    child.on('exit', () => process.off('exit', this.endWithUs));
  }

  /** After `signal`, a child that takes much longer than before for an answer is ended. */
  static async start(
    name: string,
    task: ChildTask,
    {program = childProgram(), signal}: {program?: string | undefined; signal?: AbortSignal | undefined} = {},
  ): Promise<BenchProcess & {opened: Opened}> {
    // execArgv: a debugger of the parent is none of the child's.
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'] as const;
    const child = new BenchProcess(fork(program, [String(process.pid)], {execArgv: [], stdio: [...stdio]}), name, signal);
    try {
      const {opened} = (await child.ask({open: task})) as {opened: Opened};
      return Object.assign(child, {opened});
    } catch (error) {
      child.kill();
      throw error;
    }
  }

  async round(order: RoundOrder): Promise<number[]> {
    const start = performance.now();
    const {latencies} = (await this.ask({round: order})) as {latencies: number[]};
    this.longestMs = Math.max(this.longestMs, performance.now() - start);
    return latencies;
  }

  /** Gives the most memory that the process ever had. */
  async close(): Promise<number> {
    const {closed} = (await this.ask({close: true})) as {closed: {peakBytes: number}};
    this.child.disconnect();
    return closed.peakBytes;
  }
  kill(): void {
    this.child.kill('SIGKILL');
  }

  private ask(order: Order): Promise<Report> {
    const {child, name, signal: interrupt} = this;
    let patience: NodeJS.Timeout | undefined;
    const hurry = () => {
      patience = setTimeout(() => this.kill(), ANSWER_MS + 2 * this.longestMs);
    };
    if (interrupt?.aborted) hurry();
    else interrupt?.addEventListener('abort', hurry);
    const ended = () => {
      clearTimeout(patience);
      interrupt?.removeEventListener('abort', hurry);
    };
    return new Promise((resolve, reject) => {
      const done = (report: Report) => {
        ended();
        child.off('close', exited);
        if ('failed' in report) reject(failureOf(name, report.failed));
        else resolve(report);
      };
      const exited = (status: number | null, signal: string | null) => {
        ended();
        child.off('message', done);
        reject(this.report === '' ? crashOf(name, signal ?? `status ${status}`) : memoryExceeded(name, this.report));
      };
      child.once('message', done);
      child.once('close', exited);
      if (child.connected) child.send(order);
      else exited(child.exitCode, child.signalCode);
    });
  }
}

const failureOf = (
  name: string,
  {message, code, hint}: {message: string; code?: string | undefined; hint?: string | undefined},
) => new GpdError((code as ErrorCode | undefined) ?? 'ENGINE_FAILED', message, {at: name, ...(hint !== undefined && {hint})});

const crashOf = (name: string, how: string) =>
  new GpdError('ENGINE_FAILED', `the process that ran ${name} ended with ${how}`, {
    at: name,
    hint: 'try --provider cpu, or fewer images in a batch; a crash of the CPU provider is worth a report',
  });
