/** A finished small run, and copies of its folder in which something is changed before it goes on. In this process, on TensorFlow.js's cpu backend. */
import {createHash} from 'node:crypto';
import {cpSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileSource} from '../../src/core/bytes.js';
import {errorCodes, GpdError} from '../../src/core/error.js';
import {bytesOf} from '../../src/core/tensor.js';
import {selectBackend} from '../../src/tfjs/backend/select-backend.js';
import {readCheckpoint} from '../../src/train/run/checkpoint.js';
import {openImages} from '../../src/train/run/images.js';
import {type RunResult, trainRun} from '../../src/train/run/run.js';
import {RunDirectory} from '../../src/train/run/run-directory.js';
import type {StartingPoint} from '../../src/train/run/starting-point.js';
import {writeSet} from './sets.js';
import {type Settings, smallOptions, smallStart} from './small.js';

export class SmallFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'gpd-small-'));
  readonly set = join(this.folder, 'set');
  /** Of the untouched run. */
  readonly honest = join(this.folder, 'honest');
  readonly tried = join(this.folder, 'tried');
  start!: StartingPoint;
  notes: string[] = [];

  async begin(settings: Settings = {}): Promise<RunResult> {
    for (const split of ['train', 'val']) writeSet(join(this.set, split), ['dark', 'light'], 8);
    await selectBackend('cpu', {});
    return this.run(this.honest, settings);
  }
  remove = (): void => rmSync(this.folder, {recursive: true, force: true});
  inTried = (name: string): string => join(this.tried, name);

  fresh(): void {
    rmSync(this.tried, {recursive: true, force: true});
    cpSync(this.honest, this.tried, {recursive: true});
  }

  async run(out: string, settings: Settings = {}, resume = false, signal?: AbortSignal): Promise<RunResult> {
    const options = smallOptions({data: this.set, out, backend: 'cpu', epochs: '2', ...settings});
    this.notes = [];
    const directory = new RunDirectory(out);
    const images = await openImages(options, {unreadable: resume ? directory.unreadable() : []});
    try {
      await directory.open({resume});
      this.start = smallStart(options, images);
      const onNote = (text: string) => void this.notes.push(text);
      return await trainRun({options, images, start: this.start, directory, resume, signal, onNote});
    } finally {
      directory.close();
      await images.close();
    }
  }

  /** Of the weights after the last epoch, their moving average and the optimiser's state. */
  digest(out: string): string {
    const file = join(out, 'last.pth.tar');
    const {state} = readCheckpoint(fileSource(file), this.start.initial.state, this.start.config);
    const hash = createHash('sha256');
    const slots = [...(state.optimizer?.slots.values() ?? [])];
    for (const tensors of [state.model, state.ema!, ...slots])
      for (const [key, t] of tensors) hash.update(key).update(bytesOf(t));
    return hash.digest('hex');
  }

  resume = (settings: Settings = {}): Promise<RunResult> => this.run(this.tried, settings, true);

  /** 'goes on', or what refused it: nothing but an error with a documented code. */
  async outcome(settings: Settings = {}): Promise<string> {
    const error = await this.refusal(settings);
    return error?.code ?? 'goes on';
  }

  async refusal(settings: Settings = {}): Promise<GpdError | undefined> {
    try {
      expect(await this.resume(settings)).toMatchObject({complete: true});
      return undefined;
    } catch (error) {
      if (!(error instanceof GpdError)) throw error;
      expect(Object.keys(errorCodes)).toContain(error.code);
      expect(`${error.message} ${error.hint}`).not.toMatch(/undefined|\[object/);
      return error;
    }
  }
}
