/** A training run: epochs of steps, what is measured after each, and what is written so that it can go on after any end. */

import {GpdError} from '../../core/error.js';
import type {Batch} from '../../data/loader.js';
import {formatConfig} from '../options/config.js';
import {describeSchedule} from '../options/describe-schedule.js';
import type {TrainOptions} from '../options/options.js';
import {learningRate} from '../options/schedules.js';
import {flatMetrics, type InitialState, type StepMetrics} from '../step/step-config.js';
import {createTrainer, type Trainer} from '../step/trainer.js';
import {writeCheckpoint} from './checkpoint.js';
import {digestOf, type Images, orderSeed, stepSizes, validationBatch} from './images.js';
import {drawMix} from './mixing.js';
import {type Accuracy, type EpochRow, type Kept, noSums, type Position, type Sums, type Validation} from './position.js';
import type {RunProgress} from './progress.js';
import type {RunDirectory} from './run-directory.js';
import {RunImages} from './run-images.js';
import {lastState, newestState, refuseOtherRun, type SavedRun, type StateReader} from './saved-state.js';
import type {StartingPoint} from './starting-point.js';
import {Steady, strategiesText, useStrategies} from './steady.js';
import {mixingOf, scheduleOf} from './step-settings.js';
import type {UnreadableImage} from './unreadable.js';
import {bestOf, type LabelledImages, validate} from './validate.js';

export interface RunOptions {
  readonly options: TrainOptions;
  readonly images: Images;
  readonly start: StartingPoint;
  /** Open. */
  readonly directory: RunDirectory;
  readonly resume: boolean;
  /** Ends the run after the step under way; it can be resumed. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RunProgress) => void;
  /** What a person should know about this run, before its first step and when it happens. */
  readonly onNote?: (text: string) => void;
  readonly onEpoch?: (epochs: readonly EpochRow[], unreadable: readonly UnreadableImage[]) => Promise<void>;
}

export interface RunResult {
  readonly complete: boolean;
  readonly epochs: readonly EpochRow[];
  readonly best: Position['best'];
  /** Images that could not be read when they were met. */
  readonly unreadable: readonly UnreadableImage[];
}

/** With the same images three times over something else is wrong. */
const MAX_ATTEMPTS = 3;

export async function trainRun(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  try {
    await run.begin();
    while (run.position.epoch < options.options.epochs) {
      if (!(await run.epoch())) return run.result(false);
    }
    return run.result(true);
  } finally {
    run.end();
  }
}

type Mutable<T> = {-readonly [K in keyof T]: T[K]};

class Run {
  readonly position: Mutable<Position>;
  private readonly trainer: Trainer;
  private readonly steady = new Steady();
  private readonly sizes: readonly number[];
  private readonly images: RunImages;
  private lr = 0;

  constructor(private readonly run: RunOptions) {
    const {options, images, start, directory, resume} = run;
    this.sizes = stepSizes(options, images.train.samples.length);
    if (this.sizes.length === 0) {
      const problem = `${images.train.samples.length} images fill no batch of ${options['batch-size']}`;
      throw new GpdError('CONFIG_INVALID', problem, {hint: 'choose a smaller --batch-size, or --no-drop-last'});
    }
    if (!resume) directory.remove('unreadable');
    if (directory.has('strategies')) useStrategies(directory.read('strategies'), directory.file('strategies'));
    this.position = {
      ...{version: 1, config: formatConfig(options), images: images.train.samples.length, digest: digestOf(images.train)},
      ...{epoch: 0, step: 0, steps: 0, attempt: 0, sums: noSums(), kept: [], best: undefined, epochs: []},
    };
    this.images = new RunImages({images, options, directory, resume, note: this.note});
    this.trainer = createTrainer(start.config, {model: start.initial.state});
  }

  async begin(): Promise<void> {
    const {options, directory, resume, start} = this.run;
    const saved = resume ? this.savedRun() : undefined;
    directory.write('config', formatConfig(options));
    this.announce(saved?.position);
    this.show('preparing', undefined);
    if ((saved?.position.epoch ?? 0) < options.epochs) await this.warmUp();
    directory.write('strategies', strategiesText());
    const {config, digest} = this.position;
    if (saved) Object.assign(this.position, saved.position, {config, digest});
    this.load(saved?.state ?? {model: start.initial.state});
    directory.settle(this.position);
    const lost = directory.rewindMetrics(this.position);
    if (lost > 0) this.note(`metrics.jsonl: lines left out, for they are no rows of numbers: ${lost}`);
    if (options['eval-first'] && !saved) await this.measureFirst();
  }

  /** What will happen, before it does. */
  private announce(saved: Position | undefined): void {
    const {options, directory} = this.run;
    directory.log(saved ? `resumed at epoch ${saved.epoch}, step ${saved.step}` : 'started');
    const gone = this.run.images.gaps.size;
    if (gone > 0) this.note(`images that could not be read and were removed since, others stand in: ${gone}`);
    const {line, warnings} = describeSchedule(options);
    for (const note of [line, ...warnings]) this.note(note);
  }

