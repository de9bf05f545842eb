/** Integers as ONNX writes them between nodes of float32: what QuantizeLinear and DequantizeLinear need, and the nodes themselves. */
import {type Tensor, tensor} from '../../core/tensor.js';
import type {Graph, Value} from '../../onnx/graph.js';
import type {QuantParameters} from './affine.js';

/** Scale and zero point as constants. */
export const quantTensors = ({scale, zeroPoint, dtype}: QuantParameters): [scale: Tensor, zeroPoint: Tensor] => [
  tensor('float32', [], Float32Array.of(scale)),
  dtype === 'uint8' ? tensor('uint8', [], Uint8Array.of(zeroPoint)) : tensor('int8', [], Int8Array.of(zeroPoint)),
];

/** x as integers and back. `name` gives the names of both nodes. */
export function roundTrip(graph: Graph, x: Value, parameters: readonly Value[], name: (suffix: string) => string): Value {
  const integers = graph.op('QuantizeLinear', [x, ...parameters], {}, {name: name('q')});
  return graph.op('DequantizeLinear', [integers, ...parameters], {}, {name: name('dq')});
}

/** Stored integers, one scale a channel along `axis`, as the float32 that they stand for. */
export function stored(
  graph: Graph,
  {values, scales, axis, zeros}: {values: Tensor; scales: Tensor; axis: number; zeros?: Value},
  name: (suffix: string) => string,
): Value {
  const [q, s] = [graph.initializer(name(''), values), graph.initializer(name('s'), scales)];
  return graph.op('DequantizeLinear', [q, s, zeros], {axis}, {name: name('dq')});
}
