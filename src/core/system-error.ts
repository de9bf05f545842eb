/** Errors of the operating system in the user's words. One table for every place where a path is opened, made or looked at. */
import {GpdError} from './error.js';

/** What Node calls it → what is wrong, and what to do. */
const reasons: Readonly<Record<string, readonly [problem: string, hint: string]>> = {
  ENOENT: ['no such file', 'check the path'],
  EACCES: ['permission denied', 'make the file readable, for example with chmod u+r'],
  EPERM: ['not permitted', 'check who owns it, and how the disk is mounted'],
  EISDIR: ['is a directory', 'name a file inside it'],
  ENOTDIR: ['a part of the path is not a directory', 'check the path'],
  ENAMETOOLONG: ['the name is too long for the file system', 'use a shorter name or path'],
  ELOOP: ['a symbolic link stands where a file is expected', 'copy the file to where the link is'],
  EMFILE: ['too many open files', 'raise the limit of this shell (ulimit -n 1024)'],
  ENFILE: ['too many open files on this machine', 'end other programs, or try again later'],
  ENOSPC: ['no space left on the disk', 'free some space or write to another disk'],
  EDQUOT: ['the disk quota is used up', 'free some space or write to another disk'],
  EFBIG: ['the file would be larger than allowed', 'raise the limit of this shell (ulimit -f unlimited)'],
  EROFS: ['the disk is mounted read-only', 'write elsewhere, with -o'],
  EIO: ['the disk reports an error', 'check the disk, and copy the file from elsewhere'],
  ENXIO: ['is a device or a socket', 'name a file'],
};
const writing = new Set([
  'write',
  'mkdir',
  'mkdtemp',
  'rename',
  'link',
  'symlink',
  'unlink',
  'rmdir',
  'copyfile',
  'fsync',
  'ftruncate',
]);
const ofDisks = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS']);

/** Why a path cannot be opened: the problem, and what to do. */
export function systemReason(error: unknown): readonly [problem: string, hint: string] {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return (Object.hasOwn(reasons, code) && reasons[code]) || [`cannot be opened (${code || String(error)})`, 'check the path'];
}

/** Node.js's loader keeps no system call: it says that a package is not there where it may open no more files, too. */
function brokenInstallation(error: Error, code: string): GpdError | undefined {
  const tooMany = /too many open files/.test(error.message);
  const missing = /^Cannot find package '([^']+)'/.exec(error.message)?.[1];
  if (!tooMany && !(code === 'ERR_MODULE_NOT_FOUND' && missing)) return undefined;
  const [problem, hint] = tooMany
    ? ['too many open files (EMFILE)', reasons['EMFILE']![1]]
    : [
        `cannot be loaded (${code}; perhaps EMFILE)`,
        'install again with npm ci; if it is there, raise the limit of open files (ulimit -n 1024)',
      ];
  const at = missing ?? 'a part of the program';
  return new GpdError('FILE_UNREADABLE', `${at}: ${problem}`, {at, hint, cause: error});
}

/**
 * An error of a system call that nobody expected where it happened, as what it is: FILE_UNREADABLE or OUTPUT_REFUSED. Undefined for
 * every other error: that is a bug, and must look like one.
 */
export function systemError(error: unknown): GpdError | undefined {
  if (!(error instanceof Error)) return undefined;
  const {code = '', syscall, path} = error as NodeJS.ErrnoException;
  if (syscall === undefined) return brokenInstallation(error, code);
  if (!Object.hasOwn(reasons, code)) return undefined;
  const [problem, hint] = reasons[code]!;
  const isOutput = writing.has(syscall) || ofDisks.has(code);
  return new GpdError(
    isOutput ? 'OUTPUT_REFUSED' : 'FILE_UNREADABLE',
    `${path ?? 'a file'}: ${problem} (${code}, ${syscall})`,
    {
      at: path ?? syscall,
      hint,
      cause: error,
    },
  );
}
