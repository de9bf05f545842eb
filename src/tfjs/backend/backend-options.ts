/** What a user may choose of the backend, and onnxruntime in these terms. */
import {debugging, debugPath} from '../../core/debug.js';
import {GpdError} from '../../core/error.js';
import {missingFor, type ProviderName, providerUnavailable} from '../../onnx/providers.js';
import {loadSyncRuntime} from '../../onnx/sync-session.js';
import type {FloatPrecision} from '../lowering/value.js';
import {kernelTimesText} from '../runtime/kernel-times.js';
import {Runtime} from '../runtime/runtime.js';

export interface BackendOptions {
  /** Where graphs run. Default cpu. */
  provider?: Extract<ProviderName, 'cpu' | 'webgpu' | 'cuda'>;
  /** Threads of the cpu provider; default: the runtime's choice. */
  threads?: number;
  /**
   * Where steps are computed that are too small for onnxruntime to win: in TensorFlow.js's own cpu code, call by call (default), or recorded like
   * all others. Those that `jit` captures are always recorded.
   */
  smallSteps?: 'cpu' | 'recorded';
  /** Stop at the first number that is not finite, and say which kernel made it; every graph keeps its inputs for that. */
  checkNumbers?: boolean;
  /**
   * What float32 tensors are computed in and kept in between steps; default float32. float64, on the cpu alone and many times slower, tells rounding
   * from mistakes; what is read is float32 again.
   */
  precision?: FloatPrecision;
  /** Write onnxruntime's profile of every graph to files that begin so; `runtime.kernelTimes()` sums them by kernel. */
  profilePrefix?: string;
}

/** Whether small steps go to TensorFlow.js's cpu code: not where each number, kernel or result is to be onnxruntime's. */
export const computesAtOnce = (options: BackendOptions): boolean => {
  const {smallSteps = 'cpu', provider = 'cpu', checkNumbers = debugging('nan'), precision = 'float32', profilePrefix} = options;
  const looksInside = checkNumbers || profilePrefix !== undefined || debugging('kernels');
  return smallSteps === 'cpu' && provider === 'cpu' && precision === 'float32' && !looksInside;
};

/** Sessions with these options. Throws PROVIDER_UNAVAILABLE before the runtime would say less. */
export async function createRuntime(options: BackendOptions): Promise<Runtime> {
  const {provider = 'cpu', threads, checkNumbers = debugging('nan'), precision = 'float32'} = options;
  const missing = missingFor(provider);
  if (missing) throw providerUnavailable(provider, missing);
  if (precision === 'float64' && provider !== 'cpu') {
    throw new GpdError('PROVIDER_UNAVAILABLE', `the provider ${provider} does not compute in float64`, {
      hint: 'take the provider cpu',
    });
  }
  const sessionOptions = {
    executionProviders: [provider],
    logSeverityLevel: 4, // a run that fails throws
    enableMemPattern: false, // each graph's own plan of its memory costs more than it saves: 720 → 555 MB for ResNet-18
    // the runs are few, and to optimise such a graph takes longer than they do: MobileNet's step 67 s with, 28 without
    ...(precision === 'float64' && {graphOptimizationLevel: 'disabled'}),
    ...(threads !== undefined && {intraOpNumThreads: threads}),
    // threads that spin while they wait take from the one that works, where both share a core (ResNet-18's step 654 ms without, 786 with);
    // half a millisecond bridges the gaps in between small kernels (ResNet-20's step 3 % faster)
    extra: {session: {intra_op: {allow_spinning: '1', spin_duration_us: '500'}}},
  };
  const profilePrefix = options.profilePrefix ?? (debugging('kernels') ? debugPath('kernels') : undefined);
  const switches = {
    ...{checkNumbers, precision, keepsState: provider === 'webgpu', scansBlocks: provider === 'cpu'},
    ...(profilePrefix !== undefined && {profilePrefix}),
  };
  const runtime = new Runtime(await loadSyncRuntime(), sessionOptions, switches);
  if (debugging('kernels')) process.once('exit', () => printKernelTimes(runtime));
  return runtime;
}

function printKernelTimes(runtime: Runtime): void {
  for (const line of kernelTimesText(runtime.kernelTimes())) process.stderr.write(`kernels: ${line}\n`);
}
