/** Writing results: nothing is visible under the final name before every byte is on the disk. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import {GpdError} from './error.js';

/** Refuses what would surprise: an existing file without `force`, an output that is one of the inputs, a missing folder. */
export function checkOutput(path: string, {force, inputs}: {force: boolean; inputs: readonly string[]}): void {
  const refuse = (problem: string, hint: string) => new GpdError('OUTPUT_REFUSED', `${path}: ${problem}`, {at: path, hint});
  const folder = dirname(path);
  if (!existsSync(folder)) throw refuse(`the folder ${folder} does not exist`, 'create it first');
  if (!existsSync(path)) return;
  const found = statSync(path);
  if (!found.isFile()) throw refuse(found.isDirectory() ? 'is a directory' : 'is not a regular file', 'name a file');
  for (const input of inputs) {
    if (existsSync(input) && realpathSync(input) === realpathSync(path))
      throw refuse('is the input itself', 'choose another output with -o');
  }
  if (!force) throw refuse('already exists', 'use --force to replace it, or -o to write elsewhere');
}

const staged = new Set<string>();
process.on('exit', () => {
  for (const path of staged) rmSync(path, {recursive: true, force: true});
});

/** A file under construction. */
export interface StagedFile {
  /** Where the bytes are until they are committed. */
  readonly temporaryPath: string;
  readonly path: string;
  write(bytes: Uint8Array): void;
  /** No more writes; the bytes are on the disk. Writing again reopens the file at its end. */
  finish(): void;
}

/**
 * Files that appear together or not at all. Until `commit` they lie under their own names in a hidden folder beside the
 * targets, so that files may refer to each other and a rename stays on one file system.
 */
export class Staging {
  private readonly folders = new Map<string, string>();
  private readonly files: StagedFile[] = [];

  create(path: string): StagedFile {
    const temporaryPath = join(this.folderFor(dirname(path)), basename(path));
    const file = stagedFile(path, temporaryPath);
    this.files.push(file);
    return file;
  }

  /** Every file appears under its name, in the order of creation. */
  commit(): void {
    for (const file of this.files) file.finish();
    for (const {temporaryPath, path} of this.files) {
      try {
        renameSync(temporaryPath, path);
      } catch (error) {
        throw unwritable(path, error);
      }
    }
    this.discard();
  }

  /** Leaves no trace of what was not committed. */
  discard(): void {
    for (const folder of this.folders.values()) {
      rmSync(folder, {recursive: true, force: true});
      staged.delete(folder);
    }
    this.folders.clear();
  }

  private folderFor(target: string): string {
    const known = this.folders.get(target);
    if (known) return known;
    removeAbandoned(target);
    const folder = join(target, `.gpd-${process.pid}-${unique++}.tmp`);
    try {
      mkdirSync(folder);
    } catch (error) {
      throw unwritable(target, error);
    }
    staged.add(folder);
    this.folders.set(target, folder);
    return folder;
  }
}
let unique = 0;

/** Older than any conversion takes. */
const ABANDONED_MS = 24 * 60 * 60 * 1000;

/** A process that was killed could not clean up. What it left goes when the next result is written to the same folder, a day later. */
function removeAbandoned(target: string): void {
  for (const name of namesIn(target)) {
    const pid = /^\.gpd-(\d+)-\d+\.tmp$/.exec(name)?.[1];
    const path = join(target, name);
    if (pid === undefined || isRunning(Number(pid))) continue;
    const found = lstatSync(path, {throwIfNoEntry: false});
    if (found?.isDirectory() && Date.now() - found.mtimeMs > ABANDONED_MS) rmSync(path, {recursive: true, force: true});
  }
}

/** A folder that cannot be listed may still be written to. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // somebody else's process
  }
}

function unwritable(path: string, error: unknown): GpdError {
  const {code} = error as NodeJS.ErrnoException;
  return new GpdError('OUTPUT_REFUSED', `${path}: cannot be written (${code}); nothing was left behind`, {
    at: path,
    hint: code === 'ENOSPC' ? 'free some space or write to another disk' : 'check that the folder exists and is writable',
    cause: error,
  });
}

function stagedFile(path: string, temporaryPath: string): StagedFile {
  let fd: number | undefined;
  return {
    temporaryPath,
    path,
    write(bytes) {
      try {
        fd ??= openSync(temporaryPath, 'a');
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      } catch (error) {
        throw unwritable(path, error);
      }
    },
    finish() {
      if (fd === undefined) return;
      try {
        fsyncSync(fd); // some file systems say only here that they are full
      } catch (error) {
        throw unwritable(path, error);
      } finally {
        closeSync(fd);
        fd = undefined;
      }
    },
  };
}

/** One file, written by `produce` in pieces. */
export function writeAtomically(path: string, produce: (write: (bytes: Uint8Array) => void) => void): void {
  const staging = new Staging();
  try {
    const file = staging.create(path);
    produce((bytes) => file.write(bytes));
    staging.commit();
  } finally {
    staging.discard();
  }
}
