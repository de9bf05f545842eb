/**
 * Latency and throughput: each model with each number of threads and images in a process of its own, in turns, so that what the
 * machine does meanwhile hits all of them alike.
 */
import type {ProviderName} from '../onnx/providers.js';
import {checkBatch} from './batch-limit.js';
import {BenchProcess} from './bench-process.js';
import type {ChildTask, Opened} from './bench-protocol.js';
import {type LatencySummary, type SpeedVerdict, summariseLatencies, verdictOf} from './bench-statistics.js';
import {gemmPeak} from './gemm.js';
import {type ImageInput, shapeOf} from './image-input.js';
import {checkWeights, defaultMemoryLimit} from './memory-limit.js';
import type {Subject} from './subject.js';

export interface BenchOptions {
  models: readonly Subject[];
  provider?: ProviderName | undefined;
  deviceId?: number | undefined;
  /** Undefined: the runtime's choice, one a physical core. */
  threads?: readonly (number | undefined)[];
  batches?: readonly number[];
  rounds?: number | undefined;
  /** Of one contender in one round. */
  roundMs?: number | undefined;
  warmUpMs?: number | undefined;
  onProgress?: (done: number, total: number, what: string) => void;
  signal?: AbortSignal | undefined;
  /** Bytes that the process of a model may take; default: see `defaultMemoryLimit`. */
  memoryLimit?: number | undefined;
  /** The compiled child, where it does not lie beside this file. */
  childProgram?: string | undefined;
}

/** One model with one number of threads and one batch size. Times are in milliseconds, memory in bytes. */
export interface BenchRow extends LatencySummary {
  model: string;
  /** Null: the runtime's choice. */
  threads: number | null;
  batch: number;
  imagesPerSecond: number;
  /** Multiply-accumulates for one image. */
  macs: number;
  /** Two operations a multiply-accumulate. */
  gflops: number;
  /** Of the matrix products measured in the same rounds, percent. */
  peakShare: number;
  loadMs: number;
  /** Of the process, and how much of it was there before the model. */
  peakBytes: number;
  baseBytes: number;
  /** Medians of the rounds, for the chart. */
  rounds: number[];
}
/** A setting that could not be measured, and why. */
export interface BenchFailure {
  model: string;
  threads: number | null;
  batch: number;
  reason: string;
}
/** Which of two models is faster in one setting, or that the rounds vary too much to tell. */
export interface BenchVerdict extends SpeedVerdict {
  a: string;
  b: string;
  threads: number | null;
  batch: number;
}
/** What matrix products reach in the same runtime: the ceiling of a network. */
export interface BenchPeak {
  threads: number | null;
  gflops: number;
}
export interface BenchResult {
  provider: ProviderName;
  complete: boolean;
  rows: BenchRow[];
  peaks: BenchPeak[];
  verdicts: BenchVerdict[];
  failures: BenchFailure[];
}

/** Ten medians give quartiles that mean something; a third of a second holds dozens of runs of a small network. */
const DEFAULT_ROUNDS = 10;
const DEFAULT_ROUND_MS = 300;
/** Memory is claimed and clocks settle in the first runs. */
const DEFAULT_WARM_UP_MS = 300;
const MIN_RUNS = 3;

interface Contender {
  name: string;
  /** Undefined for the matrix products. */
  subject: Subject | undefined;
  threads: number | undefined;
  batch: number;
  /** Of one run. */
  macs: number;
  task: ChildTask;
}
interface Measured extends Contender {
  process: BenchProcess & {opened: Opened};
  rounds: number[][];
  peakBytes: number;
}

export async function bench(options: BenchOptions): Promise<BenchResult> {
  const run = new Bench(options);
  try {
    return await run.result();
  } finally {
    run.kill();
  }
}

class Bench {
  private readonly provider: ProviderName;
  private readonly threads: readonly (number | undefined)[];
  private measured: Measured[] = [];
  private readonly failures: BenchFailure[] = [];

  constructor(private readonly options: BenchOptions) {
    this.provider = options.provider ?? 'cpu';
    this.threads = options.threads ?? [undefined];
  }

  async result(): Promise<BenchResult> {
    const contenders = [...this.peaks(), ...this.models()];
    for (const contender of contenders) if (!this.options.signal?.aborted) await this.start(contender);
    const complete = await this.rounds();
    for (const m of this.measured) m.peakBytes = await m.process.close();
    const measured = this.measured.filter((m) => m.rounds.length > 0);
    const peaks = measured.filter((m) => !m.subject).map(peakOf);
    const rows = measured.filter((m) => m.subject && peaks.some((p) => p.threads === (m.threads ?? null)));
    return {
      provider: this.provider,
      complete,
      peaks,
      rows: rows.map((m) => rowOf(m, peaks)),
      verdicts: verdictsOf(rows),
      failures: this.failures,
    };
  }

  kill(): void {
    for (const {process} of this.measured) process.kill();
  }

