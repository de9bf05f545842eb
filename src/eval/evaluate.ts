/**
 * Several models over the same batches in one run: accuracy of each, and how they differ. Memory does not depend on the number of
 * images. The runtime blocks this thread while it computes; the loader's threads decode the next batch meanwhile.
 */
import {GpdError} from '../core/error.js';
import type {Batch} from '../data/loader.js';
import type {Image} from '../data/resample.js';
import type {Session, SessionOptions} from '../onnx/session.js';
import {LogHistogram} from './log-histogram.js';
import {runImages, runPhotographs} from './logits.js';
import {type FoundForm, formOf, logitsOf, type OutputForm, probabilitiesOf} from './output-form.js';
import {largestDifference, type PairResult, PairTally} from './pair-tally.js';
import type {Failures, RunState} from './run-state.js';
import {type Score, scoreAmong, scoreOf} from './scores.js';
import type {Subject} from './subject.js';
import {Tally, type TallyResult} from './tally.js';

/** How far an evaluation is, in images. */
export interface Progress {
  done: number;
  total: number;
  imagesPerSecond: number;
  remainingMs: number;
  /** Of each model so far, 0 to 1. */
  top1: number[];
}

export type SavedState = Omit<RunState, 'version' | 'identity'>;

export interface EvaluateOptions {
  subjects: readonly Subject[];
  /** How many images there are in all. */
  total: number;
  /** The batches from the n-th image on, in order. */
  batches(from: number): AsyncIterable<Batch>;
  /** Whole photographs by their index, for models that prepare them themselves. */
  photographs?: (indices: Int32Array) => Promise<readonly Image[]>;
  /** Answers are judged among these outputs alone. Default: among all. */
  among?: readonly number[] | undefined;
  session?: SessionOptions;
  /** Ends the run after the present batch: the result is partial. */
  signal?: AbortSignal | undefined;
  onProgress?: (progress: Progress) => void;
  /** Continue from here. */
  state?: SavedState | undefined;
  /** Called now and then, and when the run ends early, with what is needed to continue. */
  save?: (state: SavedState) => void;
}

export interface ModelOutcome extends TallyResult {
  subject: Subject;
  /** What its numbers are; loss and calibration are computed from them accordingly. */
  outputs: FoundForm;
  loadMs: number;
  /** Time in the model itself, and what that makes. */
  runMs: number;
  runImagesPerSecond: number;
  /** Milliseconds of a whole batch in the model. */
  latency: LogHistogram;
}
export interface PairOutcome extends PairResult {
  /** Places in `models`. */
  a: number;
  b: number;
  /** What was compared: what both give, or else probabilities. */
  compared: OutputForm;
}
export interface Outcome {
  complete: boolean;
  total: number;
  done: number;
  failures: Failures;
  models: ModelOutcome[];
  pairs: PairOutcome[];
  timing: {
    elapsedMs: number;
    imagesPerSecond: number;
    /** How long the models waited for images: near 0 if inference is what takes the time. */
    waitMs: number;
    /** CPU time of all threads while images were evaluated: over the elapsed time, how many cores were busy. */
    cpuMs: number;
  };
}

/** A power failure costs this much of the work. */
const SAVE_EVERY_MS = 30_000;
const MAX_LISTED_FAILURES = 100;

/** Throws SHAPE_MISMATCH where models cannot see the same batches, or tell other numbers of classes apart. */
export function checkCompatible(subjects: readonly Subject[]): void {
  const [first] = subjects;
  for (const {path, name, input, classes: own} of subjects) {
    if (input.side !== first!.input.side) {
      const problem = `${name} takes ${input.side} px, ${first!.name} ${first!.input.side} px`;
      const hint = 'all models of a run see the same batches: evaluate them one by one';
      throw new GpdError('SHAPE_MISMATCH', problem, {at: path, hint});
    }
    if (own !== first!.classes) {
      const hint = 'evaluate them one by one';
      throw new GpdError('SHAPE_MISMATCH', `${name} tells ${own} classes apart, ${first!.name} ${first!.classes}`, {
        at: path,
        hint,
      });
    }
  }
}

