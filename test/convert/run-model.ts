/** Models run by onnxruntime, for tests. */
import type {Tensor} from '../../src/core/tensor.js';
import {modelBytes} from '../../src/onnx/encode.js';
import type {Model} from '../../src/onnx/graph.js';
import {openSession, type SessionOptions} from '../../src/onnx/session.js';

/** The one output of a model (in memory, its bytes, or a path), for one input. */
export async function logitsOf(
  model: Model | Uint8Array | string,
  images: Tensor,
  options: SessionOptions = {},
): Promise<{shape: readonly number[]; data: Float32Array}> {
  const source = typeof model === 'string' || model instanceof Uint8Array ? model : modelBytes(model);
  const session = await openSession(source, options);
  try {
    const results = await session.run(new Map([[session.inputNames[0]!, images]]));
    const [logits] = [...results.values()];
    return {shape: logits!.shape, data: (logits!.data as Float32Array).slice()};
  } finally {
    await session.close();
  }
}
