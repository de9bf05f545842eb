/** Writing results: nothing is visible under the final name before every byte is on the disk. */
import {closeSync, existsSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, statSync, writeSync} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import {GpdError} from './error.js';

const pending = new Set<string>();
process.on('exit', () => {
  for (const path of pending) rmSync(path, {force: true});
});

/** A file under construction. `commit` makes it appear under its name in one step; `discard` leaves no trace. */
export interface PendingFile {
  /** Where the bytes are until `commit`: in the target's folder, so that the rename stays on one file system. */
  readonly temporaryPath: string;
  readonly path: string;
  write(bytes: Uint8Array): void;
  /** No more writes; the bytes are on the disk. */
  finish(): void;
  commit(): void;
  discard(): void;
}

/** Refuses what would surprise: an existing file without `force`, an output that is one of the inputs, a missing folder. */
export function checkOutput(path: string, {force, inputs}: {force: boolean; inputs: readonly string[]}): void {
  const refuse = (problem: string, hint: string) => new GpdError('OUTPUT_REFUSED', `${path}: ${problem}`, {at: path, hint});
  const folder = dirname(path);
  if (!existsSync(folder)) throw refuse(`the folder ${folder} does not exist`, 'create it first');
  if (!existsSync(path)) return;
  if (statSync(path).isDirectory()) throw refuse('is a directory', 'name a file');
  for (const input of inputs) {
    if (existsSync(input) && realpathSync(input) === realpathSync(path))
      throw refuse('is the input itself', 'choose another output with -o');
  }
  if (!force) throw refuse('already exists', 'use --force to replace it, or -o to write elsewhere');
}

let unique = 0;
export function createPending(path: string): PendingFile {
  const temporaryPath = join(dirname(path), `.${basename(path)}.${process.pid}.${unique++}.tmp`);
  let fd: number;
  try {
    fd = openSync(temporaryPath, 'wx');
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException;
    throw new GpdError('OUTPUT_REFUSED', `${path}: cannot be written (${code})`, {
      at: path,
      hint: 'check that the folder exists, is writable, and has room',
      cause: error,
    });
  }
  pending.add(temporaryPath);
  let open = true;
  const finish = () => {
    if (!open) return;
    open = false;
    fsyncSync(fd);
    closeSync(fd);
  };
  const discard = () => {
    if (open) closeSync(fd);
    open = false;
    pending.delete(temporaryPath);
    rmSync(temporaryPath, {force: true});
  };
  return {
    temporaryPath,
    path,
    write(bytes) {
      try {
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      } catch (error) {
        discard();
        const {code} = error as NodeJS.ErrnoException;
        throw new GpdError('OUTPUT_REFUSED', `${path}: writing failed (${code}); nothing was left behind`, {
          at: path,
          hint: code === 'ENOSPC' ? 'free some space or write to another disk' : 'check the disk',
          cause: error,
        });
      }
    },
    finish,
    commit() {
      finish();
      renameSync(temporaryPath, path);
      pending.delete(temporaryPath);
    },
    discard,
  };
}

/** Whole files that are small enough to hold. */
export function writeAtomically(path: string, bytes: Uint8Array): void {
  const file = createPending(path);
  file.write(bytes);
  file.commit();
}
