/** `TensorOps` as ONNX nodes: the algebra of `reparam/` written into a graph instead of computed. */
import {float32, int64, type Shape} from '../core/tensor.js';
import type {TensorOps} from '../reparam/tensor-ops.js';
import type {Graph, Value} from './graph.js';

/** A one-dimensional int64 constant (a Reshape target, Slice bounds); equal ones are one initializer. */
export function intsInitializer(graph: Graph, values: readonly number[]): Value {
  const name = `ints_${values.join('_')}`.replaceAll('-', 'm');
  return graph.value(name) ?? graph.initializer(name, int64([values.length], values));
}

/** A float32 scalar constant; equal ones are one initializer. */
export function scalarInitializer(graph: Graph, value: number): Value {
  const name = `scalar_${value}`;
  return graph.value(name) ?? graph.initializer(name, float32([], [value]));
}

/** `scope()` names the layer for which nodes are being made. */
export function graphOps(graph: Graph, scope: () => string): TensorOps<Value> {
  const op = (opType: string, inputs: Value[], attributes = {}) =>
    graph.op(opType, inputs, attributes, {name: `${scope()}/${opType}`});
  return {
    scalar: (value) => scalarInitializer(graph, value),
    add: (a, b) => op('Add', [a, b]),
    sub: (a, b) => op('Sub', [a, b]),
    mul: (a, b) => op('Mul', [a, b]),
    div: (a, b) => op('Div', [a, b]),
    sqrt: (x) => op('Sqrt', [x]),
    matmul: (a, b) => op('MatMul', [a, b]),
    reshape: (x, shape) => op('Reshape', [x, intsInitializer(graph, shape)]),
    transpose: (x, perm) => op('Transpose', [x], {perm}),
    unstack(x, count) {
      const sizes = intsInitializer(graph, new Array(count).fill(1));
      return [...graph.node('Split', [x, sizes], {axis: 0}, {name: `${scope()}/Split`, outputs: count}).outputs];
    },
  };
}

/** The leading block of x: a Slice along the dimensions that it shortens, or x itself. */
export function leadingSlice(graph: Graph, x: Value, leading: Shape, name: string): Value {
  const axes = leading.flatMap((n, d) => (x.dims[d] === n ? [] : [d]));
  if (axes.length === 0) return x;
  const starts = intsInitializer(
    graph,
    axes.map(() => 0),
  );
  const ends = intsInitializer(
    graph,
    axes.map((d) => leading[d]!),
  );
  return graph.op('Slice', [x, starts, ends, intsInitializer(graph, axes)], {}, {name});
}
