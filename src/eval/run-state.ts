/** An evaluation under way as plain data: what `--resume` reads. Small, whatever the number of images. */
import {createHash} from 'node:crypto';
import {existsSync, rmSync, statSync} from 'node:fs';
import {fileSource, readText} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {writeAtomically} from '../core/output.js';
import type {FoundForm} from './output-form.js';
import type {PairState} from './pair-tally.js';
import type {Subject} from './subject.js';
import type {TallyState} from './tally.js';

export interface Failures {
  count: number;
  /** The first of them. */
  list: {path: string; reason: string}[];
}

export interface RunState {
  version: 2;
  /** Of the models, the images and the settings; see `identityOf`. */
  identity: string;
  /** How many of the images, in their order, are done. */
  done: number;
  tallies: TallyState[];
  pairs: PairState[];
  failures: Failures;
  /** What each model's numbers are; null where no image has told yet. */
  forms: (FoundForm | null)[];
  elapsedMs: number;
}

/** Two runs of one identity see the same images in the same models. Files count by name, size and time of change. */
export function identityOf(subjects: readonly Subject[], settings: object): string {
  const files = subjects.map(({path, form}) => {
    const found = statSync(path, {throwIfNoEntry: false}); // a form that is evaluated before it is written has none
    return {path, form, size: found?.size, mtimeMs: found?.mtimeMs};
  });
  return createHash('sha256').update(JSON.stringify({files, settings})).digest('hex').slice(0, 32);
}

/** JSON has no infinite numbers. */
const encode = (_: string, value: unknown) =>
  typeof value === 'number' && !Number.isFinite(value) ? {number: String(value)} : value;
const decode = (_: string, value: unknown) => {
  const number = (value as {number?: unknown} | null)?.number;
  return typeof number === 'string' ? Number(number) : value;
};

/** Small, whatever the number of images; but every class and model has its counts. */
const MAX_STATE_BYTES = 256 * 2 ** 20;

export class StateFile {
  constructor(
    readonly path: string,
    private readonly identity: string,
  ) {}

  /** Undefined where there is no file. Throws STATE_MISMATCH for the state of another run. */
  read(): RunState | undefined {
    if (!existsSync(this.path)) return undefined;
    const text = readText(fileSource(this.path), MAX_STATE_BYTES);
    let state: Partial<RunState>;
    try {
      state = JSON.parse(text, decode);
    } catch (error) {
      throw this.mismatch(`is not a saved state: ${(error as Error).message}`);
    }
    if (state.version !== 2) throw this.mismatch('was not written by this version');
    if (state.identity !== this.identity) throw this.mismatch('belongs to a run of other models, images or settings');
    return state as RunState;
  }

  private mismatch(why: string): GpdError {
    const hint = 'repeat the command that was interrupted, or remove the file to start from the beginning';
    return new GpdError('STATE_MISMATCH', `${this.path} ${why}`, {at: this.path, hint});
  }

  /** The file is complete at every moment. */
  write(state: Omit<RunState, 'version' | 'identity'>): void {
    const whole: RunState = {version: 2, identity: this.identity, ...state};
    writeAtomically(this.path, (write) => write(new TextEncoder().encode(JSON.stringify(whole, encode))));
  }
  remove(): void {
    rmSync(this.path, {force: true});
  }
}