  private peaks(): Contender[] {
    const {input, macs} = gemmPeak(this.provider);
    const name = 'matrix products';
    return this.threads.map((threads) => ({
      name,
      subject: undefined,
      threads,
      batch: 1,
      macs,
      task: this.task(null, {...input, dtype: 'float32'}, threads, defaultMemoryLimit(0)),
    }));
  }

  /** A model with a fixed batch is measured with that one alone. */
  private models(): Contender[] {
    const {models, batches = [1]} = this.options;
    return this.threads.flatMap((threads) =>
      models.flatMap((subject) => {
        const {input, path} = subject;
        const sizes = input.batch === undefined ? batches : [input.batch];
        return sizes.map((batch) => {
          checkBatch(batch, input.side, path);
          const shape = inputShape(input, batch);
          const limit = this.options.memoryLimit ?? defaultMemoryLimit(subject.storedBytes);
          checkWeights(path, subject.size.weightBytes, limit);
          const task = this.task(path, {name: input.name, dtype: input.dtype, shape}, threads, limit);
          return {name: subject.name, subject, threads, batch, macs: batch * subject.size.macs, task};
        });
      }),
    );
  }

  private task(
    path: ChildTask['path'],
    input: ChildTask['input'],
    threads: number | undefined,
    memoryLimit: number,
  ): ChildTask {
    return {path, input, provider: this.provider, deviceId: this.options.deviceId, threads, memoryLimit};
  }

  /** What is not there for the matrix products is there for no model: that ends the bench. */
  private async start(contender: Contender): Promise<void> {
    const {childProgram: program, warmUpMs = DEFAULT_WARM_UP_MS, signal} = this.options;
    try {
      const process = await BenchProcess.start(contender.name, contender.task, {program, signal});
      this.measured.push({...contender, process, rounds: [], peakBytes: 0});
      await process.round({ms: warmUpMs, minRuns: MIN_RUNS});
    } catch (error) {
      if (!contender.subject && !signal?.aborted) throw error;
      this.drop(contender, error);
    }
  }

  private drop({name, threads, batch}: Contender, error: unknown): void {
    this.failures.push({model: name, threads: threads ?? null, batch, reason: (error as Error).message});
    const isIt = (m: Measured) => m.name === name && m.threads === threads && m.batch === batch;
    for (const {process} of this.measured.filter(isIt)) process.kill(); // it would wait for orders for ever, and we for it
    this.measured = this.measured.filter((m) => !isIt(m));
  }

  /** Every second round backwards: A B B A. */
  private async rounds(): Promise<boolean> {
    const {rounds = DEFAULT_ROUNDS, roundMs = DEFAULT_ROUND_MS, signal, onProgress} = this.options;
    for (let r = 0; r < rounds; r++) {
      for (const m of r % 2 ? this.measured.toReversed() : [...this.measured]) {
        onProgress?.(r, rounds, m.name);
        try {
          m.rounds.push(await m.process.round({ms: roundMs, minRuns: MIN_RUNS}));
        } catch (error) {
          if (!m.subject && !signal?.aborted) throw error;
          this.drop(m, error);
        }
      }
      if (signal?.aborted) return r === rounds - 1;
    }
    return true;
  }
}

/** A photograph as cameras and data sets have them, four by three; small ones as they are. */
function inputShape(input: ImageInput, batch: number): number[] {
  const {takes, side} = input;
  if (takes !== 'photographs') return shapeOf(input, batch);
  return side < SMALL_SIDE ? [batch, side, side, 3] : [batch, 375, 500, 3];
}
const SMALL_SIDE = 128;

const gflopsOf = (macs: number, ms: number): number => (2 * macs) / (ms * 1e6);

/** The fastest run: a limit is not lowered by what else the machine did. */
const peakOf = ({threads, macs, rounds}: Measured): BenchPeak => ({
  threads: threads ?? null,
  gflops: gflopsOf(macs, summariseLatencies(rounds).min),
});

function rowOf(m: Measured, peaks: readonly BenchPeak[]): BenchRow {
  const latencies = summariseLatencies(m.rounds);
  const gflops = gflopsOf(m.macs, latencies.p50);
  const threads = m.threads ?? null;
  return {
    model: m.name,
    threads,
    batch: m.batch,
    ...latencies,
    imagesPerSecond: (1000 * m.batch) / latencies.p50,
    macs: m.macs / m.batch,
    gflops,
    peakShare: (100 * gflops) / peaks.find((p) => p.threads === threads)!.gflops,
    loadMs: m.process.opened.loadMs,
    peakBytes: m.peakBytes,
    baseBytes: m.process.opened.bytesBefore,
    rounds: m.rounds.map((round) => summariseLatencies([round]).p50),
  };
}

/** The first model against each other one, under the same conditions. */
function verdictsOf(rows: readonly Measured[]): BenchVerdict[] {
  const first = rows[0]?.name;
  return rows.flatMap((b) => {
    const a = rows.find((row) => row.name === first && row.threads === b.threads && row.batch === b.batch);
    if (!a || a === b) return [];
    return [{a: a.name, b: b.name, threads: b.threads ?? null, batch: b.batch, ...verdictOf(a.rounds, b.rounds)}];
  });
}