export async function evaluate(options: EvaluateOptions): Promise<Outcome> {
  const run = new Evaluation(options);
  try {
    await run.open();
    await run.all();
    return run.outcome();
  } finally {
    await run.close();
  }
}

class Evaluation {
  private readonly sessions: Session[] = [];
  private readonly tallies: Tally[];
  private readonly pairs: {a: number; b: number; tally: PairTally}[];
  private readonly failures: Failures;
  /** Known from the first images on. */
  private readonly forms: (FoundForm | undefined)[];
  private readonly loadMs: number[] = [];
  private readonly runMs: number[];
  private readonly latencies: LogHistogram[];
  private readonly start = performance.now();
  private readonly before: number;
  private done: number;
  private waitMs = 0;
  private runStart = 0;
  private cpuStart = process.cpuUsage();
  private firstDone: number;

  constructor(private readonly options: EvaluateOptions) {
    const {subjects, state} = options;
    this.tallies = subjects.map(({classes}, i) => new Tally(classes, state?.tallies[i]));
    const places = subjects.flatMap((_, a) => subjects.slice(a + 1).map((_, i) => ({a, b: a + 1 + i})));
    this.pairs = places.map((place, i) => ({...place, tally: new PairTally(state?.pairs[i])}));
    this.failures = structuredClone(state?.failures ?? {count: 0, list: []});
    this.forms = subjects.map((_, i) => state?.forms[i] ?? undefined);
    this.runMs = subjects.map(() => 0);
    this.latencies = subjects.map(() => new LogHistogram());
    this.done = state?.done ?? 0;
    this.firstDone = this.done;
    this.before = state?.elapsedMs ?? 0;
  }

  async open(): Promise<void> {
    for (const subject of this.options.subjects) {
      const start = performance.now();
      this.sessions.push(await subject.open(this.options.session ?? {}));
      this.loadMs.push(performance.now() - start);
    }
  }
  async close(): Promise<void> {
    for (const session of this.sessions) await session.close();
  }

  async all(): Promise<void> {
    const {total, batches, signal, save} = this.options;
    if (this.done >= total) return;
    this.runStart = performance.now();
    this.cpuStart = process.cpuUsage();
    let saved = this.runStart;
    let waiting = this.runStart;
    try {
      for await (const batch of batches(this.done)) {
        this.waitMs += performance.now() - waiting;
        await this.batch(batch);
        this.report();
        waiting = performance.now();
        if (signal?.aborted) break;
        if (waiting - saved < SAVE_EVERY_MS) continue;
        save?.(this.state());
        saved = waiting;
      }
    } finally {
      if (this.done < total && this.done > this.firstDone) save?.(this.state());
    }
  }

  private async batch(batch: Batch): Promise<void> {
    this.note(batch.failures);
    const outputs = batch.indices.length > 0 ? await this.runAll(batch) : [];
    const rowsOf = (i: number) => outputs.map((all, m) => all.subarray(...rowOf(i, this.options.subjects[m]!.classes)));
    const images = Array.from(batch.indices, (index, i) => ({index, label: batch.labels[i]!, rows: rowsOf(i)}));
    this.findForms(images);
    for (const {index, label, rows} of images) {
      const {among} = this.options;
      const scores = rows.map((row, m) => {
        const logits = logitsOf(row, this.formAt(m));
        return among ? scoreAmong(logits, label, among) : scoreOf(logits, label);
      });
      this.add(index, label, rows, scores);
    }
    this.done += batch.indices.length + batch.failures.length;
  }

  private findForms(images: readonly {rows: readonly Float32Array[]}[]): void {
    for (const [m, subject] of this.options.subjects.entries())
      this.forms[m] ??= formOf(
        subject.model(),
        subject.output,
        images.map(({rows}) => rows[m]!),
      );
  }
  private formAt(m: number): OutputForm {
    return this.forms[m]?.form ?? 'logits';
  }

