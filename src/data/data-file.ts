/**
 * Files that are read by offset while a set is in use. A set may be a thousand shards, and many systems give a process no more than a
 * thousand open files: a handle is opened when it is needed, and the one that was not used for longest is closed for the next.
 */
import {readSync} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {type ByteSource, fileSource, sliceSource} from '../core/bytes.js';

const MAX_OPEN = 32;

/** Files with an open handle, the last used one at the end. */
const inUse = new Set<DataFile>();

/** Closes handles that nobody reads from, until there are few enough. */
async function closeOthers(): Promise<void> {
  for (const file of inUse) {
    if (inUse.size <= MAX_OPEN) return;
    if (file.isIdle) await file.close();
  }
}

/** Once a set is closed: files of another one in use are opened again when they are needed. */
export async function closeIdleFiles(): Promise<void> {
  for (const file of [...inUse]) if (file.isIdle) await file.close();
}

/** Where bytes are read by offset. */
export interface SpanFile {
  /** For messages. */
  readonly name: string;
  /** For an index, which is made in one pass. */
  indexed<T>(index: (source: ByteSource) => T): T;
  /** Throws plain errors, for the loader to report with the path of the image. */
  read(offset: number, size: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A file that is read by offset, by name; or by a handle that stays open, once `keep` was called: its name may then be removed. */
export class DataFile implements SpanFile {
  private handle: Promise<FileHandle> | undefined;
  private busy = 0;
  private kept: FileHandle | undefined;
  private first: {readonly ino: number; readonly size: number; readonly mtimeMs: number} | undefined;

  constructor(
    private readonly path: string,
    /** What messages call it, where the file is only an unpacked copy. */
    readonly name = path,
  ) {}

  get isIdle(): boolean {
    return this.busy === 0 && !this.kept;
  }

  /** Opens it until it is closed. */
  async keep(): Promise<void> {
    this.handle ??= this.open();
    this.kept = await this.handle;
  }

  indexed<T>(index: (source: ByteSource) => T): T {
    const source = this.kept && this.first ? handleSource(this.path, this.kept, this.first.size) : fileSource(this.path);
    try {
      return index({...source, name: this.name});
    } finally {
      source.close();
    }
  }

  async read(offset: number, size: number): Promise<Uint8Array> {
    this.busy++;
    try {
      const handle = await this.opened();
      const bytes = new Uint8Array(size);
      for (let done = 0; done < size; ) {
        const {bytesRead} = await handle.read(bytes, done, size - done, offset + done);
        if (bytesRead === 0) throw new Error('the archive became shorter while it was being read');
        done += bytesRead;
      }
      return bytes;
    } finally {
      this.busy--;
      if (inUse.size > MAX_OPEN && this.isIdle) await this.close();
    }
  }

  async size(): Promise<number> {
    await this.opened();
    return this.first!.size;
  }

  async close(): Promise<void> {
    const {handle} = this;
    this.handle = undefined;
    this.kept = undefined;
    inUse.delete(this);
    await handle?.then(
      (opened) => opened.close(),
      () => {}, // it never was open
    );
  }

  private async opened(): Promise<FileHandle> {
    this.handle ??= this.open();
    if (!this.kept) {
      inUse.delete(this);
      inUse.add(this);
      if (inUse.size > MAX_OPEN) await closeOthers();
    }
    return this.handle;
  }

  /** The file that was opened the first time, not another under its name. */
  private async open(): Promise<FileHandle> {
    const handle = await open(this.path, 'r');
    const {ino, size, mtimeMs} = await handle.stat();
    this.first ??= {ino, size, mtimeMs};
    const {first} = this;
    if (first.ino === ino && first.size === size && first.mtimeMs === mtimeMs) return handle;
    await handle.close();
    throw new Error('the archive was changed or replaced while it was being read');
  }
}

/** Of a file that may have no name any more. */
function handleSource(name: string, {fd}: FileHandle, size: number): ByteSource {
  const readInto = (offset: number, target: Uint8Array) => {
    for (let done = 0; done < target.length; ) {
      const got = readSync(fd, target, done, target.length - done, offset + done);
      if (got === 0) throw new Error(`${name} became shorter while it was being read`);
      done += got;
    }
  };
  const read = (offset: number, length: number) => {
    const bytes = new Uint8Array(length);
    readInto(offset, bytes);
    return bytes;
  };
  return sliceSource({name, size, readInto, read, close() {}}, 0, size); // which checks what is asked for
}

/** A file, or a stretch of one: where an archive lies, perhaps inside another. */
export interface FileSpan {
  /** For messages. */
  readonly name: string;
  readonly file: SpanFile;
  readonly offset: number;
  readonly size: number;
}

export const wholeFile = (file: DataFile): FileSpan => file.indexed(({size}) => ({name: file.name, file, offset: 0, size}));

/** For an index: see `DataFile.indexed`. */
export const indexed = <T>({file, name, offset, size}: FileSpan, index: (source: ByteSource) => T): T =>
  file.indexed((source) => index(sliceSource(source, offset, size, name)));

const PIECE_BYTES = 1 << 18;

/** Its bytes from the first to the last. */
export async function* piecesOf({file, offset, size}: FileSpan): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; at += PIECE_BYTES) yield await file.read(offset + at, Math.min(PIECE_BYTES, size - at));
}
