/**
 * One process at a time writes to a folder: a file in it says who. A process that died leaves it behind; that is seen at once where the process can be looked
 * for (same machine, same container), and elsewhere by the counter in the file, which stands still then. Clocks are not compared. The file appears by
 * a hard link, complete and once, which holds on network disks too.
 */
import {randomBytes} from 'node:crypto';
import {linkSync, renameSync, rmSync, statSync} from 'node:fs';
import {dirname} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import {readTextIfAny} from './bytes.js';
import {GpdError} from './error.js';
import {beatText, type Heartbeat, startBeating} from './heartbeat.js';
import {writeAtomically} from './output.js';
import {identityFields, lives, ownIdentity, type ProcessIdentity} from './process-identity.js';
import {object, parseJson, type Reader, SchemaError, text, whole} from './schema.js';
import {workerFile} from './worker-file.js';

export interface Holder extends ProcessIdentity {
  /** Of this lock, drawn at random. */
  readonly token: string;
  /** ISO 8601, by the holder's clock. */
  readonly since: string;
  /** Inode of the folder: a copy of the folder has another. */
  readonly folder: number;
}

const holderReader: Reader<Holder> = object<Holder>({
  ...identityFields,
  token: text(64),
  since: text(40),
  folder: whole(2 ** 53),
});

export interface LockOptions {
  /** What the holder does there, for messages: `training into it`. */
  readonly doing: string;
  /** Told once, before a lock is watched for signs of life. */
  readonly onWait?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** A sign of life comes so often. */
  readonly everyMs?: number;
  /** A holder that cannot be looked for is dead after so long without one. */
  readonly deadAfterMs?: number;
}

const MAX_BYTES = 4096;
const EVERY_MS = 5000;
const DEAD_AFTER_MS = 60_000;

/** What the file says; `text` changes with every sign of life. */
interface Found {
  readonly text: string;
  readonly holder: Holder | undefined;
}

function look(path: string): Found | undefined {
  const found = readTextIfAny(path, MAX_BYTES);
  if (found === undefined) return undefined;
  try {
    return {text: found, holder: parseJson(found.split('\n', 1)[0]!, holderReader)};
  } catch (error) {
    if (error instanceof SchemaError) return {text: found, holder: undefined}; // cut off, or not ours
    throw error;
  }
}

const who = ({host, pid, since}: Holder): string =>
  `process ${pid} on ${host}, since ${since.slice(0, 19).replace('T', ' ')} UTC`;

export class FolderLock {
  private isReleased = false;

  private constructor(
    private readonly heartbeat: Heartbeat,
    private readonly token: string,
    private readonly doing: string,
    private readonly stop: () => void,
  ) {
    process.on('exit', this.release);
  }

  /** Throws OUTPUT_REFUSED where another process holds it, with who and since when. */
  static async take(path: string, options: LockOptions): Promise<FolderLock> {
    const {doing, everyMs = EVERY_MS} = options;
    const token = randomBytes(12).toString('hex');
    const {ino} = statSync(dirname(path));
    const own: Holder = {...ownIdentity(), token, since: new Date().toISOString(), folder: ino};
    const line = `${JSON.stringify(own)}\n`;
    for (;;) {
      if (create(path, `${line}${beatText(0)}`, token)) break;
      const found = look(path);
      if (found && (await isDead(path, found, own, options))) remove(path, found, token);
    }
    const heartbeat = {path, line, everyMs};
    return new FolderLock(heartbeat, token, doing, beatBeside(heartbeat));
  }

  /** Throws OUTPUT_REFUSED where another process has taken the lock: this one was stopped for longer than the dead are waited for. */
  assertHeld(): void {
    const {path} = this.heartbeat;
    const found = look(path);
    if (found?.holder?.token === this.token) return;
    const problem = found?.holder ? `was taken over by ${who(found.holder)}` : 'is not ours any more: its lock is gone';
    throw new GpdError('OUTPUT_REFUSED', `${dirname(path)} ${problem}`, {
      at: path,
      hint: `this process ends without writing, so that one alone is ${this.doing}`,
    });
  }

  readonly release = (): void => {
    if (this.isReleased) return;
    this.isReleased = true;
    process.off('exit', this.release);
    this.stop();
    try {
      if (look(this.heartbeat.path)?.holder?.token === this.token) rmSync(this.heartbeat.path, {force: true});
    } catch {
      // the folder is gone, or the disk: a later process sees that this one is dead
    }
  };
}

/** False where there is one already. */
function create(path: string, content: string, token: string): boolean {
  try {
    writeAtomically(path, (write) => write(new TextEncoder().encode(content)), {replace: false});
    return true;
  } catch (error) {
    if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code !== 'EEXIST') throw error;
    return look(path)?.holder?.token === token; // a network disk may have made it, and lost the answer
  }
}

async function isDead(path: string, found: Found, own: Holder, options: LockOptions): Promise<boolean> {
  const {holder} = found;
  const alive = holder && lives(holder, own);
  if (alive === false) return true;
  if (alive && holder.folder === own.folder) throw held(path, holder, options);
  const {deadAfterMs = DEAD_AFTER_MS, everyMs = EVERY_MS, onWait, signal} = options;
  const whose = holder ? who(holder) : 'a process that it does not name';
  onWait?.(`${path} is the lock of ${whose}: waiting up to ${Math.ceil(deadAfterMs / 1000)} s for a sign of life`);
  for (const end = performance.now() + deadAfterMs; performance.now() < end; ) {
    await sleep(Math.min(1000, everyMs / 4), undefined, {signal}).catch(() => {
      throw held(path, holder, options);
    });
    const now = look(path);
    if (now?.text === found.text) continue;
    if (now?.holder && now.holder.token === holder?.token) throw held(path, now.holder, options);
    return false; // it was released, or is another's
  }
  return true;
}

function held(path: string, holder: Holder | undefined, {doing}: LockOptions): GpdError {
  const whose = holder ? who(holder) : 'another process';
  return new GpdError('OUTPUT_REFUSED', `${dirname(path)}: ${whose}, is ${doing}`, {
    at: path,
    hint: 'wait until it has ended or end it, or choose another folder with --out',
    ...(holder && {data: {host: holder.host, pid: holder.pid, since: holder.since}}),
  });
}

/** Takes a dead process's file away. Another process may have done so, and made its own: that one is put back. */
function remove(path: string, dead: Found, token: string): void {
  const aside = `${path}.${token}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw new GpdError('OUTPUT_REFUSED', `${path}: cannot be removed (${(error as NodeJS.ErrnoException).code})`, {
      at: path,
      hint: 'it is the lock of a process that ended: remove it',
      cause: error,
    });
  }
  try {
    if (look(aside)?.text !== dead.text) linkSync(aside, path);
  } catch {
    // a third process was faster: the holder whose file this was sees it before it writes
  }
  rmSync(aside, {force: true});
}

/** In a thread of its own, where there can be one. */
function beatBeside(heartbeat: Heartbeat): () => void {
  const file = workerFile(import.meta.url, './heartbeat-worker.js');
  if (!file) {
    const timer = startBeating(heartbeat).unref();
    return () => clearInterval(timer);
  }
  const worker = new Worker(file, {workerData: heartbeat});
  worker.on('error', () => {}); // without signs of life only processes elsewhere take this one for dead, and it sees that
  worker.unref();
  return () => void worker.terminate();
}