  private async runAll(batch: Batch): Promise<Float32Array[]> {
    const outputs: Float32Array[] = [];
    const {subjects, photographs} = this.options;
    const takesPhotographs = (subject: Subject) => subject.input.dtype === 'uint8';
    const whole = subjects.some(takesPhotographs) ? await photographs!(batch.indices) : [];
    for (const [m, session] of this.sessions.entries()) {
      const start = performance.now();
      const subject = subjects[m]!;
      outputs.push(
        await (takesPhotographs(subject) ? runPhotographs(session, subject, whole) : runImages(session, subject, batch.images)),
      );
      const ms = performance.now() - start;
      this.runMs[m]! += ms;
      this.latencies[m]!.add(ms);
    }
    return outputs;
  }

  private add(index: number, label: number, rows: readonly Float32Array[], scores: readonly Score[]): void {
    for (const [m, tally] of this.tallies.entries()) tally.add(index, label, scores[m]!);
    for (const {a, b, tally} of this.pairs) tally.add(index, label, scores[a]!, scores[b]!, this.difference(rows, a, b));
  }

  /** Of numbers of one form; logits and probabilities are compared as probabilities. */
  private difference(rows: readonly Float32Array[], a: number, b: number): number {
    const [formA, formB] = [this.formAt(a), this.formAt(b)];
    return formA === formB
      ? largestDifference(rows[a]!, rows[b]!)
      : largestDifference(probabilitiesOf(rows[a]!, formA), probabilitiesOf(rows[b]!, formB));
  }

  private comparedAs(a: number, b: number): OutputForm {
    return this.formAt(a) === this.formAt(b) ? this.formAt(a) : 'probabilities';
  }

  private note(failures: Batch['failures']): void {
    this.failures.count += failures.length;
    const room = MAX_LISTED_FAILURES - this.failures.list.length;
    this.failures.list.push(...failures.slice(0, room).map(({path, reason}) => ({path, reason})));
  }

  private get imagesPerSecond(): number {
    return (1000 * (this.done - this.firstDone)) / Math.max(1, performance.now() - this.runStart);
  }

  private report(): void {
    const {total, onProgress} = this.options;
    const rate = this.imagesPerSecond;
    const top1 = this.tallies.map((t) => t.top1);
    onProgress?.({done: this.done, total, imagesPerSecond: rate, remainingMs: (1000 * (total - this.done)) / rate, top1});
  }

  private state(): SavedState {
    return {
      done: this.done,
      tallies: this.tallies.map((t) => t.state()),
      pairs: this.pairs.map(({tally}) => tally.state()),
      failures: this.failures,
      forms: this.forms.map((form) => form ?? null),
      elapsedMs: this.before + performance.now() - this.start,
    };
  }

  outcome(): Outcome {
    const {subjects, total} = this.options;
    const seen = this.done - this.firstDone;
    return {
      complete: this.done >= total,
      total,
      done: this.done,
      failures: this.failures,
      models: subjects.map((subject, m) => ({
        subject,
        outputs: this.forms[m] ?? {form: 'logits', because: ''},
        ...this.tallies[m]!.result(),
        loadMs: this.loadMs[m]!,
        runMs: this.runMs[m]!,
        runImagesPerSecond: (1000 * seen) / this.runMs[m]!,
        latency: this.latencies[m]!,
      })),
      pairs: this.pairs.map(({a, b, tally}) => ({a, b, compared: this.comparedAs(a, b), ...tally.result()})),
      timing: {
        elapsedMs: this.before + performance.now() - this.start,
        imagesPerSecond: this.imagesPerSecond,
        waitMs: this.waitMs,
        cpuMs: cpuMsSince(this.cpuStart),
      },
    };
  }
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const {user, system} = process.cpuUsage(start);
  return (user + system) / 1000;
}

const rowOf = (i: number, classes: number): [number, number] => [i * classes, (i + 1) * classes];
