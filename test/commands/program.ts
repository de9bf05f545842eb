/** Runs the compiled programs as a user does: in a process of their own, in a folder of their own. */
import {type ExecFileException, execFile} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

const root = join(__dirname, '../..');
export const bin = (name: 'gpd' | 'gpd-convert'): string => join(root, 'bin', `${name}.js`);
export const fixture = (name: string): string => join(root, 'fixtures/checkpoints', name);

export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}
export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  program?: 'gpd' | 'gpd-convert';
  /** What runs Node, such as a shell with limits. The command line is appended. */
  through?: readonly string[];
}

export function run(
  args: readonly string[],
  {cwd = tmpdir(), env = {}, program = 'gpd', through = []}: RunOptions = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = {cwd, env: {...process.env, NODE_ENV: '', NO_COLOR: '1', ...env}, maxBuffer: 1 << 26};
    const [command, ...rest] = [...through, process.execPath, bin(program), ...args] as [string, ...string[]];
    execFile(command, rest, options, (error: ExecFileException | null, stdout, stderr) => {
      resolve({status: error ? Number(error.code ?? -1) : 0, stdout, stderr});
    });
  });
}

/** Runs a test in an empty folder, which is removed afterwards. */
export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'gpd test é '));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
}