  end = (): void => this.trainer.dispose();
  result = (complete: boolean): RunResult => ({
    ...{complete, epochs: this.position.epochs, best: this.position.best, unreadable: this.images.unreadable},
  });

  /** Sizes and kinds of batches that will come, the most frequent last. */
  private async warmUp(): Promise<void> {
    const {options, images} = this.run;
    const mixing = mixingOf(options);
    const mixes = mixing.mixup > 0 || mixing.cutmix > 0 || mixing.minmax !== undefined;
    await this.steady.warmUp(this.trainer, {
      sizes: [...new Set(this.sizes)].reverse(),
      mixed: !mixes ? [false] : mixing.probability < 1 ? [false, true] : [true],
      evaluationSize: images.validation && validationBatch(options),
    });
  }

  private load(state: InitialState): void {
    this.trainer.load(state);
    this.steady.settle();
  }

  private get reader(): StateReader {
    const {directory, start} = this.run;
    const {state: like} = start.initial;
    return {directory, like, settings: start.config, stepsPerEpoch: this.sizes.length, fresh: {...this.position}};
  }

  /** What the run goes on from. */
  private savedRun(): SavedRun | undefined {
    const found = newestState(this.reader);
    if (found) refuseOtherRun(found.position, this.position, this.run.options, this.run.directory.path);
    return found;
  }

  private readonly note = (text: string): void => {
    this.run.directory.log(text);
    this.run.onNote?.(text);
  };

  private async measureFirst(): Promise<void> {
    const validation = await this.measure();
    if (validation) this.run.directory.log(`before the first step: ${describe(validation)}`);
  }

  private async measure(): Promise<Validation | undefined> {
    const {images, options} = this.run;
    if (!images.validation) return undefined;
    return validate(this.trainer, {
      batches: this.images.validation(),
      batchSize: validationBatch(options),
      onBatch: () => this.show('measuring', undefined),
    });
  }

  /** False where it was interrupted. */
  async epoch(): Promise<boolean> {
    const {options, signal} = this.run;
    const {epoch, attempt} = this.position;
    this.lr = learningRate(scheduleOf(options), epoch);
    const place = {epoch, step: this.position.step, attempt};
    const batches = this.savingAtErrors(this.images.training(place));
    let before = performance.now();
    for await (const batch of batches) {
      const metrics = await this.step(batch);
      if (!metrics.applied) return this.diverged(metrics);
      const now = performance.now();
      this.count(metrics, batch.labels.length, (now - before) / 1000); // with the time that the images took
      before = now;
      if (signal?.aborted) {
        await this.saveStep();
        this.run.directory.log(`interrupted in epoch ${epoch}, after step ${this.position.step}`);
        return false;
      }
      const every = options['save-every'];
      if (every > 0 && this.position.step % every === 0 && this.position.step < this.sizes.length) await this.saveStep();
    }
    await this.finishEpoch();
    return true;
  }

  /** The weights are sound when the next images cannot be had: nothing of what was computed is lost. */
  private async *savingAtErrors(batches: AsyncGenerator<Batch>): AsyncGenerator<Batch> {
    for (;;) {
      const next = await this.saving(() => batches.next());
      if (next.done) return;
      yield next.value;
    }
  }

