/**
 * The folder of a run: what is written when, and that every file is whole at every moment. Checkpoints replace each other by
 * renaming; lists grow by whole lines; what a killed process left behind is put right when the run goes on. The folder may be a
 * stranger's: only regular files are read, up to a size, and no link is followed out of it.
 */
import {constants, copyFileSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {append} from '../../core/append.js';
import {fileSource, readText} from '../../core/bytes.js';
import {GpdError} from '../../core/error.js';
import {FolderLock, type LockOptions} from '../../core/folder-lock.js';
import {writeAtomically} from '../../core/output.js';
import {either, parseJson, type Reader, SchemaError} from '../../core/schema.js';
import {HIDDEN_NAME} from '../../core/temporary.js';
import {eventHeader, scalarEvent} from './event-file.js';
import {type EpochRow, epochRow, type Position, type StepRow, stepRow} from './position.js';
import {type UnreadableImage, unreadableImage} from './unreadable.js';

export const runFiles = {
  config: 'config.yaml',
  metrics: 'metrics.jsonl',
  log: 'log.txt',
  report: 'report.html',
  strategies: 'strategies.json',
  unreadable: 'unreadable.jsonl',
  /** While a process trains into the folder. */
  lock: 'run.lock',
  /** After the last whole epoch. */
  last: 'last.pth.tar',
  /** Within an epoch. */
  step: 'step.pth.tar',
  best: 'best.pth.tar',
} as const;
type RunFile = keyof typeof runFiles;

/** More than any run writes: a million lines of numbers. */
const MAX_BYTES: Partial<Record<RunFile, number>> = {metrics: 1 << 28, log: 1 << 28};
const MAX_OTHER_BYTES = 1 << 24;
/** How many older checkpoints are looked at where the newest is damaged. */
const MAX_OTHERS = 20;

const seconds = () => Date.now() / 1000;

export class RunDirectory {
  private events: string | undefined;
  private lock: FolderLock | undefined;

  constructor(readonly path: string) {}

  file = (name: RunFile): string => join(this.path, runFiles[name]);
  /** Something of that name, whatever it is. */
  has(name: RunFile): boolean {
    try {
      return lstatSync(this.file(name), {throwIfNoEntry: false}) !== undefined;
    } catch {
      return false; // the folder is a file, or has a name that none can have: making it will say so
    }
  }
  checkpoint = (epoch: number): string => join(this.path, `checkpoint-${epoch}.pth.tar`);

  /**
   * Makes the folder, or refuses one that holds a run which is not to be continued, or that another process trains into. Until `close`
   * no other process can open it.
   */
  async open({resume, ...waiting}: {resume: boolean} & Pick<LockOptions, 'onWait' | 'signal'>): Promise<void> {
    try {
      mkdirSync(this.path, {recursive: true});
    } catch (cause) {
      throw new GpdError('OUTPUT_REFUSED', `${this.path}: cannot be made (${(cause as NodeJS.ErrnoException).code})`, {
        at: this.path,
        hint: 'choose another folder with --out',
        cause,
      });
    }
    this.lock = await FolderLock.take(this.file('lock'), {doing: 'training into it', ...waiting});
    if (resume) for (const name of ['log', 'unreadable'] as const) this.unshare(name);
    if (resume || !(this.has('config') || this.has('last') || this.has('step'))) return;
    this.close();
    throw new GpdError('OUTPUT_REFUSED', `${this.path} holds a run already`, {
      at: this.path,
      hint: 'go on with it by --resume, or choose another folder with --out',
    });
  }

  /** Before the end of the process, which does so too. */
  close(): void {
    this.lock?.release();
    this.lock = undefined;
  }

  /** Copies of a folder by hard links share its files: what is added to a list must not appear in them. */
  private unshare(name: RunFile): void {
    const found = lstatSync(this.file(name), {throwIfNoEntry: false});
    if (found?.isFile() && found.nlink > 1) this.write(name, this.read(name));
  }

  read = (name: RunFile): string => readText(fileSource(this.file(name), {links: 'hard'}), MAX_BYTES[name] ?? MAX_OTHER_BYTES);

  write(name: RunFile, text: string): void {
    writeAtomically(this.file(name), (write) => write(new TextEncoder().encode(text)));
  }

  writeCheckpoint(name: 'last' | 'step', produce: (write: (bytes: Uint8Array) => void) => void): void {
    this.lock?.assertHeld();
    writeAtomically(this.file(name), produce);
  }
  remove = (name: RunFile): void => removeFile(this.file(name));

  log(text: string): void {
    append(this.file('log'), `${new Date().toISOString()} ${text.replaceAll(/\s*\n\s*/g, '; ')}\n`);
  }

  record(row: EpochRow | StepRow): void {
    this.lock?.assertHeld();
    append(this.file('metrics'), `${JSON.stringify(row)}\n`);
    this.scalars(row);
  }

  private lines = (name: RunFile): string[] => (this.has(name) ? this.read(name).split('\n') : []);

  /** What the run could not read so far. */
  unreadable = (): UnreadableImage[] => this.lines('unreadable').flatMap((line) => rowOf(line, unreadableImage));
  recordUnreadable = (image: UnreadableImage): void => append(this.file('unreadable'), `${JSON.stringify(image)}\n`);

  /** TensorBoard reads all event files of a folder: a process writes one of its own. */
  private scalars(row: EpochRow | StepRow): void {
    if (this.events === undefined) {
      this.events = join(this.path, `events.out.tfevents.${Math.floor(seconds())}.gpd.${process.pid}`);
      append(this.events, eventHeader(seconds()));
    }
    append(this.events, scalarEvent(seconds(), row.steps, scalarsOf(row)));
  }

  /** `checkpoint-N` and `best` as the position knows them, from `last`. A process may have been killed before it came to that. */
  settle({kept, best, epoch}: Pick<Position, 'kept' | 'best' | 'epoch'>): void {
    const done = epoch - 1; // `last` is of this epoch
    if (kept.some((k) => k.epoch === done)) this.link(this.file('last'), this.checkpoint(done));
    if (best?.epoch === done) this.link(this.file('last'), this.file('best'));
    const wanted = new Set(kept.map((k) => this.checkpoint(k.epoch)));
    for (const {name, path, isFolder} of this.entries()) {
      if (CHECKPOINT.test(name) && !wanted.has(path) && !isFolder) rmSync(path); // a folder is nothing that was written here
      if (HIDDEN_NAME.test(name) && isFolder && holdsOurs(path)) rmSync(path, {recursive: true}); // what a killed process did not finish
    }
  }

  private entries(): {name: string; path: string; isFolder: boolean}[] {
    const entries = readdirSync(this.path, {withFileTypes: true});
    return entries.map((entry) => ({name: entry.name, path: join(this.path, entry.name), isFolder: entry.isDirectory()}));
  }

  /** Checkpoints of whole epochs, the newest first, and the best. */
  otherCheckpoints(): string[] {
    const numbered = this.entries().filter(({name}) => CHECKPOINT.test(name));
    const newest = numbered.sort((a, b) => epochOf(b.name) - epochOf(a.name)).slice(0, MAX_OTHERS);
    return [...newest.map(({path}) => path), ...(this.has('best') ? [this.file('best')] : [])];
  }

  private link(from: string, to: string): void {
    removeFile(to);
    try {
      linkSync(from, to);
    } catch {
      refusing(to, () => copyFileSync(from, to, constants.COPYFILE_EXCL)); // no hard links on this file system
    }
  }

  /** Lines of what comes after the position are dropped: it will be computed again. Returns how many lines were no rows. */
  rewindMetrics({steps, epochs}: Pick<Position, 'steps' | 'epochs'>): number {
    const lines = this.lines('metrics');
    const rows = lines.flatMap((line) => rowOf(line, anyRow));
    const before = rows.filter((row): row is StepRow => row.kind === 'step' && row.steps <= steps);
    const all = [...before, ...epochs].sort(
      (a, b) => a.steps - b.steps || Number(a.kind === 'epoch') - Number(b.kind === 'epoch'),
    );
    this.write('metrics', all.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return lines.slice(0, -1).filter((line) => line !== '').length - rows.length; // the last may have been cut off by the end of its process
  }
}

/** Results of another command may be under construction in the folder. */
const holdsOurs = (folder: string): boolean =>
  readdirSync(folder).every((name) => (Object.values(runFiles) as string[]).includes(name));

const CHECKPOINT = /^checkpoint-\d{1,9}\.pth\.tar$/;
const epochOf = (name: string): number => Number(/\d+/.exec(name));

const removeFile = (path: string): void => refusing(path, () => rmSync(path, {force: true}));

function refusing(path: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    throw new GpdError('OUTPUT_REFUSED', `${path}: cannot be replaced (${(cause as NodeJS.ErrnoException).code})`, {
      at: path,
      hint: 'a run writes a file of that name: move away what is there, and see that the disk is writable and not full',
      cause,
    });
  }
}

const anyRow = either(stepRow, epochRow);
/** A line that was cut off is no row, nor is anything else that no run writes. */
function rowOf<T>(line: string, reader: Reader<T>): T[] {
  try {
    return line === '' ? [] : [parseJson(line, reader)];
  } catch (error) {
    if (error instanceof SchemaError) return [];
    throw error;
  }
}

function scalarsOf(row: EpochRow | StepRow): [string, number][] {
  const common: [string, number][] = [
    ['lr', row.lr],
    ['images_per_second', row.imagesPerSecond],
  ];
  if (row.kind === 'step') {
    const numbers = Object.entries(row.metrics).filter((pair): pair is [string, number] => typeof pair[1] === 'number');
    return [...numbers.map(([name, value]): [string, number] => [`step/${name}`, value]), ...common];
  }
  const train = Object.entries(row.train).map(([name, value]): [string, number] => [`train/${name}`, value]);
  const validation = Object.entries(row.validation ?? {}).flatMap(([who, accuracy]) =>
    Object.entries(accuracy).map(([name, value]): [string, number] => [`val/${who}_${name}`, value as number]),
  );
  return [...train, ...validation, ...common];
}
