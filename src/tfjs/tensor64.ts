/** Numbers for a backend that computes in float64, where TensorFlow.js itself has float32 alone. */
import {engine, type Tensor, tensor} from '@tensorflow/tfjs-core';
import {BACKEND_NAME, type OnnxruntimeBackend} from './backend.js';
import {CPU64} from './cpu64.js';
import {LazyValue} from './value.js';

/** A float32 tensor. Where the current backend computes in float64 it has these very numbers; elsewhere they are rounded. */
export function tensor64(values: Float64Array, shape: readonly number[]): Tensor {
  if (engine().backendName === CPU64) {
    const dataId = engine().backend.write(values.slice() as never, [...shape], 'float32');
    return engine().makeTensorFromDataId(dataId, [...shape], 'float32') as Tensor;
  }
  const backend = engine().backend as OnnxruntimeBackend;
  if (engine().backendName !== BACKEND_NAME || backend.runtime.precision === 'float32')
    return tensor(Float32Array.from(values), [...shape], 'float32');
  const value = new LazyValue('float32', [...shape]);
  value.data = values.slice();
  value.ownsNumbers = true;
  const {dataId} = backend.handle(value);
  return engine().makeTensorFromDataId(dataId, [...shape], 'float32', backend) as Tensor;
}
