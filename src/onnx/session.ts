/**
 * The one owner of onnxruntime-node: sessions over a model's bytes or file, tensors in and out. The library is loaded when the
 * first session is made. Inputs are not copied: the runtime reads the arrays that it is given.
 */
import type {InferenceSession} from 'onnxruntime-node';
import {engineCall} from '../core/engine-calls.js';
import {GpdError} from '../core/error.js';
import {type DataOf, type DType, type Tensor, tensor} from '../core/tensor.js';
import {missingFor, type ProviderName, providerUnavailable} from './providers.js';
import {refuseTelemetry} from './runtime-environment.js';

export interface SessionOptions {
  /** The user's file that the model is, or was made of: what errors name. Undefined: the model was made here. */
  file?: string | undefined;
  /** Default: the runtime's own choice, one a physical core. */
  threads?: number | undefined;
  /** What the runtime may do to the graph; 'disabled' runs the nodes as they are. */
  optimize?: 'disabled' | 'basic' | 'extended' | 'all';
  /** Where to write the graph as the runtime optimised it. */
  optimizedModelPath?: string;
  /** As what. Default: ONNX. */
  optimizedModelFormat?: 'onnx' | 'ort';
  /** Keep freed memory for later runs (default), or give it back: slower, but the peak is what one run needs. */
  arena?: boolean;
  /** Threads wait for work in a loop: a little faster for one session alone, slower beside any other thread. Default false. */
  spin?: boolean;
  /** Default cpu. Nodes that another provider cannot run are run by the CPU, unless `strict`. */
  provider?: ProviderName;
  /** Which device of its kind, for cuda and dml. */
  deviceId?: number | undefined;
  /** Refuse the model if the provider cannot run every node. */
  strict?: boolean;
  /** Where to write a profile: the runtime appends a time and `.json`, when `endProfile` is called. */
  profilePrefix?: string;
}

export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(inputs: ReadonlyMap<string, Tensor>, outputs?: readonly string[]): Promise<Map<string, Tensor>>;
  /** Writes the profile, where one was asked for. */
  endProfile(): void;
  close(): Promise<void>;
}

type Ort = typeof import('onnxruntime-node');
let loaded: Promise<Ort> | undefined;

async function load(): Promise<Ort> {
  refuseTelemetry();
  const module = await import('onnxruntime-node');
  const ort = ((module as {default?: Ort}).default ?? module) as Ort;
  // Before the first session. What the runtime logs goes straight to the terminal, with names from the file as they are: its errors carry the
  // same words, and are printed by us.
  ort.env.logLevel = 'fatal';
  return ort;
}
const runtime = () => (loaded ??= load());

/** Starts loading the library, for callers that know they will need it and have other work to do meanwhile. */
export const preloadRuntime = async (): Promise<void> => void (await runtime());

/** What to do next about a model of the user's; one that was made here should have run. */
const hints = {
  'refused the model':
    'see its nodes with gpd inspect --text; onnx.checker says whether it is valid, and another opset of its exporter may avoid the node',
  'failed while running the model':
    'look at the node with gpd inspect --text: it may not fit what it is given, or take other batches or sizes of images than the model says',
};
const OUR_FAULT = 'the model was made by this program, which is a bug: please report it with the command';

function failed(what: keyof typeof hints, {file}: SessionOptions, error: unknown): GpdError {
  const message = `onnxruntime ${what}: ${(error as Error).message}`;
  return new GpdError('ENGINE_FAILED', file === undefined ? message : `${file}: ${message}`, {
    ...(file !== undefined && {at: file}),
    hint: file === undefined ? OUR_FAULT : hints[what],
    cause: error,
  });
}

