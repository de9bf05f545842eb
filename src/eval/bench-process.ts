/** One child process of the bench, seen from the parent: orders go out one at a time, each with its answer. */
import {type ChildProcess, fork} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {type ErrorCode, GpdError} from '../core/error.js';
import type {ChildTask, Opened, Order, Report, RoundOrder} from './bench-protocol.js';

/** The compiled program beside this file. */
const childProgram = (): string => fileURLToPath(new URL('./bench-child.js', import.meta.url));

export class BenchProcess {
  private constructor(
    private readonly child: ChildProcess,
    private readonly name: string,
  ) {}

  static async start(name: string, task: ChildTask, program = childProgram()): Promise<BenchProcess & {opened: Opened}> {
    // execArgv: a debugger of the parent is none of the child's.
    const process = new BenchProcess(fork(program, [], {execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc']}), name);
    try {
      const {opened} = (await process.ask({open: task})) as {opened: Opened};
      return Object.assign(process, {opened});
    } catch (error) {
      process.kill();
      throw error;
    }
  }

  async round(order: RoundOrder): Promise<number[]> {
    return ((await this.ask({round: order})) as {latencies: number[]}).latencies;
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
    const {child, name} = this;
    return new Promise((resolve, reject) => {
      const done = (report: Report) => {
        child.off('exit', exited);
        if ('failed' in report) reject(failureOf(name, report.failed));
        else resolve(report);
      };
      const exited = (status: number | null, signal: string | null) => {
        child.off('message', done);
        reject(crashOf(name, signal ?? `status ${status}`));
      };
      child.once('message', done);
      child.once('exit', exited);
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
