/** Several files, one behind the other, as one source of bytes. */
import type {ByteSource} from './bytes.js';
import {GpdError} from './error.js';

/** Takes over the sources: they are closed with it. `name` is what messages call them together. */
export function joinedSource(name: string, parts: readonly ByteSource[]): ByteSource {
  const starts: number[] = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.size;
  }
  const readInto = (offset: number, target: Uint8Array) => {
    if (!(offset >= 0 && offset + target.length <= size)) throw cut(name, offset + target.length, size);
    let done = 0;
    for (let i = parts.length - 1 - [...starts].reverse().findIndex((start) => start <= offset); done < target.length; i++) {
      const at = offset + done - starts[i]!;
      const length = Math.min(target.length - done, parts[i]!.size - at);
      if (length > 0) parts[i]!.readInto(at, target.subarray(done, done + length));
      done += Math.max(0, length);
    }
  };
  return {
    name,
    size,
    stored: parts.reduce((n, part) => n + (part.stored ?? part.size), 0),
    readInto,
    read(offset, length) {
      if (!(length >= 0 && offset >= 0 && offset + length <= size)) throw cut(name, offset + length, size);
      const target = new Uint8Array(length);
      readInto(offset, target);
      return target;
    },
    assertUnchanged() {
      for (const part of parts) part.assertUnchanged?.();
    },
    close() {
      for (const part of parts) part.close();
    },
  };
}

const cut = (name: string, end: number, size: number): GpdError =>
  new GpdError('CHECKPOINT_TRUNCATED', `${name}: bytes to ${end} are needed, the files have ${size}`, {
    at: `${name}@${size}`,
    hint: 'a file is incomplete or damaged: download or copy it again',
  });
