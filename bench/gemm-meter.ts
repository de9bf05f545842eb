/** The speed of this machine's matrix products, measured beside what is compared with it: other work on the cores changes both. */
import {fillUniform} from '../src/core/random.js';
import {float32} from '../src/core/tensor.js';
import {gemmPeak} from '../src/eval/gemm.js';
import {modelBytes} from '../src/onnx/encode.js';
import {loadSyncRuntime} from '../src/onnx/sync-session.js';

/** Floating-point operations per second of a chain of matrix products with two threads, the fastest of three. */
export async function gemmMeter(): Promise<() => number> {
  const {model, input, macs} = gemmPeak('cpu');
  const session = (await loadSyncRuntime()).open(modelBytes(model), {intraOpNumThreads: 2, logSeverityLevel: 4});
  const a = new Float32Array(input.shape[0] * input.shape[1]);
  fillUniform(a, 'a', -1, 1);
  const feeds = new Map([[input.name, float32(input.shape, a)]]);
  const output = [model.graph.outputs[0]!.name];
  const seconds = () => {
    const start = performance.now();
    session.run(feeds, output);
    return (performance.now() - start) / 1000;
  };
  return () => (2 * macs) / Math.min(seconds(), seconds(), seconds());
}
