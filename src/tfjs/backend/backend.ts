/**
 * The TensorFlow.js backend `onnxruntime`: kernels record, a read or a full recording computes.
 *
 * It extends TensorFlow.js's own cpu backend for one reason: a kernel without a lowering runs there. Its kernels read `values` of
 * an entry of `data`; here that is a getter that computes what is pending first. So the whole API works from the first day,
 * and the table of lowerings only makes it fast.
 */
import {MathBackendCPU} from '@tensorflow/tfjs-backend-cpu';
import type {BackendValues, DataId, DataType, Tensor, TensorInfo} from '@tensorflow/tfjs-core';
import {trace} from '../../core/debug.js';
import {GpdError} from '../../core/error.js';
import {dtypes} from '../../core/tensor.js';
import {callText, typeText} from '../lowering/describe.js';
import type {KernelEntry} from '../lowering/kernel-entry.js';
import {type LazyData, type LazyDType, LazyValue, type TypedShape, toPlain} from '../lowering/value.js';
import type {Runtime} from '../runtime/runtime.js';
import {MemoryPool} from '../runtime/step-memory.js';
import {Pace} from './pace.js';
import {record} from './record.js';
import {shortestDecimal} from './shortest-decimal.js';
import {StepEnds, type StepMark} from './step-ends.js';
import {workOf} from './work.js';

/** Names with an underscore find no kernels: TensorFlow.js splits registry keys at the first one. */
export const BACKEND_NAME = 'onnxruntime';
/** A loop that neither reads nor assigns must not record forever: more than a step of most networks, and compiled in about a second. */
const MAX_PENDING_CALLS = 5_000;
/** Kernels whose cpu code moves or compares integers: every one of them is right, where its sums and products go through float32 or wrap. */
const MOVES_INTEGERS: ReadonlySet<string> = new Set(
  'ArgMax ArgMin Cast Concat Equal GatherNd GatherV2 Greater GreaterEqual Less LessEqual NotEqual OneHot Pack PadV2 Reverse Select Slice SplitV StridedSlice Tile Transpose Unpack UnsortedSegmentSum'.split(
    ' ',
  ),
);

/** What `data` holds for one dataId: numbers of any TensorFlow.js type, or a lazy value. */
export interface TensorEntry extends StepMark {
  dtype: DataType;
  refCount: number;
  complexTensorInfos?: {real: TensorInfo; imag: TensorInfo};
  values: BackendValues | undefined;
  lazy?: LazyValue;
}

/** Who wants to know of handles: the leak check. */
export interface HandleObserver {
  made(dataId: DataId, what: {madeBy: string; dtype: DataType; shape: readonly number[]}): void;
  disposed(dataId: DataId): void;
}

const isLazyType = (dtype: DataType): dtype is LazyDType => dtype === 'float32' || dtype === 'int32' || dtype === 'bool';

export class OnnxruntimeBackend extends MathBackendCPU {
  private readonly live = new Set<LazyValue>();
  private pendingCalls = 0;
  private readonly fallbacks = new Set<string>();
  observer: HandleObserver | undefined;
  /** Of captured steps. */
  readonly pool: MemoryPool;
  /** While a step is recorded: its arguments and variables, whose numbers are those of this one call. */
  private captured: ReadonlySet<LazyValue> | undefined;
  private wholeInputs = false;
  /** The call that TensorFlow.js's cpu code is computing, for messages. */
  private onCpu: string | undefined;

  private readonly pace = new Pace();
  readonly steps = new StepEnds();
  private isWhole = false;
  /** The kernel that is computed at once. */
  private computing: string | undefined;

  /** `computesSmall`: steps that are too small for onnxruntime to win run in TensorFlow.js's cpu code. */
  constructor(
    readonly runtime: Runtime,
    private readonly computesSmall = false,
  ) {
    super();
    this.pool = new MemoryPool(runtime.precision);
    (this as unknown as {firstUse: boolean}).firstUse = false; // its advice to install another backend
  }

  override write(values: BackendValues, shape: number[], dtype: DataType): DataId {
    const dataId = {id: (this as unknown as {nextDataId(): number}).nextDataId()};
    this.data.set(dataId, {values, dtype, refCount: 1, step: this.steps.step} as never);
    this.observer?.made(dataId, {madeBy: this.computing ?? 'tensor()', dtype, shape});
    return dataId;
  }

  /** Before each kernel: ends the step where this one begins another. A captured step is one graph. */
  use(inputs: object): void {
    if (!this.steps.isEnd(inputs, ({dataId}) => this.entryOf(dataId)) || this.captured || this.isWhole) return;
    this.steps.next();
    this.pace.endStep();
    this.barrier();
  }

