/**
 * Images that lie packed together, each group of them unpacked once to a temporary file and read from there: in any order, with one group in
 * memory. Its name goes as soon as it is open, where the system allows that.
 */
import {type FileHandle, open} from 'node:fs/promises';
import {join} from 'node:path';
import {GpdError} from '../core/error.js';
import {makeTemporary, removeHidden} from '../core/temporary.js';

export interface StoredImage {
  readonly offset: number;
  readonly size: number;
}

export class ImageStore {
  private handle: Promise<FileHandle> | undefined;
  private folder: string | undefined;
  private length = 0;

  /** `limit`: bytes that may be written, more than which no images take. */
  constructor(
    private readonly name: string,
    private readonly limit: number,
  ) {}

  /** One after the other: the caller waits. */
  async add(bytes: Uint8Array): Promise<StoredImage> {
    const {length: offset} = this;
    this.length += bytes.length;
    if (this.length > this.limit) {
      throw new GpdError('LIMIT_EXCEEDED', `${this.name}: its images unpack to more than ${this.limit} bytes`, {
        at: this.name,
        hint: 'no set of images does that; if it is one, write the images into class folders',
      });
    }
    try {
      await (await this.opened()).write(bytes, 0, bytes.length, offset);
    } catch (error) {
      throw this.explained(error as NodeJS.ErrnoException);
    }
    return {offset, size: bytes.length};
  }

  async read({offset, size}: StoredImage): Promise<Uint8Array> {
    const bytes = new Uint8Array(size);
    const {bytesRead} = size === 0 ? {bytesRead: 0} : await (await this.opened()).read(bytes, 0, size, offset);
    if (bytesRead < size) throw new Error('the temporary file of the images became shorter');
    return bytes;
  }

  async close(): Promise<void> {
    await (await this.handle)?.close();
    if (this.folder !== undefined) removeHidden(this.folder);
  }

  private opened(): Promise<FileHandle> {
    this.handle ??= this.open();
    return this.handle;
  }

  private async open(): Promise<FileHandle> {
    this.folder = makeTemporary();
    const handle = await open(join(this.folder, 'images'), 'w+');
    if (process.platform !== 'win32') removeHidden(this.folder);
    return handle;
  }

  private explained(error: NodeJS.ErrnoException): Error {
    if (error instanceof GpdError || error.code !== 'ENOSPC') return error;
    return new GpdError('DATASET_INVALID', `${this.name}: no space left in ${this.folder} to unpack its images`, {
      at: this.name,
      hint: 'set TMPDIR to a folder where there is space for all of them',
      cause: error,
    });
  }
}
