/** The batches of a run, and what becomes of images that cannot be read. */
import {GpdError} from '../../core/error.js';
import type {Batch, Failure} from '../../data/loader.js';
import type {TrainOptions} from '../options/options.js';
import {type EpochPlace, type Images, trainingBatches, validationBatches} from './images.js';
import type {RunDirectory} from './run-directory.js';
import {type UnreadableImage, UnreadableList} from './unreadable.js';

/** Unreadable images that are told at once; the log and unreadable.jsonl have them all. */
const MAX_NOTES = 10;

export interface RunImagesOptions {
  readonly images: Images;
  readonly options: TrainOptions;
  readonly directory: RunDirectory;
  /** Whether the run may go on, so that what it met before counts. */
  readonly resume: boolean;
  /** Tells a person and the log. */
  readonly note: (text: string) => void;
}

export class RunImages {
  private readonly list: UnreadableList;
  /** Places in the training set whose images cannot be read. */
  private readonly gaps: Set<number>;

  constructor(private readonly own: RunImagesOptions) {
    const {images, directory, resume} = own;
    this.list = new UnreadableList(resume ? directory.unreadable() : [], directory.recordUnreadable);
    this.gaps = new Set(images.gaps);
  }

  /** Each once, in the order in which they were met. */
  get unreadable(): readonly UnreadableImage[] {
    return this.list.all;
  }

  async *training(place: EpochPlace): AsyncGenerator<Batch> {
    const {images, options} = this.own;
    for await (const batch of trainingBatches(images, options, place, this.gaps)) {
      for (const {index} of batch.failures) this.gaps.add(index);
      this.tell('training', batch.failures);
      yield batch;
    }
  }

  async *validation(): AsyncGenerator<Batch> {
    const {images, options} = this.own;
    for await (const batch of validationBatches(images.validation!, options)) {
      this.tell('validation', batch.failures);
      yield batch;
    }
  }

  private tell(set: UnreadableImage['set'], failures: readonly Failure[]): void {
    const {note, directory} = this.own;
    for (const {path, reason} of this.add(set, failures)) {
      const text = `left out: ${path}: ${reason}`;
      if (this.list.all.length <= MAX_NOTES) note(text);
      else directory.log(text);
    }
  }

  private add(set: UnreadableImage['set'], failures: readonly Failure[]): UnreadableImage[] {
    const {train, validation, indexInSet} = this.own.images;
    const isTraining = set === 'training';
    return this.list.add(set, failures, isTraining ? train : validation!, isTraining ? indexInSet : (index) => index);
  }

  /** An error that ends the run: where it is an image, how the run goes on without it. `saved` says what was kept. */
  explain(error: GpdError, saved: string): GpdError {
    const {code, message, at = '', data = {}} = error;
    if (code !== 'IMAGE_UNREADABLE') return error;
    const {index, reason} = data as {index: number; reason: string};
    const set = this.own.images.train.samples[index]?.path === at ? 'training' : 'validation';
    this.add(set, [{path: at, index, reason}]); // so that it may be removed
    const hint = `${saved}: repair or remove the image and repeat with --resume, or go on without it by --resume --on-error skip`;
    return new GpdError(code, message, {at, data, hint, cause: error});
  }
}