  /** Whether a call is computed now, in TensorFlow.js's cpu code: its numbers are there, and it is small where steps are. */
  isAtOnce(kernel: string, entry: KernelEntry, infos: readonly TensorInfo[], attrs: object): boolean {
    if (!this.computesSmall || this.captured || this.isWhole) return false;
    const work = workOf(
      kernel,
      infos.map(({shape}) => shape),
      attrs,
    );
    if (!this.pace.isAtOnce(work)) return false;
    return infos.every(({dataId, dtype}, i) => {
      const {lazy} = this.entryOf(dataId);
      return !lazy?.producer && (dtype !== 'int32' || MOVES_INTEGERS.has(kernel)) && !(lazy && i === 0 && entry.part);
    });
  }
  /** Runs it there. */
  atOnce<T>(kernel: string, run: () => T): T {
    const outer = this.computing;
    this.computing = kernel;
    try {
      return run();
    } finally {
      this.computing = outer;
    }
  }

  /** The value behind a handle, in the shape and type that the handle has: tensors that were reshaped or cast share their data. */
  lazy({dataId, shape, dtype}: TensorInfo): LazyValue {
    const entry = this.entryOf(dataId);
    if (!entry.lazy) this.adopt(entry, shape);
    return record.cast(record.reshape(entry.lazy!, shape), dtype as LazyDType);
  }

  /** Records a call and gives handles for its results, or says why it must run on TensorFlow.js's cpu code. */
  defer(kernel: string, entry: KernelEntry, infos: readonly TensorInfo[], attrs: object): TensorInfo[] | string {
    const foreign = infos.find((t) => !isLazyType(t.dtype));
    if (foreign) return `${foreign.dtype} tensors`;
    const inputs = infos.map((t) => this.lazy(t));
    const reason = entry.refuses?.(inputs, attrs);
    if (reason !== undefined) return reason;
    const types = entry.infer(inputs, attrs);
    if ([...inputs, ...types].some((t) => t.shape.includes(0))) return 'empty tensors';
    const part = this.partOf(inputs, entry.part?.(inputs, attrs), types[0]!);
    if (part) return [this.handle(part)];
    const call = record.call(kernel, entry, inputs, attrs, types);
    if (++this.pendingCalls >= MAX_PENDING_CALLS && !this.captured) this.barrier();
    return call.outputs.map((v) => this.handle(v));
  }

  /** A result that is there already, as a part of the first input. */
  private partOf([x]: readonly LazyValue[], offset: number | undefined, {shape}: TypedShape): LazyValue | undefined {
    const isUnknown = offset === undefined || this.wholeInputs || this.runtime.keepsState;
    return isUnknown ? undefined : record.part(x!, offset, shape);
  }

  /**
   * Computes everything that is pending and still referred to. What took part in a run that failed is from then on computed only
   * when it is read itself, so that one impossible value does not stand in the way of the others.
   */
  barrier(): void {
    const wanted = [...this.live];
    this.live.clear();
    this.pendingCalls = 0;
    this.runtime.realize(wanted, this.computesSmall && !this.isWhole);
  }

  /** Runs what is captured next: it is recorded whole, and its results lie as a captured step leaves them. */
  whole<T>(body: () => T): T {
    this.barrier();
    this.isWhole = true;
    try {
      const result = body();
      if (this.computesSmall) this.barrier();
      return result;
    } finally {
      this.isWhole = false;
    }
  }

  /** The numbers are the caller's own: later steps must not see what it does with them. */
  override readSync(dataId: DataId): BackendValues {
    const values = super.readSync(dataId);
    if (this.computing || this.onCpu) return values; // a kernel reads
    this.pace.endStep();
    const {lazy} = this.entryOf(dataId);
    return lazy && values !== lazy.data ? values : copyOf(values);
  }

  override disposeData(dataId: DataId, force = false): boolean {
    const lazy = this.data.has(dataId) ? this.entryOf(dataId).lazy : undefined;
    const gone = super.disposeData(dataId, force);
    if (gone && lazy && letGo(lazy) === 0) this.live.delete(lazy);
    if (gone) this.observer?.disposed(dataId);
    return gone;
  }

  /** Disposes of tensors whose numbers nobody needs any more: later captured steps write there. */
  recycle(tensors: readonly Tensor[]): void {
    this.barrier(); // what is pending may read them
    for (const tensor of tensors) {
      const {lazy} = this.entryOf(tensor.dataId);
      tensor.dispose();
      if (lazy) this.pool.give(lazy);
    }
  }

  /** Runs a kernel in TensorFlow.js's cpu code, and says so once. */
  fallBack<T>(kernel: string, inputs: readonly TensorInfo[], reason: string, run: () => T): T {
    const note = `${kernel}: ${reason}`;
    if (!this.fallbacks.has(note)) trace('lazy', () => `fallback to TensorFlow.js cpu: ${note}`);
    this.fallbacks.add(note);
    const outer = this.onCpu;
    this.onCpu = `${kernel}(${inputs.map((t) => typeText(t)).join(', ')}) runs in TensorFlow.js's cpu code (${reason})`;
    try {
      return run();
    } finally {
      this.onCpu = outer;
    }
  }
  /**
   * Runs the body of a step that is recorded: the numbers of its inputs, and what is computed from them, cannot be read meanwhile. With
   * `wholeInputs` slices of them are computed, and not other inputs on the same memory.
   */
  capture<T>(inputs: readonly LazyValue[], body: () => T, wholeInputs = false): T {
    this.captured = new Set(inputs.map((v) => v.origin ?? v));
    this.wholeInputs = wholeInputs;
    try {
      return body();
    } finally {
      this.captured = undefined;
      this.wholeInputs = false;
    }
  }
  get fallbackNotes(): readonly string[] {
    return [...this.fallbacks];
  }

