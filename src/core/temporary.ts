/**
 * Hidden folders that must not outlive the process: results under construction, and what has to lie in a file for a while. A name is
 * random, so that no other process can have it, whatever its id. A folder goes with the process; after kill -9 it goes with the next
 * folder that is made beside it, once nothing has kept it fresh for a day.
 */
import {randomBytes} from 'node:crypto';
import {lstatSync, mkdirSync, readdirSync, rmSync, utimesSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {GpdError} from './error.js';

/** Far beyond a pause of any live process, and beyond the difference of two clocks on one network disk. */
const ABANDONED_MS = 24 * 60 * 60 * 1000;
/** How often a folder is told to be alive. Process ids would not do: containers give the same ones again and again. */
const FRESHEN_MS = 10 * 60 * 1000;
/** Names of such folders, this process's and those that others left. */
export const HIDDEN_NAME = /^\.gpd-[0-9a-f]+-\d+\.tmp$/;

/** What a folder is, whatever becomes of its name. */
interface Identity {
  readonly dev: number;
  readonly ino: number;
}
const held = new Map<string, Identity>();
let unique = 0;
let freshening: NodeJS.Timeout | undefined;
process.on('exit', () => {
  for (const path of held.keys()) removeHidden(path);
});

type Listener = (path: string, held: boolean) => void;
let listener: Listener | undefined;
/** Calls `next` for each folder that is made and removed from now on: for a process that cleans up when this one is killed. */
export function watchHidden(next: Listener): void {
  listener = next;
}

/** An empty hidden folder in `parent`, by absolute path. Throws what `mkdir` throws. */
export function makeHidden(parent: string): string {
  removeAbandoned(parent);
  const path = join(resolve(parent), `.gpd-${randomBytes(8).toString('hex')}-${unique++}.tmp`);
  listener?.(path, true);
  try {
    mkdirSync(path);
  } catch (error) {
    listener?.(path, false);
    throw error;
  }
  held.set(path, lstatSync(path));
  freshening ??= setInterval(freshen, FRESHEN_MS).unref();
  return path;
}

/** A hidden folder where the system keeps temporary files (`TMPDIR`). Throws OUTPUT_REFUSED where there can be none. */
export function makeTemporary(): string {
  try {
    return makeHidden(tmpdir());
  } catch (cause) {
    const problem = `${tmpdir()}: no temporary files can be made there (${(cause as NodeJS.ErrnoException).code})`;
    throw new GpdError('OUTPUT_REFUSED', problem, {hint: 'set TMPDIR to a folder that can be written to', cause});
  }
}

/** Is the folder still what was made under that path? Somebody may have moved it, or put a link there. */
export function isInPlace(path: string): boolean {
  const [made, found] = [held.get(path), lstatSync(path, {throwIfNoEntry: false})];
  return made !== undefined && found?.dev === made.dev && found.ino === made.ino;
}

/** Removes a folder and what is in it. False where something of it may be left: it was moved, or cannot be removed. */
export function removeHidden(path: string): boolean {
  if (!held.has(path)) return true;
  let isGone = false;
  try {
    isGone = isInPlace(path);
    // A link that somebody put there goes too, what it points to stays: nobody else has a use for the name.
    if (isGone || lstatSync(path, {throwIfNoEntry: false})?.isSymbolicLink()) rmSync(path, {recursive: true, force: true});
  } catch {
    // the disk became read-only, or the like
  }
  held.delete(path);
  if (held.size === 0) {
    clearInterval(freshening);
    freshening = undefined;
  }
  listener?.(path, false);
  return isGone;
}

function freshen(): void {
  const now = Date.now() / 1000;
  for (const path of held.keys()) {
    try {
      utimesSync(path, now, now);
    } catch {
      // moved or removed
    }
  }
}

function removeAbandoned(parent: string): void {
  for (const name of namesIn(parent).filter((n) => HIDDEN_NAME.test(n))) {
    const path = join(parent, name);
    try {
      const found = lstatSync(path);
      if ((found.isDirectory() || found.isSymbolicLink()) && Date.now() - found.mtimeMs > ABANDONED_MS)
        rmSync(path, {recursive: true, force: true});
    } catch {
      // another process was faster, or it is somebody else's
    }
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
