/** Making the backend known to TensorFlow.js: every kernel of its cpu backend, under our name, lowered where the table has an entry. */
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-layers'; // for Node, TensorFlow.js registers its gradients here and nowhere else
import {
  getKernelsForBackend,
  type KernelConfig,
  type KernelFunc,
  type NamedTensorInfoMap,
  registerBackend,
  registerKernel,
  setBackend,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import {loadSyncRuntime} from '../onnx/sync-session.js';
import {BACKEND_NAME, OnnxruntimeBackend} from './backend.js';
import type {KernelEntry} from './kernel-entry.js';
import {kernels} from './kernels/index.js';
import {Runtime} from './runtime.js';
import type {LazyDType, TypedShape} from './value.js';

export interface BackendOptions {
  /** Where graphs run. Default cpu. */
  provider?: 'cpu' | 'webgpu' | 'cuda';
  /** Threads of the cpu provider; default: the runtime's choice. */
  threads?: number;
}

const isComputed = (t: TensorInfo) => t.dtype === 'float32' || t.dtype === 'int32' || t.dtype === 'bool';

function lowered(name: string, entry: KernelEntry, fallback: KernelFunc): KernelFunc {
  return (params) => {
    const named = params.inputs as NamedTensorInfoMap;
    const present = entry.inputs.length > 0 ? entry.inputs.flatMap((n) => named[n] ?? []) : Object.values(named);
    const infos = present as TensorInfo[];
    const backend = params.backend as OnnxruntimeBackend;
    const attrs = params.attrs ?? {};
    const types = infos.map(({dtype, shape}): TypedShape => ({dtype: dtype as LazyDType, shape}));
    const reason = infos.every(isComputed) ? entry.refuses?.(types, attrs) : `${infos.map((t) => t.dtype)} tensors`;
    if (reason !== undefined) {
      backend.noteFallback(name, reason);
      return fallback(params);
    }
    const results = backend.defer(name, entry, infos, attrs);
    return entry.list ? results : results[0]!;
  };
}

function configOf(config: KernelConfig): KernelConfig {
  const entry = kernels.get(config.kernelName);
  const kernelFunc: KernelFunc = entry
    ? lowered(config.kernelName, entry, config.kernelFunc)
    : (params) => {
        (params.backend as OnnxruntimeBackend).noteFallback(config.kernelName, 'no lowering');
        return config.kernelFunc(params);
      };
  return {...config, backendName: BACKEND_NAME, kernelFunc};
}

let registered = false;

/** Makes `onnxruntime` the current TensorFlow.js backend. */
export async function registerOnnxruntimeBackend({
  provider = 'cpu',
  threads,
}: BackendOptions = {}): Promise<OnnxruntimeBackend> {
  const native = await loadSyncRuntime();
  const options = {
    executionProviders: [provider],
    enableMemPattern: false, // each graph's own plan of its memory costs more than it saves: 720 → 555 MB for ResNet-18
    ...(threads !== undefined && {intraOpNumThreads: threads}),
  };
  const backend = new OnnxruntimeBackend(new Runtime(native, options));
  if (!registered) for (const config of getKernelsForBackend('cpu')) registerKernel(configOf(config));
  registered = true;
  registerBackend(BACKEND_NAME, () => backend, 0);
  await setBackend(BACKEND_NAME);
  return backend;
}
