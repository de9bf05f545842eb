/**
 * The folder of a run: what is written when, and that every file is whole at every moment. Checkpoints replace each other by
 * renaming; lists grow by whole lines; what a killed process left behind is put right when the run goes on.
 */
import {appendFileSync, copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {GpdError} from '../core/error.js';
import {writeAtomically} from '../core/output.js';
import {eventHeader, scalarEvent} from './event-file.js';
import type {EpochRow, Position, StepRow} from './position.js';

export const runFiles = {
  config: 'config.yaml',
  metrics: 'metrics.jsonl',
  log: 'log.txt',
  report: 'report.html',
  strategies: 'strategies.json',
  /** After the last whole epoch. */
  last: 'last.pth.tar',
  /** Within an epoch. */
  step: 'step.pth.tar',
  best: 'best.pth.tar',
} as const;
type RunFile = keyof typeof runFiles;

const seconds = () => Date.now() / 1000;

export class RunDirectory {
  private events: string | undefined;

  constructor(readonly path: string) {}

  file = (name: RunFile): string => join(this.path, runFiles[name]);
  has = (name: RunFile): boolean => existsSync(this.file(name));
  checkpoint = (epoch: number): string => join(this.path, `checkpoint-${epoch}.pth.tar`);

  /** Makes the folder, or refuses one that holds a run which is not to be continued. */
  open({resume}: {resume: boolean}): void {
    try {
      mkdirSync(this.path, {recursive: true});
    } catch (cause) {
      throw new GpdError('OUTPUT_REFUSED', `${this.path}: cannot be made (${(cause as NodeJS.ErrnoException).code})`, {
        at: this.path,
        hint: 'choose another folder with --out',
        cause,
      });
    }
    if (resume || !(this.has('config') || this.has('last') || this.has('step'))) return;
    throw new GpdError('OUTPUT_REFUSED', `${this.path} holds a run already`, {
      at: this.path,
      hint: 'go on with it by --resume, or choose another folder with --out',
    });
  }

  read = (name: RunFile): string => readFileSync(this.file(name), 'utf8');

  write(name: RunFile, text: string): void {
    writeAtomically(this.file(name), (write) => write(new TextEncoder().encode(text)));
  }

  writeCheckpoint(name: 'last' | 'step', produce: (write: (bytes: Uint8Array) => void) => void): void {
    writeAtomically(this.file(name), produce);
  }
  remove = (name: RunFile): void => rmSync(this.file(name), {force: true});

  log(line: string): void {
    appendFileSync(this.file('log'), `${new Date().toISOString()} ${line}\n`);
  }

  record(row: EpochRow | StepRow): void {
    appendFileSync(this.file('metrics'), `${JSON.stringify(row)}\n`);
    this.scalars(row);
  }

  /** TensorBoard reads all event files of a folder: a process writes one of its own. */
  private scalars(row: EpochRow | StepRow): void {
    if (this.events === undefined) {
      this.events = join(this.path, `events.out.tfevents.${Math.floor(seconds())}.gpd.${process.pid}`);
      appendFileSync(this.events, eventHeader(seconds()));
    }
    appendFileSync(this.events, scalarEvent(seconds(), row.steps, scalarsOf(row)));
  }

  /** `checkpoint-N` and `best` as the position knows them, from `last`. A process may have been killed before it came to that. */
  settle({kept, best, epoch}: Pick<Position, 'kept' | 'best' | 'epoch'>): void {
    const done = epoch - 1; // `last` is of this epoch
    if (kept.some((k) => k.epoch === done)) this.link(this.file('last'), this.checkpoint(done));
    if (best?.epoch === done) this.link(this.file('last'), this.file('best'));
    const wanted = new Set(kept.map((k) => this.checkpoint(k.epoch)));
    for (const name of readdirSync(this.path)) {
      const path = join(this.path, name);
      if (/^checkpoint-\d+\.pth\.tar$/.test(name) && !wanted.has(path)) rmSync(path);
      if (/^\.gpd-\d+-\d+\.tmp$/.test(name)) rmSync(path, {recursive: true}); // a write that a killed process did not finish
    }
  }

  private link(from: string, to: string): void {
    rmSync(to, {force: true});
    try {
      linkSync(from, to);
    } catch {
      copyFileSync(from, to); // no hard links on this file system
    }
  }

  /** Lines of what comes after the position are dropped: it will be computed again. */
  rewindMetrics({steps, epochs}: Pick<Position, 'steps' | 'epochs'>): void {
    const rows = this.has('metrics') ? this.read('metrics').split('\n').flatMap(rowOf) : [];
    const before = rows.filter((row): row is StepRow => row.kind === 'step' && row.steps <= steps);
    const all = [...before, ...epochs].sort(
      (a, b) => a.steps - b.steps || Number(a.kind === 'epoch') - Number(b.kind === 'epoch'),
    );
    this.write('metrics', all.map((row) => `${JSON.stringify(row)}\n`).join(''));
  }
}

/** A line that was cut off by the end of its process is no row. */
function rowOf(line: string): (EpochRow | StepRow)[] {
  try {
    return line === '' ? [] : [JSON.parse(line)];
  } catch {
    return [];
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
