/**
 * TensorFlow.js's own cpu code in float64: the definition of what each kernel computes, without its rounding. The kernels are plain loops over
 * JavaScript numbers, which are float64; what rounds is where they put their results, `new Float32Array(…)`. While one of them runs, that name
 * means Float64Array. They are synchronous, so that nobody else sees it.
 */
import {MathBackendCPU} from '@tensorflow/tfjs-backend-cpu';
import {
  type BackendValues,
  type DataId,
  type DataType,
  findBackend,
  getKernelsForBackend,
  type KernelFunc,
  registerBackend,
  registerKernel,
} from '@tensorflow/tfjs-core';
import {shortestDecimal} from './shortest-decimal.js';

/** Without an underscore, at which TensorFlow.js splits the names of kernels. */
export const CPU64 = 'cpu64';

class Cpu64Backend extends MathBackendCPU {
  constructor() {
    super();
    (this as unknown as {firstUse: boolean}).firstUse = false; // its advice to install another backend
  }

  /** TensorFlow.js has made float32 of a program's constants: each is again the decimal that it was. */
  override write(values: BackendValues, shape: number[], dtype: DataType): DataId {
    const isConstant = shape.length === 0 && values instanceof Single;
    return super.write(isConstant ? (Float64Array.of(shortestDecimal(values[0]!)) as never) : values, shape, dtype);
  }
}

/** What the name means outside. */
const Single = Float32Array;

const inDoubles =
  (kernel: KernelFunc): KernelFunc =>
  (call) => {
    const global = globalThis as {Float32Array: unknown};
    const before = global.Float32Array;
    global.Float32Array = Float64Array;
    try {
      return kernel(call);
    } finally {
      global.Float32Array = before; // a kernel calls others
    }
  };

/** Makes it known to TensorFlow.js, under the name `cpu64`. What is read from it is float32. */
export function registerCpu64Backend(): void {
  if (findBackend(CPU64)) return;
  for (const config of getKernelsForBackend('cpu')) {
    registerKernel({...config, backendName: CPU64, kernelFunc: inDoubles(config.kernelFunc)});
  }
  registerBackend(CPU64, () => new Cpu64Backend(), 0);
}