/** Options in the runtime's words. */
export function runtimeOptions(options: SessionOptions): InferenceSession.SessionOptions {
  const {threads, optimize = 'all', optimizedModelPath, optimizedModelFormat = 'onnx', arena = true, spin = false} = options;
  const {provider = 'cpu', deviceId, strict = false, profilePrefix} = options;
  return {
    executionProviders: [deviceId === undefined ? provider : {name: provider, deviceId}],
    graphOptimizationLevel: optimize,
    enableCpuMemArena: arena,
    enableMemPattern: arena,
    extra: {
      session: {
        intra_op: {allow_spinning: spin ? '1' : '0'},
        ...(strict && {disable_cpu_ep_fallback: '1'}),
        ...(optimizedModelFormat === 'ort' && {save_model_format: 'ORT'}),
      },
    },
    ...(threads !== undefined && {intraOpNumThreads: threads}),
    ...(optimizedModelPath !== undefined && {optimizedModelFilePath: optimizedModelPath}),
    ...(profilePrefix !== undefined && {enableProfiling: true, profileFilePrefix: profilePrefix}),
  };
}

async function create(ort: Ort, model: Uint8Array | string, options: SessionOptions): Promise<InferenceSession> {
  const {provider = 'cpu'} = options;
  const missing = missingFor(provider);
  if (missing) throw providerUnavailable(provider, missing);
  try {
    const sessionOptions = runtimeOptions(options);
    return await (typeof model === 'string'
      ? ort.InferenceSession.create(model, sessionOptions)
      : ort.InferenceSession.create(model, sessionOptions));
  } catch (error) {
    const {message} = error as Error;
    if (provider !== 'cpu' && PROVIDER_FAILURE.test(message)) throw providerUnavailable(provider, firstLine(message), error);
    throw failed('refused the model', options, error);
  }
}

/** No library, no device, or a node that is left to the CPU under `strict`: what onnxruntime 1.30 says of each. */
const PROVIDER_FAILURE =
  /shared library|backend not found|adapter|no CUDA-capable device|CUDA failure|CUDNN|fallback to CPU EP/i;
const firstLine = (message: string): string =>
  message.replace(/^.*?(?=Failed to |CUDA failure|CUDNN|This session )/s, '').split('\n')[0]!;

/** WebGPU sessions that run at the same time crash on Linux (microsoft/onnxruntime#32561): each run waits for the one before. */
let webgpuIdle: Promise<unknown> = Promise.resolve();
function inTurn<T>(provider: ProviderName | undefined, work: () => Promise<T>): Promise<T> {
  if (provider !== 'webgpu') return work();
  const done = webgpuIdle.then(work);
  webgpuIdle = done.catch(() => {});
  return done;
}

/** onnxruntime-node passes values as members of plain objects: see `plain-names.ts`. */
const isMemberName = (name: string): boolean => name in {};

export async function openSession(model: Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
  const ort = await runtime();
  const start = (bytes: Uint8Array | string) => engineCall(() => inTurn(options.provider, () => create(ort, bytes, options)));
  let session = await start(model);
  const {inputNames, outputNames} = session;
  let aliases: ReadonlyMap<string, string> = new Map();
  if ([...inputNames, ...outputNames].some(isMemberName)) {
    await session.release();
    const plain = (await import('./plain-names.js')).withPlainNames(model);
    aliases = plain.aliases;
    session = await start(plain.bytes);
  }
  const own = (name: string) => aliases.get(name) ?? name;
  return {
    inputNames,
    outputNames,
    async run(inputs, outputs = outputNames) {
      const feeds: Record<string, InstanceType<Ort['Tensor']>> = {};
      for (const [name, t] of inputs) feeds[own(name)] = new ort.Tensor(t.dtype as 'float32', t.data as Float32Array, t.shape);
      try {
        const results = await engineCall(() => inTurn(options.provider, () => session.run(feeds, outputs.map(own))));
        return new Map(outputs.map((name) => [name, fromOrt(results[own(name)]!)]));
      } catch (error) {
        throw failed('failed while running the model', options, error);
      }
    },
    endProfile: () => session.endProfiling(),
    close: () => session.release(),
  };
}

function fromOrt(t: InferenceSession.OnnxValueMapType[string]): Tensor {
  const dtype = t.type as DType;
  return tensor(dtype, t.dims, t.data as DataOf<DType>);
}
