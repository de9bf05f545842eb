/**
 * Programs that are disturbed from inside, at a moment that the test chooses: a module that is loaded before them wraps the calls of
 * `node:fs` that change something, and strikes at the nth. No race with a clock, and a moment can be repeated.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {readFileSync, writeFileSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Launch {
  readonly cwd: string;
  /** JavaScript that runs before the program, with `fs` in scope. */
  readonly before?: string;
  /** Flags of Node. */
  readonly node?: readonly string[];
  /** What runs Node, such as a shell with limits. The command line is appended. */
  readonly through?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const GPD = resolve('bin/gpd.js');
let unique = 0;

export function launch(args: readonly string[], {cwd, before, node = [], through = [], env = {}}: Launch): ChildProcess {
  const flags = [...node];
  if (before !== undefined) {
    const file = join(cwd, `.before-${unique++}.mjs`);
    writeFileSync(
      file,
      `import fs from 'node:fs'; import {syncBuiltinESMExports} from 'node:module';\n${before}\nsyncBuiltinESMExports();`,
    );
    flags.push('--import', pathToFileURL(file).href);
  }
  const [program, ...rest] = [...through, process.execPath, ...flags, GPD, ...args] as [string, ...string[]];
  return spawn(program, rest, {
    cwd,
    env: {...process.env, NODE_ENV: '', NO_COLOR: '1', ...env},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export function ended(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ['', ''];
  child.stdout!.on('data', (text) => {
    stdout += text;
  });
  child.stderr!.on('data', (text) => {
    stderr += text;
  });
  return new Promise((done) => child.on('close', (code, signal) => done({code, signal, stdout, stderr})));
}

export const gpd = (args: readonly string[], how: Launch): Promise<Ended> => ended(launch(args, how));

/** The calls that change something on a disk. A file that is opened for reading is left alone. */
const changing = `
const calls = ['mkdirSync', 'openSync', 'writeSync', 'fsyncSync', 'linkSync', 'renameSync', 'rmSync'];
const changes = (name, args) => !(name === 'openSync' && (args[1] === 'r' || typeof args[1] !== 'string')) && !(name === 'writeSync' && args[0] <= 2);
let count = 0;
const original = Object.fromEntries(calls.map((name) => [name, fs[name]]));
for (const name of calls) fs[name] = (...args) => {
  if (changes(name, args)) strike(count++, name, args);
  return original[name](...args);
};`;

/** Writes to \`file\` how many changes a run makes, when it ends. */
export const countChanges = (file: string): string =>
  `const strike = () => {};${changing}\nprocess.on('exit', () => fs.writeFileSync(${JSON.stringify(file)}, String(count)));`;
export const readCount = (file: string): number => Number(readFileSync(file, 'utf8'));

/** kill -9 before the nth change; of a write, half is done. */
export const killAt = (change: number): string => `
const strike = (n, name, args) => {
  if (n !== ${change}) return;
  if (name === 'writeSync') original.writeSync(args[0], args[1].subarray(0, args[1].length >> 1));
  process.kill(process.pid, 'SIGKILL');
  process.reallyExit(137); // process 1 of a namespace is spared by its own signals
};${changing}`;

/** Runs JavaScript (with \`fs\` as it was in \`original\`) before the first change. */
export const beforeFirstChange = (code: string): string => `const strike = (n) => { if (n === 0) { ${code} } };${changing}`;
