/** Writing results: nothing is visible under the final name before every byte is on the disk. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import {GpdError} from './error.js';
import {isInPlace, makeHidden, removeHidden} from './temporary.js';

const refuse = (path: string, problem: string, hint: string, cause?: unknown) =>
  new GpdError('OUTPUT_REFUSED', `${path}: ${problem}`, {at: path, hint, cause});
const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

/** What lies under the name, links not followed. Throws OUTPUT_REFUSED where no file can have that name. */
function existing(path: string): Stats | undefined {
  try {
    return lstatSync(path, {throwIfNoEntry: false});
  } catch (error) {
    throw refuse(path, `cannot be written (${codeOf(error)})`, 'choose another name with -o', error);
  }
}

function requireParent(path: string): void {
  const folder = dirname(path);
  if (!existsSync(folder)) throw refuse(path, `the folder ${folder} does not exist`, 'create it first');
}

/** Refuses what would surprise where a folder is the output: one that has files in it, without `force`; a file; a missing parent. */
export function checkOutputFolder(path: string, {force}: {force: boolean}): void {
  requireParent(path);
  if (!existing(path)) return;
  if (!statSync(path, {throwIfNoEntry: false})?.isDirectory()) throw refuse(path, 'is not a folder', 'name a folder');
  if (!force && readdirSync(path).length > 0) throw refuse(path, 'is there already, with files in it', 'use --force, or -o');
}

/** Refuses what would surprise: an existing file without `force`, an output that is one of the inputs, a missing folder. */
export function checkOutput(path: string, {force, inputs}: {force: boolean; inputs: readonly string[]}): void {
  requireParent(path);
  if (!existing(path)) return;
  const found = statSync(path, {throwIfNoEntry: false}); // undefined: a link to nothing
  if (found && !found.isFile())
    throw refuse(path, found.isDirectory() ? 'is a directory' : 'is not a regular file', 'name a file');
  for (const input of inputs) {
    if (found && existsSync(input) && realpathSync(input) === realpathSync(path))
      throw refuse(path, 'is the input itself', 'choose another output with -o');
  }
  if (!force) throw refuse(path, `already exists${found ? '' : ', as a link to nothing'}`, REPLACE_HINT);
}
const MAX_WRITE = 1 << 30; // one writeSync may not exceed 2 GiB - 1
const REPLACE_HINT = 'use --force to replace it, or -o to write elsewhere';

/** A file under construction. */
export interface StagedFile {
  /** Where the bytes are until they are committed. */
  readonly temporaryPath: string;
  readonly path: string;
  write(bytes: Uint8Array): void;
  /** No more writes; the bytes are on the disk, where they were put. Writing again reopens the file at its end. Throws OUTPUT_REFUSED. */
  finish(): void;
}

/**
 * Files that appear together or not at all. Until `commit` they lie under their own names in a hidden folder beside the
 * targets, so that files may refer to each other and a rename stays on one file system. A failure removes what was staged.
 */
export class Staging {
  private readonly folders = new Map<string, string>();
  private readonly files: StagedFile[] = [];
  private readonly replace: boolean;

  /** Without `replace`, a file that has appeared under a result's name meanwhile is left alone, and `commit` throws OUTPUT_REFUSED. */
  constructor({replace}: {replace: boolean}) {
    this.replace = replace;
  }

  create(path: string): StagedFile {
    const temporaryPath = join(this.folderFor(dirname(path)), basename(path));
    const file = stagedFile(path, temporaryPath, (error) => this.unwritable(path, error));
    this.files.push(file);
    return file;
  }

  /** Every file appears under its name, in the order of creation. */
  commit(): void {
    for (const file of this.files) file.finish();
    const published: (() => void)[] = [];
    for (const {temporaryPath, path} of this.files) {
      try {
        requireInPlace(temporaryPath);
        if (this.replace) replaceFile(temporaryPath, path);
        else published.push(publishNew(temporaryPath, path));
      } catch (error) {
        for (const withdraw of published) withdraw();
        throw this.unwritable(path, error);
      }
    }
    this.discard();
  }

