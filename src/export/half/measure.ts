/**
 * What the values between the nodes look like on real images: largest magnitude, and what rounding to float16 would change. The
 * measuring is done by nodes beside the network, so that numbers by the million never leave the runtime.
 */
import {tensor, toFloat32} from '../../core/tensor.js';
import {cloneModel} from '../../onnx/clone-model.js';
import {modelBytes} from '../../onnx/encode.js';
import type {Graph, Model, Value} from '../../onnx/graph.js';
import {dataTypeOf} from '../../onnx/ops.js';
import {openSession} from '../../onnx/session.js';
import type {Calibration} from '../precision.js';
import {MAX_HALF, type ValueRange} from './range.js';

/** [max |x|, Σx², Σ(half(x) − x)²] of a value, as an output of the graph. Beyond float16's range the sums say nothing, and are clipped. */
function measuring(graph: Graph, value: Value): Value {
  const name = {name: `${value.name}/measure`};
  const one = (opType: string, ...inputs: Value[]) => graph.op(opType, inputs, {}, name);
  const whole = (opType: string, x: Value) => graph.op(opType, [x], {keepdims: 0}, name);
  const bound = (v: number) => graph.initializer('bound', tensor('float32', [], Float32Array.of(v)));
  const clipped = one('Max', one('Min', value, bound(MAX_HALF)), bound(-MAX_HALF)); // Clip takes bounds since opset 11 only
  const half = graph.op('Cast', [clipped], {to: dataTypeOf('float16')}, name);
  const error = one('Sub', graph.op('Cast', [half], {to: dataTypeOf('float32')}, name), clipped);
  const sums = [one('Mul', clipped, clipped), one('Mul', error, error)].map((x) => whole('ReduceSum', x));
  const parts = [whole('ReduceMax', one('Abs', value)), ...sums].map((x) =>
    graph.op('Reshape', [x, shapeOfOne(graph)], {}, name),
  );
  return graph.op('Concat', parts, {axis: 0}, name);
}
const shapeOfOne = (graph: Graph): Value => graph.initializer('one', tensor('int64', [1], BigInt64Array.of(1n)));

/** Ranges by the names of the values: the images, and what every node gives. */
export async function measureRanges(model: Model, calibration: Calibration): Promise<Map<string, ValueRange>> {
  const watched = cloneModel(model);
  const {graph} = watched;
  const values = [...graph.inputs, ...graph.nodes.flatMap((node) => node.outputs)].filter((v) => v.dtype === 'float32');
  graph.outputs = values.map((value) => measuring(graph, value));
  // As they are: the runtime would drop a pair of casts that cancel, and fused nodes have no values between them.
  const session = await openSession(modelBytes(watched), {optimize: 'disabled', file: model.file});
  const sums = values.map(() => ({maxAbs: 0, energy: 0, error: 0}));
  try {
    for await (const images of calibration.batches()) {
      const results = await session.run(new Map([[graph.inputs[0]!.name, images]]));
      for (const [i, {name}] of graph.outputs.entries()) {
        const [maxAbs, energy, error] = toFloat32(results.get(name)!).data as unknown as [number, number, number];
        const sum = sums[i]!;
        sum.maxAbs = Number.isNaN(maxAbs) ? Number.POSITIVE_INFINITY : Math.max(sum.maxAbs, maxAbs);
        sum.energy += energy;
        sum.error += error;
      }
    }
  } finally {
    await session.close();
  }
  return new Map(
    sums.map(({maxAbs, energy, error}, i) => [
      values[i]!.name,
      {maxAbs, rounding: energy === 0 ? 0 : Math.sqrt(error / energy)},
    ]),
  );
}
