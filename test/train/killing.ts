/** Runs of `programs/small-run.ts` that are ended from outside, at any moment, and go on until they are through. */
import {type ChildProcess, fork} from 'node:child_process';
import {copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {buildSync} from 'esbuild';
import {random} from '../../src/core/random.js';
import {encodePpm} from '../../src/data/ppm.js';

export interface RunOutcome {
  readonly complete: boolean;
  readonly epochs: number;
  /** Of the final weights and their moving average. */
  readonly digest: string;
}

export class SmallRuns {
  readonly folder = mkdtempSync(join(tmpdir(), 'gpd-train-'));
  private readonly program = join(this.folder, 'program.mjs');

  constructor() {
    writeFileSync(join(this.folder, 'package.json'), '{"type": "module"}');
    symlinkSync(resolve('node_modules'), join(this.folder, 'node_modules'));
    const bundle = {bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external'} as const;
    buildSync({
      ...bundle,
      entryPoints: [resolve('test/train/programs/small-run.ts')],
      outfile: this.program,
      logLevel: 'error',
    });
    writeImages(join(this.folder, 'set'));
  }

  remove = (): void => rmSync(this.folder, {recursive: true, force: true});
  path = (name: string): string => join(this.folder, name);

  start(name: string, ...more: string[]): ChildProcess {
    const args = [this.path(name), this.path('set'), ...more];
    return fork(this.program, args, {stdio: ['ignore', 'pipe', 'pipe', 'ipc']});
  }

  /** To its end. Undefined where it was killed. */
  finish(child: ChildProcess): Promise<RunOutcome | undefined> {
    let [stdout, stderr] = ['', ''];
    child.stdout!.on('data', (text) => {
      stdout += text;
    });
    child.stderr!.on('data', (text) => {
      stderr += text;
    });
    return new Promise((done, fail) => {
      child.on('exit', (code, signal) => {
        if (signal === 'SIGKILL') done(undefined);
        else if (code === 0) done(JSON.parse(stdout));
        else fail(new Error(`small-run ended with ${code ?? signal}: ${stderr}`));
      });
    });
  }

  /** The same bits need the same ways to compute: they are measured once, and belong to a run. */
  withStrategiesOf(from: string, to: string): void {
    const file = join(this.path(from), 'strategies.json');
    mkdirSync(this.path(to), {recursive: true});
    if (existsSync(file)) copyFileSync(file, join(this.path(to), 'strategies.json'));
  }

  /** Killed a while after the nth sign of life; then the same again with the next moment; then to the end. */
  async killed(name: string, moments: readonly {signs: number; ms: number}[], ...more: string[]): Promise<RunOutcome> {
    for (const {signs, ms} of moments) {
      const child = this.start(name, ...more, '--resume');
      const ended = this.finish(child);
      let seen = 0;
      child.on('message', () => {
        if (++seen === signs) setTimeout(() => child.kill('SIGKILL'), ms);
      });
      const outcome = await ended;
      if (outcome) return outcome; // it was through before its moment came
    }
    return (await this.finish(this.start(name, ...more, '--resume')))!;
  }
}

/** Two classes of noise, one brighter. */
function writeImages(folder: string): void {
  const r = random('small set');
  for (const split of ['train', 'val']) {
    for (const [c, name] of ['dark', 'light'].entries()) {
      mkdirSync(join(folder, split, name), {recursive: true});
      for (let i = 0; i < 14; i++) {
        const data = new Uint8Array(8 * 8 * 3).map(() => r.integer(200) + 50 * c);
        writeFileSync(join(folder, split, name, `${i}.ppm`), encodePpm({width: 8, height: 8, data}));
      }
    }
  }
}
