/** Making the backend known to TensorFlow.js: every kernel of its cpu backend, under our name, lowered where the table has an entry. */
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-layers'; // for Node, TensorFlow.js registers its gradients here and nowhere else
import {
  findBackend,
  getGradient,
  getKernelsForBackend,
  type KernelConfig,
  type KernelFunc,
  type NamedTensorInfoMap,
  registerBackend,
  registerKernel,
  setBackend,
  type Tensor,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import {GpdError} from '../../core/error.js';
import {hostKernels, kernels, viewKernels} from '../kernels/index.js';
import {type KernelEntry, SHARES_DATA} from '../lowering/kernel-entry.js';
import {BACKEND_NAME, OnnxruntimeBackend} from './backend.js';
import {type BackendOptions, computesAtOnce, createRuntime} from './backend-options.js';
import {registerGradients} from './gradients.js';
import {onUpdate} from './step-ends.js';

/** The inputs of a call in the order of the entry, and the attributes with the names of those that are there. */
function argumentsOf(entry: KernelEntry, {inputs, attrs = {}}: Call): {infos: TensorInfo[]; attributes: object} {
  const named = inputs as NamedTensorInfoMap;
  if (entry.inputs.length === 0) return {infos: Object.values(named) as TensorInfo[], attributes: attrs};
  const given = entry.inputs.filter((name) => named[name]);
  return {infos: given.map((name) => named[name] as TensorInfo), attributes: entry.optional ? {...attrs, given} : attrs};
}
type Call = Pick<Parameters<KernelFunc>[0], 'inputs' | 'attrs'>;

/** TensorFlow.js itself fails inside, on data that it no longer knows; a disposed handle on data that another one keeps is fine. */
function refuseDisposed(kernel: string, inputs: Call['inputs'], backend: OnnxruntimeBackend): void {
  for (const [name, input] of Object.entries(inputs)) {
    const {isDisposed, dataId, dtype, shape} = (input ?? {}) as Tensor;
    if (!isDisposed || backend.refCount(dataId) > 0) continue;
    throw new Error(
      `${kernel}: its input '${name}', ${dtype}[${shape}], is disposed. Return it from tidy(), or keep() it as long as it is used`,
    );
  }
}

function lowered(name: string, entry: KernelEntry, fallback: KernelFunc): KernelFunc {
  return (params) => {
    const backend = params.backend as OnnxruntimeBackend;
    refuseDisposed(name, params.inputs, backend);
    backend.use(params.inputs);
    const {infos, attributes} = argumentsOf(entry, params);
    if (backend.isAtOnce(name, entry, infos, attributes)) return backend.atOnce(name, () => fallback(params));
    const results = backend.defer(name, entry, infos, attributes);
    if (results === SHARES_DATA) return fallback(params);
    if (typeof results === 'string') return backend.fallBack(name, infos, results, () => fallback(params));
    return entry.list ? results : results[0]!;
  };
}

function onCpu(name: string, kernelFunc: KernelFunc): KernelFunc {
  if (hostKernels.has(name)) return kernelFunc;
  if (viewKernels.has(name))
    return (params) => {
      (params.backend as OnnxruntimeBackend).use(params.inputs);
      return kernelFunc(params);
    };
  return (params) => {
    const backend = params.backend as OnnxruntimeBackend;
    refuseDisposed(name, params.inputs, backend);
    backend.use(params.inputs);
    const infos = Object.values(params.inputs)
      .flat()
      .filter((t) => t) as TensorInfo[];
    return backend.fallBack(name, infos, 'no lowering', () => kernelFunc(params));
  };
}

function configOf({kernelName, kernelFunc, ...config}: KernelConfig): KernelConfig {
  const entry = kernels.get(kernelName);
  const ours = entry ? lowered(kernelName, entry, kernelFunc) : onCpu(kernelName, kernelFunc);
  return {...config, kernelName, backendName: BACKEND_NAME, kernelFunc: ours};
}

/**
 * `@tensorflow/tfjs-core` alone knows no gradients, and its own module that registers them cannot be loaded by Node (imports
 * without extensions). tfjs-layers brings them along.
 */
async function loadGradients(): Promise<void> {
  if (getGradient('Relu')) return;
  try {
    await import('@tensorflow/tfjs-layers');
  } catch (cause) {
    throw new GpdError('ENGINE_FAILED', 'TensorFlow.js has no gradients yet', {
      hint: 'install @tensorflow/tfjs-layers, or import @tensorflow/tfjs before',
      cause,
    });
  }
}

/** The kernels are registered once, for whichever backend has the name. */
let hasKernels = false;
let current: {backend: OnnxruntimeBackend; options: string} | undefined;

/** The backend that has been registered, if it is there still and was made with the same options. */
function registered(options: string): OnnxruntimeBackend | undefined {
  if (!current || findBackend(BACKEND_NAME) !== current.backend) return undefined;
  if (current.options === options) return current.backend;
  throw new GpdError('ENGINE_FAILED', `the backend '${BACKEND_NAME}' is registered with other options: ${current.options}`, {
    hint: `tf.removeBackend('${BACKEND_NAME}') first, which disposes of its tensors`,
  });
}

/** Makes `onnxruntime` the current TensorFlow.js backend. */
export async function registerOnnxruntimeBackend(options: BackendOptions = {}): Promise<OnnxruntimeBackend> {
  const text = JSON.stringify(options);
  const known = registered(text);
  if (!known) await register(new OnnxruntimeBackend(await createRuntime(options), computesAtOnce(options)), text);
  await setBackend(BACKEND_NAME);
  return current!.backend;
}

async function register(backend: OnnxruntimeBackend, options: string): Promise<void> {
  await loadGradients();
  if (!hasKernels) {
    for (const config of getKernelsForBackend('cpu')) registerKernel(configOf(config));
    registerGradients();
    onUpdate((backend) => backend instanceof OnnxruntimeBackend && backend.steps.updated());
  }
  hasKernels = true;
  registerBackend(BACKEND_NAME, () => backend, 0);
  current = {backend, options};
}