  override dispose(): void {
    this.runtime.close();
  }

  /** Gives a handle that nothing shares other numbers: how a captured step updates a variable. */
  replace(dataId: DataId, value: LazyValue): void {
    const entry = this.entryOf(dataId);
    const replaced = this.withLazyValues({
      dtype: value.dtype,
      refCount: entry.refCount,
      values: undefined,
      lazy: value,
      step: this.steps.step,
    });
    const {lazy} = entry;
    if (lazy && letGo(lazy) === 0) {
      this.live.delete(lazy);
      lazy.resident?.release();
    }
    hold(value);
    this.data.delete(dataId); // setting it again would count it twice
    this.data.set(dataId, replaced as never);
  }

  handle(value: LazyValue): TensorInfo {
    const dataId = {id: (this as unknown as {nextDataId(): number}).nextDataId()};
    const entry: TensorEntry = {dtype: value.dtype, refCount: 1, values: undefined, lazy: value, step: this.steps.step};
    this.data.set(dataId, this.withLazyValues(entry) as never);
    hold(value);
    if (value.producer) this.live.add(value);
    this.observer?.made(dataId, {madeBy: value.producer?.kernel ?? 'jit', dtype: value.dtype, shape: value.shape});
    return {dataId, shape: [...value.shape], dtype: value.dtype};
  }

  private entryOf(dataId: DataId): TensorEntry {
    return this.data.get(dataId) as unknown as TensorEntry;
  }

  /**
   * Numbers from outside take part in a recording from now on. They are copied: the recording is computed later, and the program
   * may reuse its array before that.
   */
  private adopt(entry: TensorEntry, shape: readonly number[]): void {
    const value = new LazyValue(entry.dtype as LazyDType, [...shape]);
    value.data = this.numbersOf(value, entry.values as ArrayLike<number>);
    value.ownsNumbers = true;
    value.handles = 1;
    entry.lazy = value;
    this.withLazyValues(entry);
  }

  /** A copy. TensorFlow.js has made float32 of a program's constants: in float64 each is again the decimal that it was. */
  private numbersOf({dtype, shape}: TypedShape, values: ArrayLike<number>): LazyData {
    if (dtype !== 'float32' || this.runtime.precision === 'float32') return new dtypes[dtype].array(values);
    return shape.length === 0 ? Float64Array.of(shortestDecimal(values[0]!)) : Float64Array.from(values);
  }

  /** `values` becomes a getter that computes first. */
  private withLazyValues(entry: TensorEntry): TensorEntry {
    return Object.defineProperty(entry, 'values', {
      get: () => {
        this.compute(entry.lazy!);
        if (this.computing || this.onCpu) entry.lazy!.ownsNumbers = false; // a result there may lie in the same array
        return plainData(entry.lazy!);
      },
      set: (values: LazyData) => {
        const replaced = new LazyValue(entry.lazy!.dtype, entry.lazy!.shape);
        replaced.data = values;
        replaced.handles = 1;
        entry.lazy = replaced;
      },
    });
  }

  private readInCapture(value: LazyValue): GpdError {
    const {producer} = value;
    const what = producer ? `of ${callText(producer)}` : `of an argument or variable, ${typeText(value)},`;
    const who = this.onCpu ? `${this.onCpu} and reads the numbers ${what}` : `the numbers ${what} are read`;
    return new GpdError('ENGINE_FAILED', `jit: ${who} while the step is recorded; a replay would not read them again`, {
      ...(producer && {at: producer.kernel}),
      hint: this.onCpu
        ? 'compute it outside the step and give it as an argument, or write it with other operations'
        : 'return the tensor and read it after the step',
    });
  }

  private compute(value: LazyValue): void {
    if (this.captured && (value.producer || this.captured.has(value.origin ?? value))) throw this.readInCapture(value);
    if (!value.producer) return;
    try {
      if (this.live.has(value)) this.barrier();
    } catch {
      // another value was impossible; if it is this one, the same error comes again
    }
    this.runtime.realize([value]);
  }
}

/** One handle more, or less, on a value. Whoever has a part of one has the whole: nothing may be written there meanwhile. */
function hold(value: LazyValue): void {
  value.handles++;
  if (value.origin) value.origin.handles++;
}
function letGo(value: LazyValue): number {
  if (value.origin) value.origin.handles--;
  return --value.handles;
}

const copyOf = (values: BackendValues): BackendValues => (ArrayBuffer.isView(values) ? values.slice() : values);

/** The numbers in TensorFlow.js's order. The value keeps its own: a step that finds it otherwise would be compiled again. */
const plainData = (v: LazyValue): LazyData => {
  const data = v.layout ? toPlain(v.data!, v.shape, v.layout) : v.data!;
  return data instanceof Float64Array ? Float32Array.from(data) : data;
};
