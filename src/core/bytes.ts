/** Bytes from a file or from memory, behind one interface, and a reader that never reads past its end. Parsers take these, never paths. */
import {closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync} from 'node:fs';
import {GpdError} from './error.js';
import {systemReason} from './system-error.js';

/** Random access to bytes. `name` is for messages. */
export interface ByteSource {
  readonly name: string;
  readonly size: number;
  /** Bytes that lie on the disk: fewer than `size` where the file has holes, which read as zeros. Absent: all of them. */
  readonly stored?: number;
  /** Fills `target` from `offset`. Throws CHECKPOINT_TRUNCATED where the source ends first. */
  readInto(offset: number, target: Uint8Array): void;
  /** A fresh copy of [offset, offset + length). The length is checked against the size before anything is allocated. */
  read(offset: number, length: number): Uint8Array;
  /** Throws FILE_CHANGED where the file is not the one that was opened any more: replaced, longer, shorter, or written to. */
  assertUnchanged?(): void;
  close(): void;
}

const MAX_READ = 1 << 30; // one readSync may not exceed 2 GiB - 1

function checkRange(name: string, size: number, offset: number, length: number) {
  if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
    throw new GpdError(
      'CHECKPOINT_TRUNCATED',
      `${name}: bytes ${offset} to ${offset + length} are needed, the file has ${size}`,
      {
        at: `${name}@${offset}`,
        hint: 'the file is incomplete or damaged: download or copy it again',
      },
    );
  }
}

/** Bytes in memory as a source; `name` is what messages call it. */
export function bufferSource(bytes: Uint8Array, name = 'buffer'): ByteSource {
  const readInto = (offset: number, target: Uint8Array) => {
    checkRange(name, bytes.length, offset, target.length);
    target.set(bytes.subarray(offset, offset + target.length));
  };
  return {
    name,
    size: bytes.length,
    readInto,
    read(offset, length) {
      checkRange(name, bytes.length, offset, length);
      return bytes.slice(offset, offset + length);
    },
    close() {},
  };
}

/**
 * A regular file. Directories, FIFOs, sockets and devices are refused: their size says nothing about what they would deliver.
 * Links: symbolic ones are followed, or refused where the file's name was not chosen by the user; `refuse` refuses hard ones too.
 */
export function fileSource(path: string, {links = 'follow'}: {links?: 'follow' | 'hard' | 'refuse'} = {}): ByteSource {
  const fail = (problem: string, hint: string, cause?: unknown) =>
    new GpdError('FILE_UNREADABLE', `${path}: ${problem}`, {at: path, hint, cause});
  let fd: number;
  try {
    const noFollow = links === 'follow' ? 0 : (constants.O_NOFOLLOW ?? 0);
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | noFollow); // NONBLOCK: opening a FIFO must not wait for a writer
  } catch (error) {
    throw fail(...systemReason(error), error);
  }
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    closeSync(fd);
    throw stat.isDirectory()
      ? fail('is a directory', 'name a file inside it')
      : fail('is not a regular file', 'copy it into a file first');
  }
  if (links === 'refuse' && stat.nlink > 1) {
    closeSync(fd);
    throw fail(`has ${stat.nlink} hard links`, 'copy the file');
  }
  const size = stat.size;
  const readInto = (offset: number, target: Uint8Array) => {
    checkRange(path, size, offset, target.length);
    for (let done = 0; done < target.length; ) {
      const got = readSync(fd, target, done, Math.min(target.length - done, MAX_READ), offset + done);
      if (got === 0) {
        throw changed(path, 'became shorter while it was being read', offset + done);
      }
      done += got;
    }
  };
  return {
    name: path,
    size,
    stored: storedBytes(stat),
    readInto,
    read(offset, length) {
      checkRange(path, size, offset, length);
      const target = new Uint8Array(length);
      readInto(offset, target);
      return target;
    },
    assertUnchanged() {
      const now = statSync(path, {throwIfNoEntry: false});
      const same = now?.ino === stat.ino && now.dev === stat.dev && now.size === size && now.mtimeMs === stat.mtimeMs;
      if (!same) throw changed(path, 'was changed or replaced while it was being read');
    },
    close: () => closeSync(fd),
  };
}

const DISK_BLOCK = 512; // what `blocks` counts, whatever the file system's own are
/** Windows counts no blocks. */
const storedBytes = ({size, blocks}: Stats): number =>
  Math.min(size, (blocks as number | undefined) === undefined ? size : blocks * DISK_BLOCK);

/** The whole of a source as text, and closes it. Throws LIMIT_EXCEEDED where it is longer than `limit` bytes. */
export function readText(source: ByteSource, limit: number): string {
  try {
    if (source.size <= limit) return new TextDecoder().decode(source.read(0, source.size));
    throw new GpdError('LIMIT_EXCEEDED', `${source.name}: ${source.size} bytes are more than the ${limit} that it may have`, {
      at: source.name,
      hint: 'it is not what its name says: look at it, or name another file',
    });
  } finally {
    source.close();
  }
}

/** The text of a regular file in a folder that may be a stranger's: no symbolic link is followed. Undefined where there is none. */
export function readTextIfAny(path: string, limit: number): string | undefined {
  try {
    return readText(fileSource(path, {links: 'hard'}), limit);
  } catch (error) {
    const {code} = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

const changed = (path: string, problem: string, offset?: number): GpdError =>
  new GpdError('FILE_CHANGED', `${path}: ${problem}`, {
    at: offset === undefined ? path : `${path}@${offset}`,
    hint: 'wait until whatever writes it has finished',
  });

/**
 * The same bytes in an array whose memory holds nothing else, so that it may be moved to another thread: a Buffer is often a part of a
 * pool, and one of no bytes may stand on 64 KiB of old memory. A copy is made only where it is needed.
 */
export const ownBytes = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
  bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes); // not slice(): a Buffer's own is a view

/** A part of another source, with offsets of its own. */
export function sliceSource(source: ByteSource, start: number, size: number, name = source.name): ByteSource {
  checkRange(source.name, source.size, start, size);
  return {
    name,
    size,
    readInto(offset, target) {
      checkRange(name, size, offset, target.length);
      source.readInto(start + offset, target);
    },
    read(offset, length) {
      checkRange(name, size, offset, length);
      return source.read(start + offset, length);
    },
    close() {},
  };
}

/** Little-endian cursor over bytes in memory; every step is checked. */
export class ByteReader {
  offset = 0;
  private readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly name: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.bytes.length - this.offset;
  }

  private advance(length: number): number {
    checkRange(this.name, this.bytes.length, this.offset, length);
    const at = this.offset;
    this.offset += length;
    return at;
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }
  u16(): number {
    return this.view.getUint16(this.advance(2), true);
  }
  i32(): number {
    return this.view.getInt32(this.advance(4), true);
  }
  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }
  u64(): bigint {
    return this.view.getBigUint64(this.advance(8), true);
  }
  f64BigEndian(): number {
    return this.view.getFloat64(this.advance(8), false);
  }
  /** A view of the next bytes, not a copy. */
  take(length: number): Uint8Array {
    const at = this.advance(length);
    return this.bytes.subarray(at, at + length);
  }
}
