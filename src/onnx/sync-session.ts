/**
 * Sessions that are made and run without waiting. onnxruntime-node's public API wraps a synchronous binding in promises; who must
 * answer at once (TensorFlow.js's `dataSync`) needs the binding itself. `openSession` is for everyone else.
 */
import {GpdError} from '../core/error.js';
import {type DataOf, type DType, float32, type Tensor, tensor} from '../core/tensor.js';
import {modelBytes} from './encode.js';
import {Graph} from './graph.js';
import {isResident, type ResidentTensor} from './resident.js';
import {refuseTelemetry} from './runtime-environment.js';

/** The part of onnxruntime-node/dist/binding.d.ts that is used. It is not public: a test holds it to the installed version. */
interface NativeSession {
  loadModel(buffer: ArrayBuffer, byteOffset: number, byteLength: number, options: object): void;
  run(
    feeds: Record<string, unknown>,
    fetches: Record<string, NativeTensor | null>,
    options: object,
  ): Record<string, NativeTensor>;
  endProfiling(): void;
  dispose(): void;
}
interface NativeTensor {
  type: string;
  dims: readonly number[];
  data: DataOf<DType>;
  location: string;
  dispose(): void;
}
interface Binding {
  binding: {InferenceSession: new () => NativeSession};
  initOrt(): void;
}
interface Common {
  env: {logLevel?: string};
  Tensor: new (type: string, data: unknown, dims: readonly number[]) => NativeTensor;
}

export interface SyncSession {
  /**
   * Outputs that `into` names are written there, and given back; the others get memory of their own. Those for which the option
   * `preferredOutputLocation` says 'gpu-buffer' (WebGPU alone) are `ResidentTensor`s.
   */
  run(inputs: ReadonlyMap<string, Tensor>, outputs: readonly string[], into?: ReadonlyMap<string, Tensor>): Map<string, Tensor>;
  /** Writes results where `into` says, and copies nothing. Of a graph that went through `withoutCopies`. */
  runInto(inputs: ReadonlyMap<string, Tensor>, into: ReadonlyMap<string, Tensor>): void;
  /** Writes the profile, where one was asked for. Later runs are not in it. */
  endProfile(): void;
  close(): void;
}
export interface SyncRuntime {
  /** `options` as onnxruntime names them. */
  open(model: Uint8Array, options?: object): SyncSession;
}

/**
 * onnxruntime-node makes an array of every result, even of those that it has written into memory of ours: 94 MB in each training step of
 * ResNet-18, which take 12 ms to copy and as long again to collect. It goes through the results in order once everything is computed, and
 * gives up at the first whose type JavaScript has no array for. So such a result stands in front.
 */
export function withoutCopies(graph: Graph): void {
  const number = graph.initializer(`${NO_COPY}.number`, float32([], [0]));
  graph.outputs = [graph.op('Cast', [number], {to: BFLOAT16}, {name: NO_COPY}), ...graph.outputs];
}
const NO_COPY = 'no_copy';
const BFLOAT16 = 16;
const GIVES_UP = `Tensor type (${BFLOAT16}) is not supported.`; // js/node/src/tensor_helper.cc

let loaded: SyncRuntime | undefined;

/** Loads the library once. */
export async function loadSyncRuntime(): Promise<SyncRuntime> {
  if (loaded) return loaded;
  refuseTelemetry();
  const ort = unwrap<Common>(await import('onnxruntime-node'));
  const bindingModule = 'onnxruntime-node/dist/binding.js'; // no types: not a public entry
  const native = unwrap<Binding>(await import(bindingModule));
  ort.env.logLevel = 'fatal'; // as in session.ts
  native.initOrt();
  loaded = {open: (model, options = {}) => open(native.binding.InferenceSession, ort.Tensor, model, options)};
  return loaded;
}

/** CommonJS under an ES import has its exports under `default`. */
const unwrap = <T>(module: unknown): T => ((module as {default?: T}).default ?? module) as T;

function open(
  Session: new () => NativeSession,
  NativeTensorClass: Common['Tensor'],
  model: Uint8Array,
  options: object,
): SyncSession {
  const session = new Session();
  try {
    session.loadModel(model.buffer as ArrayBuffer, model.byteOffset, model.byteLength, options);
  } catch (error) {
    throw new GpdError('ENGINE_FAILED', `onnxruntime refused the model: ${(error as Error).message}`, {cause: error});
  }
  let profiling = 'enableProfiling' in options;
  const endProfile = () => {
    if (profiling) session.endProfiling();
    profiling = false;
  };
  const native = (t: Tensor) => (isResident(t) ? (t.native as NativeTensor) : new NativeTensorClass(t.dtype, t.data, t.shape));
  const all = (tensors: ReadonlyMap<string, Tensor>) => Object.fromEntries([...tensors].map(([name, t]) => [name, native(t)]));
  return {
    run(inputs, outputs, into) {
      const fetches = Object.fromEntries(outputs.map((name) => [name, into?.has(name) ? native(into.get(name)!) : null]));
      const results = session.run(all(inputs), fetches, {});
      return new Map(outputs.map((name) => [name, into?.get(name) ?? fromNative(Session, results[name]!)]));
    },
    runInto(inputs, into) {
      try {
        session.run(all(inputs), {[NO_COPY]: null, ...all(into)}, {});
      } catch (error) {
        if ((error as Error).message !== GIVES_UP) throw error;
      }
    },
    endProfile,
    close() {
      endProfile();
      session.dispose();
    },
  };
}

function fromNative(Session: new () => NativeSession, t: NativeTensor): Tensor {
  return t.location === 'gpu-buffer' ? resident(Session, t) : tensor(t.type as DType, t.dims, t.data);
}

function resident(Session: new () => NativeSession, native: NativeTensor): ResidentTensor {
  let data: DataOf<DType> | undefined;
  return {
    dtype: native.type as DType,
    shape: native.dims,
    native,
    get data() {
      data ??= readBack(Session, native);
      return data;
    },
    release: () => native.dispose(),
  };
}

/** One for each dtype and rank. */
const readers = new Map<string, NativeSession>();

/** The tensor's own getData() ends the process in onnxruntime-node 1.30: a session that computes nothing brings the numbers to the host. */
function readBack(Session: new () => NativeSession, native: NativeTensor): DataOf<DType> {
  const {type, dims} = native;
  const key = `${type} ${dims.length}`;
  const reader = readers.get(key) ?? openReader(new Session(), type as DType, dims.length);
  readers.set(key, reader);
  return reader.run({resident: native}, {host: null}, {})['host']!.data;
}

function openReader(session: NativeSession, dtype: DType, rank: number): NativeSession {
  const graph = new Graph('read_back');
  const dims = Array.from({length: rank}, (_, i) => `d${i}`);
  graph.outputs = [graph.op('Identity', [graph.input('resident', dtype, dims)], {}, {name: 'host'})];
  const producer = {name: 'gpd', version: ''};
  const bytes = modelBytes({graph, opset: 20, irVersion: 9, domains: new Map(), producer, metadata: new Map()});
  session.loadModel(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength, {
    executionProviders: ['webgpu'],
    logSeverityLevel: 4,
  });
  return session;
}