  private async saving<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof GpdError)) throw error;
      throw await this.ended(error);
    }
  }

  /** The state is saved; what ended the run, with how it goes on. */
  private async ended(error: GpdError): Promise<GpdError> {
    const {directory} = this.run;
    const {epoch, step} = this.position;
    if (step > 0) await this.saveStep();
    directory.log(`ended in epoch ${epoch}, after step ${step}: ${error.message}`);
    const isSaved = step > 0 || epoch > 0;
    return this.images.explain(
      error,
      isSaved ? `the run is saved after step ${step} of epoch ${epoch + 1}` : 'nothing was computed yet',
    );
  }

  private step({images, labels}: LabelledImages): Promise<StepMetrics> {
    const {options} = this.run;
    const {epoch, step, attempt} = this.position;
    const mix = drawMix(mixingOf(options), {
      ...{seed: orderSeed(options, attempt), epoch, batch: step, side: options['image-size']},
    });
    if (step === this.sizes.length - 1 && this.sizes.at(-1) !== this.sizes[0]) this.steady.settle();
    return this.trainer.step({images, labels, ...(mix && {mix})}, {lr: this.lr, kdScale: epoch < options['gpd-start'] ? 0 : 1});
  }

  private count(metrics: StepMetrics, images: number, seconds: number): void {
    const {sums} = this.position;
    sums.images += images;
    sums.seconds += seconds;
    for (const [name, value] of numbersOf(metrics)) sums.metrics[name] = (sums.metrics[name] ?? 0) + value * images;
    this.position.step++;
    this.position.steps++;
    const {epoch, step, steps} = this.position;
    this.show('training', metrics.total_loss);
    if (step % this.run.options['log-every'] !== 0) return;
    const row = {
      kind: 'step',
      epoch,
      steps,
      lr: this.lr,
      metrics: flatMetrics(metrics),
      imagesPerSecond: rateOf(sums),
    } as const;
    this.run.directory.record(row);
  }

  private show(phase: RunProgress['phase'], loss: number | undefined): void {
    const {epoch, sums} = this.position;
    const perEpoch = this.sizes.reduce((a, b) => a + b, 0);
    const total = perEpoch * this.run.options.epochs;
    this.run.onProgress?.({phase, loss, epoch, total, done: epoch * perEpoch + sums.images, imagesPerSecond: rateOf(sums)});
  }

  private async finishEpoch(): Promise<void> {
    const {directory, onEpoch} = this.run;
    const {epoch, steps, sums} = this.position;
    this.steady.settle();
    const validation = await this.saving(() => this.measure());
    const row: EpochRow = {
      ...{kind: 'epoch', epoch, steps, lr: this.lr, images: sums.images, seconds: sums.seconds, imagesPerSecond: rateOf(sums)},
      train: Object.fromEntries(Object.entries(sums.metrics).map(([name, sum]) => [name, sum / sums.images])),
      ...(validation && {validation}),
    };
    this.rank(epoch, validation);
    Object.assign(this.position, {epoch: epoch + 1, step: 0, sums: noSums(), epochs: [...this.position.epochs, row]});
    await this.save('last');
    directory.settle(this.position);
    directory.remove('step');
    directory.record(row);
    const rest = validation ? `; ${describe(validation)}` : '';
    directory.log(
      `epoch ${epoch}: loss ${row.train['total_loss']?.toFixed(4)}${rest}; ${row.imagesPerSecond.toFixed(0)} images/s`,
    );
    await onEpoch?.(this.position.epochs, this.images.unreadable);
  }

  /** As the original's saver: the best `keep`, and the best of all. Without validation images the newest is the best. */
  private rank(epoch: number, validation: Validation | undefined): void {
    const {metric, weights} = validation ? bestOf(validation) : {metric: epoch, weights: 'model' as const};
    const own: Kept = {epoch, metric};
    const ranked = [...this.position.kept, own].sort((a, b) => b.metric - a.metric || a.epoch - b.epoch);
    this.position.kept = ranked.slice(0, this.run.options.keep);
    if (!this.position.best || metric > this.position.best.metric) this.position.best = {...own, weights};
  }

  private saveStep = (): Promise<void> => this.save('step');

  private async save(name: 'last' | 'step'): Promise<void> {
    const {directory, options, start, images} = this.run;
    const state = await this.trainer.state();
    const metric = images.validation ? this.position.best?.metric : undefined;
    const contents = {state, position: this.position, options, settings: start.config, lr: this.lr, metric};
    directory.writeCheckpoint(name, (write) => writeCheckpoint(contents, write));
    directory.write('strategies', strategiesText());
  }

  /** A loss or a gradient is no number: this step changed no weight, but statistics have seen it. */
  private async diverged({total_loss, grad_norm}: StepMetrics): Promise<boolean> {
    const {directory, options} = this.run;
    const {epoch, step, attempt} = this.position;
    const what = `epoch ${epoch}, step ${step}: the loss is ${total_loss}, the norm of the gradient ${grad_norm}`;
    directory.log(what);
    if (options['on-nan'] === 'rollback' && attempt < MAX_ATTEMPTS) {
      this.rollBack();
      return true;
    }
    const tried = attempt > 0 ? `, after ${attempt} other orders of the images` : '';
    const advice = [
      `start a run with a lower --lr (it is ${this.lr}) or --clip-norm`,
      directory.has('last') ? 'last.pth.tar has the weights of the epoch before' : 'no epoch was finished',
      ...(options['on-nan'] === 'rollback' ? [] : ['--on-nan rollback goes back by itself and tries other orders']),
    ];
    throw new GpdError('TRAINING_DIVERGED', `${what}${tried}`, {at: directory.path, hint: advice.join('; ')});
  }

  private rollBack(): void {
    const {directory, start} = this.run;
    const attempt = this.position.attempt + 1;
    const saved = lastState(this.reader);
    const {steps, epoch} = saved?.position ?? {steps: 0, epoch: 0};
    Object.assign(this.position, {steps, epoch, step: 0, sums: noSums(), attempt});
    this.load(saved?.state ?? {model: start.initial.state});
    directory.remove('step');
    directory.log(`went back to the beginning of epoch ${epoch}, order ${attempt} of the images`);
  }
}

const rateOf = ({images, seconds}: Sums): number => (seconds > 0 ? images / seconds : 0);
const numbersOf = (metrics: StepMetrics): [string, number][] =>
  Object.entries(flatMetrics(metrics)).filter((pair): pair is [string, number] => typeof pair[1] === 'number');

const describe = (v: Validation): string =>
  (Object.entries(v) as [string, Accuracy][]).map(([who, {top1}]) => `${who} ${top1.toFixed(2)} %`).join(', ');
