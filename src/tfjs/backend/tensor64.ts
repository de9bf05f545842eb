/** Tensors of arrays as TensorFlow.js does not take them: of float64, for a backend that computes so, and of arrays that become the tensor's own. */
import {engine, type Tensor, tensor} from '@tensorflow/tfjs-core';
import {type LazyData, LazyValue} from '../lowering/value.js';
import {BACKEND_NAME, type OnnxruntimeBackend} from './backend.js';
import {CPU64} from './cpu64.js';

/** A float32 tensor. Where the current backend computes in float64 it has these very numbers; elsewhere they are rounded. */
export function tensor64(values: Float64Array, shape: readonly number[]): Tensor {
  if (engine().backendName === CPU64) {
    const dataId = engine().backend.write(values.slice() as never, [...shape], 'float32');
    return engine().makeTensorFromDataId(dataId, [...shape], 'float32') as Tensor;
  }
  const backend = engine().backend as OnnxruntimeBackend;
  if (engine().backendName !== BACKEND_NAME || backend.runtime.precision === 'float32')
    return tensor(Float32Array.from(values), [...shape], 'float32');
  return owning(backend, values.slice(), shape);
}

/** A float32 tensor of an array that nobody else will use: it is not copied, as `tf.tensor` copies before it computes. */
export function ownTensor(values: Float32Array, shape: readonly number[]): Tensor {
  const backend = engine().backend as OnnxruntimeBackend;
  const takesIt = engine().backendName === BACKEND_NAME && backend.runtime.precision === 'float32';
  return takesIt ? owning(backend, values, shape) : tensor(values, [...shape], 'float32');
}

function owning(backend: OnnxruntimeBackend, values: LazyData, shape: readonly number[]): Tensor {
  const value = new LazyValue('float32', [...shape]);
  value.data = values;
  value.ownsNumbers = true;
  const {dataId} = backend.handle(value);
  return engine().makeTensorFromDataId(dataId, [...shape], 'float32', backend) as Tensor;
}
