/** Processes that train when they are told to: ours, or PyTorch. */
import type {ChildProcessWithoutNullStreams} from 'node:child_process';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {build} from 'esbuild';

/** At the end: the most memory that the process ever held. */
export interface Peak {
  peakBytes: number;
  /** How many numbers are trained. */
  parameters?: number;
  /** Of PyTorch: the libraries that multiply its matrices. */
  blas?: readonly string[];
}

/** What a process of ours holds. */
export interface Memory {
  rssBytes: number;
  tensors: number;
  data: number;
  bytes: number;
}

/** A child that answers each line with one line. */
export class Side {
  private readonly answers: AsyncIterator<string>;
  private errors = '';

  constructor(
    private readonly name: string,
    private readonly child: ChildProcessWithoutNullStreams,
  ) {
    this.answers = createInterface({input: child.stdout})[Symbol.asyncIterator]();
    child.stderr.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
  }

  private async ask<T>(line: string): Promise<T> {
    this.child.stdin.write(`${line}\n`);
    const {value, done} = await this.answers.next();
    if (done) throw new Error(`${this.name} ended: ${this.errors}`);
    return JSON.parse(value as string) as T;
  }
  memory = () => this.ask<Memory>('memory');
  train = (steps: number) => this.ask<{seconds: number; loss: number}>(String(steps));
  async end(): Promise<Peak> {
    const answer = await this.ask<Peak>('peak');
    this.child.stdin.end();
    return answer;
  }
}

/** The path of a program of this folder as one file. */
export async function bundleOurs(program: 'train-step-ours' | 'gpd-step-ours' | 'fit-process'): Promise<string> {
  const outfile = join('build', `bench-${program}.mjs`);
  const options = {bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external'} as const;
  await build({entryPoints: [`bench/${program}.ts`], outfile, ...options, logLevel: 'warning'});
  return outfile;
}
