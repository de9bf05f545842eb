/** Signs of life in a lock file: a counter after its first line, which names the holder. */
import {closeSync, constants, openSync, readSync, writeSync} from 'node:fs';

export interface Heartbeat {
  readonly path: string;
  /** The first line of the holder's file, with its end. */
  readonly line: string;
  readonly everyMs: number;
}

const DIGITS = 12;
export const beatText = (count: number): string => `${String(count).padStart(DIGITS, '0')}\n`;

/** Writes the next number. False where the file is another holder's, or gone. Each beat opens and closes it: so network disks pass it on. */
export function beat({path, line}: Heartbeat, count: number): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    const expected = Buffer.from(line);
    const found = Buffer.alloc(expected.length);
    readSync(fd, found, 0, found.length, 0);
    if (!found.equals(expected)) return false;
    writeSync(fd, beatText(count), expected.length);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'; // a network disk may be away for a while
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Beats until the file is another's, or the timer is cleared. */
export function startBeating(heartbeat: Heartbeat): NodeJS.Timeout {
  let count = 0;
  const timer = setInterval(() => {
    if (!beat(heartbeat, ++count)) clearInterval(timer);
  }, heartbeat.everyMs);
  return timer;
}
