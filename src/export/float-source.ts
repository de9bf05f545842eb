/** Fewer bits are made of float32: a network that has fewer already is refused, since its rounding would be taken for its weights. */
import {GpdError} from '../core/error.js';
import type {Graph, Node, Value} from '../onnx/graph.js';

const INTEGER = /[Qq]uantize|^QLinear|Integer$|IntegerToFloat$|^QGemm$|^QAttention$|NBits$/;
const HALF = new Set(['float16', 'bfloat16']);

/** Throws EXPORT_REFUSED, naming the node or the weights. `precision`: what was asked for. */
export function refuseReduced(graph: Graph, precision: string): void {
  const quantised = graph.nodes.find(({opType}) => INTEGER.test(opType));
  if (quantised) refuse(precision, quantised, `${quantised} says that the network is quantised already`);
  const half = [...graph.allValues()].find(({dtype}) => HALF.has(dtype));
  if (half) refuse(precision, half, `'${half.name}' is ${half.dtype}: the network is in half precision already`);
}

function refuse(precision: string, {name}: Node | Value, problem: string): never {
  throw new GpdError('EXPORT_REFUSED', `${precision}: ${problem}`, {
    at: name,
    hint: 'give the float32 model that it was made of',
  });
}