  /** Leaves no trace of what was not committed. Gives the folders that could not be removed. */
  discard(): string[] {
    const left = [...this.folders.values()].filter((folder) => !removeHidden(folder));
    this.folders.clear();
    return left;
  }

  private folderFor(target: string): string {
    const known = this.folders.get(target);
    if (known) return known;
    try {
      const folder = makeHidden(target);
      this.folders.set(target, folder);
      return folder;
    } catch (error) {
      throw this.unwritable(target, error);
    }
  }

  /** Why a file cannot be written, once what was staged is gone. */
  private unwritable(path: string, error: unknown): GpdError {
    const [left] = this.discard();
    const code = codeOf(error);
    if (code === 'EEXIST')
      return refuse(path, 'appeared while its content was made; it was left as it is', REPLACE_HINT, error);
    const hint =
      code === 'ENOSPC' ? 'free some space or write to another disk' : 'check that the folder exists and is writable';
    if (left === undefined) return refuse(path, `cannot be written (${code}); nothing was left behind`, hint, error);
    const remaining = basename(left);
    const problem = `cannot be written (${code}), and ${remaining} could not be removed`;
    return refuse(path, problem, `the folder was moved or changed meanwhile: remove ${remaining} where it is now`, error);
  }
}

/** A rename puts one file in the place of another at once. What others may do with the file stays as it was. */
function replaceFile(from: string, to: string): void {
  const old = statSync(to, {throwIfNoEntry: false});
  if (old?.isFile()) chmodSync(from, old.mode & 0o777);
  renameSync(from, to);
}

/** Of disks without hard links, such as FAT and some network disks. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/** A rename would replace what has appeared under the name, a link does not. Gives what takes the file away again. */
function publishNew(from: string, to: string): () => void {
  const {ino} = lstatSync(from);
  const withdraw = () => {
    if (lstatSync(to, {throwIfNoEntry: false})?.ino === ino) rmSync(to);
  };
  try {
    linkSync(from, to);
  } catch (error) {
    if (!NO_LINKS.has(codeOf(error))) throw error;
    closeSync(openSync(to, 'wx')); // the name is claimed first
    renameSync(from, to);
    return withdraw;
  }
  rmSync(from);
  return withdraw;
}

/** A folder that was moved away takes what was staged with it, and what lies under its name now is somebody else's. */
function requireInPlace(temporaryPath: string): void {
  if (!isInPlace(dirname(temporaryPath))) throw Object.assign(new Error('the folder was moved'), {code: 'ENOENT'});
}

function stagedFile(path: string, temporaryPath: string, unwritable: (error: unknown) => GpdError): StagedFile {
  let fd: number | undefined;
  const close = () => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  const attempt = (work: () => void) => {
    try {
      work();
    } catch (error) {
      close();
      throw unwritable(error);
    }
  };
  return {
    temporaryPath,
    path,
    write(bytes) {
      attempt(() => {
        if (fd === undefined) requireInPlace(temporaryPath); // nothing is written through somebody's link
        fd ??= openSync(temporaryPath, 'a');
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, Math.min(MAX_WRITE, bytes.length - done));
      });
    },
    finish() {
      attempt(() => {
        if (fd !== undefined) fsyncSync(fd); // some file systems say only here that they are full
        requireInPlace(temporaryPath);
      });
      close();
    },
  };
}

/** One file, written by `produce` in pieces. Replaces an older one, unless told otherwise. */
export function writeAtomically(
  path: string,
  produce: (write: (bytes: Uint8Array) => void) => void,
  {replace = true}: {replace?: boolean} = {},
): void {
  const staging = new Staging({replace});
  try {
    const file = staging.create(path);
    produce((bytes) => file.write(bytes));
    staging.commit();
  } finally {
    staging.discard();
  }
}
