/** Makes every call an error that a reader has no reason to make: opening files, writing, other processes, the network, code from text. */
import childProcess from 'node:child_process';
import dns from 'node:dns';
import fs from 'node:fs';
import {syncBuiltinESMExports} from 'node:module';
import net from 'node:net';
import workers from 'node:worker_threads';

export class ForbiddenCall extends Error {}

type Calls = Record<string, unknown>;
const named = (target: object, names: readonly string[], place: string) => ({target: target as Calls, names, place});

const writing = [
  'open',
  'writeFile',
  'writeSync',
  'write',
  'appendFile',
  'mkdir',
  'mkdtemp',
  'rename',
  'unlink',
  'rm',
  'rmdir',
];
const forbidden = [
  named(childProcess, ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork'], 'child_process'),
  named(fs, [...writing, ...writing.filter((n) => !n.endsWith('Sync')).map((n) => `${n}Sync`), 'createWriteStream'], 'fs'),
  named(fs, ['symlinkSync', 'linkSync', 'truncateSync', 'ftruncateSync', 'chmodSync', 'utimesSync', 'copyFileSync'], 'fs'),
  named(
    fs.promises,
    ['open', 'readFile', 'writeFile', 'appendFile', 'mkdir', 'mkdtemp', 'rename', 'unlink', 'rm', 'rmdir'],
    'fs.promises',
  ),
  named(net, ['connect', 'createConnection', 'createServer'], 'net'),
  named(dns, ['lookup', 'resolve'], 'dns'),
  named(workers, ['Worker'], 'worker_threads'),
  named(globalThis, ['eval', 'fetch', 'WebSocket'], 'globalThis'),
];

/** `work` with the calls forbidden: an input is in memory already, and nothing else may be touched. Printing is allowed. */
export async function withoutEffects<T>(work: () => Promise<T>): Promise<T> {
  const saved = forbidden.flatMap(({target, names, place}) =>
    names.filter((name) => name in target).map((name) => ({target, name, place, original: target[name]})),
  );
  for (const {target, name, place, original} of saved) {
    target[name] = function refuse(first: unknown, ...rest: unknown[]) {
      if (name === 'writeSync' && (first === 1 || first === 2))
        return (original as typeof fs.writeSync)(first, rest[0] as string);
      throw new ForbiddenCall(`${place}.${name}`);
    };
  }
  syncBuiltinESMExports();
  try {
    return await work();
  } finally {
    for (const {target, name, original} of saved) target[name] = original;
    syncBuiltinESMExports();
  }
}
