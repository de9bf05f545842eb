/**
 * The operators that are written here: since which opset, the kinds of their attributes, and how the shape of the result
 * follows from the inputs. Source: https://onnx.ai/onnx/operators/. An operator that is not in the table can still be
 * decoded, printed and written; its shapes are then unknown.
 */

import {constantTensor} from './constant-tensor.js';
import {exporterOps} from './exporter-ops.js';
import type {Attribute, AttributeKind, Node, Value} from './graph.js';
import {
  argument,
  axisOf,
  binary,
  broadcastDims,
  constantInts,
  convAttributes,
  dtypeOfDataType,
  elementwise,
  functions,
  matmulDims,
  OPEN_END,
  type OpSchema,
  type OutputType,
  pool,
  poolAttributes,
  predicate,
  reduction,
  reshapeDims,
  same,
  sliceLength,
  variadic,
  windowed,
} from './op-shapes.js';
import {typesOfOutputs} from './op-types.js';

export {
  broadcastDims,
  constantInts,
  dataTypeOf,
  dtypeOfDataType,
  OPEN_END,
  type OpSchema,
  type OutputType,
  reshapeDims,
  type ValueType,
} from './op-shapes.js';

export const ops: Readonly<Record<string, OpSchema>> = {
  ...exporterOps,
  ...Object.fromEntries(functions.map((name) => [name, elementwise(6)])),
  Add: binary(7),
  Sub: binary(7),
  Mul: binary(7),
  Div: binary(7),
  Pow: binary(7),
  Mod: {...binary(13), attributes: {fmod: 'int'}},
  BitwiseAnd: binary(18),
  Equal: binary(11, 'bool'),
  Greater: binary(9, 'bool'),
  GreaterOrEqual: binary(16, 'bool'),
  Less: binary(9, 'bool'),
  LessOrEqual: binary(16, 'bool'),
  And: binary(7, 'bool'),
  Or: binary(7, 'bool'),
  Xor: binary(7, 'bool'),
  PRelu: binary(9),
  Max: variadic(8),
  Min: variadic(8),
  Sum: variadic(8),
  Where: {
    since: 9,
    infer: (_, [condition, x, y]) => same(x!, broadcastDims(condition!.dims, broadcastDims(x!.dims, y!.dims))),
  },
  IsNaN: predicate(13),
  IsInf: predicate(10, {detect_negative: 'int', detect_positive: 'int'}),
  Clip: elementwise(11),
  Elu: elementwise(6, {alpha: 'float'}),
  Selu: elementwise(6, {alpha: 'float', gamma: 'float'}),
  LeakyRelu: elementwise(6, {alpha: 'float'}),
  HardSigmoid: elementwise(6, {alpha: 'float', beta: 'float'}),
  LogSoftmax: elementwise(13, {axis: 'int'}),
  ScatterND: elementwise(18, {reduction: 'string'}),
  Relu: elementwise(6),
  Sqrt: elementwise(6),
  Erf: elementwise(9),
  Exp: elementwise(6),
  Neg: elementwise(6),
  Sigmoid: elementwise(6),
  Tanh: elementwise(6),
  Identity: elementwise(1),
  Dropout: elementwise(7),
  Softmax: elementwise(13, {axis: 'int'}),
  Gelu: elementwise(20, {approximate: 'string'}),
  LayerNormalization: elementwise(17, {axis: 'int', epsilon: 'float', stash_type: 'int'}),
  BatchNormalization: elementwise(9, {epsilon: 'float', momentum: 'float', training_mode: 'int'}),
  Cast: {
    since: 9,
    attributes: {to: 'int'},
    infer: (node, [x]) => [{dtype: dtypeOfDataType(node.number('to', 1)) ?? 'float32', shape: x!.shape}],
  },
  Constant: {
    since: 1,
    attributes: {
      value: 'tensor',
      value_float: 'float',
      value_floats: 'floats',
      value_int: 'int',
      value_ints: 'ints',
      value_string: 'string',
      value_strings: 'strings',
    },
    infer(node) {
      const numbers = constantTensor(node.attributes);
      if (numbers) return [{dtype: numbers.dtype, shape: numbers.shape}];
      const text = node.attributes.get('value_strings');
      return text?.kind === 'strings' ? [{dtype: 'string', shape: [text.value.length]}] : [];
    },
  },
  Conv: {
    since: 1,
    attributes: convAttributes,
    infer(node, [x, w]) {
      const kernel = w!.dims.slice(2) as number[];
      return same(x!, [x!.dims[0]!, w!.dims[0]!, ...windowed(node, x!.dims.slice(2), kernel)]);
    },
  },
  ConvTranspose: {
    since: 11,
    attributes: {...convAttributes, output_padding: 'ints', output_shape: 'ints'},
    infer(node, [x, w]) {
      const spatial = x!.dims.slice(2) as number[];
      const kernel = w!.dims.slice(2) as number[];
      const rank = kernel.length;
      const given = (name: string, otherwise: number, size = rank) => node.numbers(name, new Array(size).fill(otherwise));
      const [strides, dilations, extra] = [given('strides', 1), given('dilations', 1), given('output_padding', 0)];
      const pads = given('pads', 0, 2 * rank);
      const sizes = spatial.map(
        (n, i) => (n - 1) * strides[i]! + (kernel[i]! - 1) * dilations[i]! + 1 + extra[i]! - pads[i]! - pads[i + rank]!,
      );
      return same(x!, [x!.dims[0]!, (w!.dims[1] as number) * node.number('group', 1), ...sizes]);
    },
  },
  MaxPool: {since: 8, attributes: poolAttributes, infer: pool},
  AveragePool: {since: 7, attributes: poolAttributes, infer: pool},
  GlobalAveragePool: {since: 1, infer: (_, [x]) => same(x!, [...x!.dims.slice(0, 2), ...x!.dims.slice(2).map(() => 1)])},
  MatMul: {since: 1, infer: (_, [a, b]) => same(a!, matmulDims(a!.dims, b!.dims))},
  Gemm: {
    since: 11,
    attributes: {alpha: 'float', beta: 'float', transA: 'int', transB: 'int'},
    infer(node, [a, b]) {
      const [m, n] = [a!.dims[node.number('transA', 0)]!, b!.dims[1 - node.number('transB', 0)]!];
      return same(a!, [m, n]);
    },
  },
  Flatten: {
    since: 1,
    attributes: {axis: 'int'},
    infer(node, [x]) {
      const axis = node.number('axis', 1);
      return same(
        x!,
        reshapeDims(x!.dims, [
          ...(axis === 1 ? [0] : [x!.dims.slice(0, axis).reduce<number>((n, d) => n * (d as number), 1)]),
          -1,
        ]),
      );
    },
  },
  Reshape: {
    since: 5,
    attributes: {allowzero: 'int'},
    infer(_, [x, shape]) {
      const target = constantInts(shape);
      return same(x!, target && reshapeDims(x!.dims, target));
    },
  },
  Transpose: {
    since: 1,
    attributes: {perm: 'ints'},
    infer(node, [x]) {
      const perm = node.numbers(
        'perm',
        x!.dims.map((_, i) => x!.dims.length - 1 - i),
      );
      return same(
        x!,
        perm.map((p) => x!.dims[p]!),
      );
    },
  },
  Concat: {
    since: 4,
    attributes: {axis: 'int'},
    infer(node, inputs) {
      const first = inputs[0]!;
      const axis = axisOf(node.number('axis', 0), first.dims.length);
      const total = inputs.reduce((n, v) => n + (v.dims[axis] as number), 0);
      return same(
        first,
        first.dims.map((d, i) => (i === axis ? total : d)),
      );
    },
  },
  Split: {
    since: 2,
    attributes: {axis: 'int', num_outputs: 'int', split: 'ints'}, // the sizes are an input since 13
    infer(node, [x, sizes]) {
      const axis = axisOf(node.number('axis', 0), x!.dims.length);
      const parts = sizes ? constantInts(sizes) : node.numbers('split');
      if (!parts || parts.length === 0) return [];
      return parts.map((part) => ({dtype: x!.dtype, shape: x!.dims.map((d, i) => (i === axis ? part : d))}));
    },
  },
  Slice: {
    since: 10,
    infer(_, [x, starts, ends, axes, steps]) {
      const [from, to] = [constantInts(starts), constantInts(ends)];
      if (!from || !to) return [{dtype: x!.dtype, shape: undefined}];
      const along = constantInts(axes) ?? from.map((_, i) => i);
      const step = constantInts(steps) ?? from.map(() => 1);
      const shape = [...x!.dims];
      for (const [i, axis] of along.entries()) {
        const at = axisOf(axis, shape.length);
        const size = shape[at];
        if (size === undefined) return [{dtype: x!.dtype, shape: undefined}]; // no such axis
        if (typeof size === 'string') {
          const isWhole = from[i] === 0 && step[i] === 1 && to[i]! >= OPEN_END;
          if (isWhole) continue;
          return [{dtype: x!.dtype, shape: undefined}];
        }
        shape[at] = sliceLength(size, from[i]!, to[i]!, step[i]!);
      }
      return same(x!, shape);
    },
  },
  Pad: {
    since: 11,
    attributes: {mode: 'string'},
    infer(_, [x, pads, , axes]) {
      const amounts = axes ? undefined : constantInts(pads);
      const rank = x!.dims.length;
      return same(x!, amounts && x!.dims.map((d, i) => (typeof d === 'string' ? d : d + amounts[i]! + amounts[i + rank]!)));
    },
  },
  Unsqueeze: {
    since: 1,
    attributes: {axes: 'ints'}, // an input since 13
    infer(node, [x, axes]) {
      const positions = axes ? constantInts(axes) : node.numbers('axes');
      if (!positions) return same(x!, undefined);
      const shape = [...x!.dims];
      const rank = shape.length + positions.length;
      for (const a of positions.map((p) => axisOf(p, rank)).sort((p, q) => p - q)) shape.splice(a, 0, 1);
      return same(x!, shape);
    },
  },
  Expand: {
    since: 8,
    infer(_, [x, shape]) {
      const target = constantInts(shape);
      return same(x!, target && broadcastDims(x!.dims, target));
    },
  },
  Tile: {
    since: 13,
    infer(_, [x, repeats]) {
      const counts = constantInts(repeats);
      return same(x!, counts && x!.dims.map((d, i) => (d as number) * counts[i]!));
    },
  },
  Gather: {
    since: 1,
    attributes: {axis: 'int'},
    infer(node, [x, indices]) {
      const axis = axisOf(node.number('axis', 0), x!.dims.length);
      return same(x!, [...x!.dims.slice(0, axis), ...indices!.dims, ...x!.dims.slice(axis + 1)]);
    },
  },
  GatherND: {
    since: 13,
    attributes: {batch_dims: 'int'},
    infer: (_, [x, indices]) => same(x!, [...indices!.dims.slice(0, -1), ...x!.dims.slice(indices!.dims.at(-1) as number)]),
  },
  Einsum: {
    since: 12,
    attributes: {equation: 'string'},
    infer(node, inputs) {
      const [terms = '', result = ''] = node.text('equation', '').replaceAll(' ', '').split('->');
      const sizes = new Map(terms.split(',').flatMap((term, i) => [...term].map((letter, d) => [letter, inputs[i]!.dims[d]!])));
      return same(
        inputs[0]!,
        [...result].map((letter) => sizes.get(letter)!),
      );
    },
  },
  Squeeze: {
    since: 1,
    attributes: {axes: 'ints'}, // an input since 13
    infer(node, [x, axes]) {
      const named = axes ? constantInts(axes) : node.attributes.has('axes') ? node.numbers('axes') : undefined;
      if (!named && (axes || x!.dims.some((d) => typeof d === 'string'))) return same(x!, undefined);
      const dropped = new Set(named?.map((a) => axisOf(a, x!.dims.length)));
      return same(
        x!,
        x!.dims.filter((d, i) => (named ? !dropped.has(i) : d !== 1)),
      );
    },
  },
  ReduceMean: reduction(1),
  ReduceSum: reduction(1),
  ReduceMax: reduction(1),
  ReduceMin: reduction(1),
  ReduceProd: reduction(1),
  ArgMax: argument,
  ArgMin: argument,
  CumSum: elementwise(14, {exclusive: 'int', reverse: 'int'}),
  TopK: {
    since: 11,
    attributes: {axis: 'int', largest: 'int', sorted: 'int'},
    infer(node, [x, k]) {
      const axis = axisOf(node.number('axis', -1), x!.dims.length);
      const count = constantInts(k)?.[0];
      const shape = count === undefined ? undefined : x!.dims.map((d, i) => (i === axis ? count : d));
      return [
        {dtype: x!.dtype, shape},
        {dtype: 'int64', shape},
      ];
    },
  },
  QuantizeLinear: {
    since: 13,
    attributes: {axis: 'int'},
    infer: (_, [x, , zeroPoint]) => [{dtype: zeroPoint?.dtype ?? 'uint8', shape: x!.shape}],
  },
  DequantizeLinear: {since: 13, attributes: {axis: 'int'}, infer: (_, [x, scale]) => [{dtype: scale!.dtype, shape: x!.shape}]},
  DynamicQuantizeLinear: {
    since: 11,
    infer: (_, [x]) => [
      {dtype: 'uint8', shape: x!.shape},
      {dtype: 'float32', shape: []},
      {dtype: 'uint8', shape: []},
    ],
  },
  MatMulInteger: {since: 10, infer: (_, [a, b]) => [{dtype: 'int32', shape: matmulDims(a!.dims, b!.dims)}]},
  Attention: {
    since: 23,
    attributes: {
      q_num_heads: 'int',
      kv_num_heads: 'int',
      scale: 'float',
      is_causal: 'int',
      softcap: 'float',
      qk_matmul_output_mode: 'int',
      softmax_precision: 'int',
    },
    infer: (_, [q, , v]) => same(q!, [...q!.dims.slice(0, -1), v!.dims.at(-1)!]),
  },
};

Object.setPrototypeOf(ops, null); // an operator called 'constructor' is not in the table

/** The attribute with its wire kind: from the table, else from the look of the value. */
export function attributeOf(opType: string, name: string, value: Attribute['value']): Attribute {
  const kind = ops[opType]?.attributes?.[name] ?? guessKind(value);
  return {kind, value} as Attribute;
}
function guessKind(value: Attribute['value']): AttributeKind {
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  if (typeof value === 'string') return 'string';
  if (Array.isArray(value)) return typeof value[0] === 'string' ? 'strings' : value.every(Number.isInteger) ? 'ints' : 'floats';
  return 'dtype' in (value as object) ? 'tensor' : 'graph';
}

/** Type and shape of each output. Types are always known; a shape is undefined where it cannot be told. */
export function inferOutputs(node: Node, count: number): OutputType[] {
  const inputs = node.inputs as readonly Value[];
  const schema = node.domain === '' ? ops[node.opType] : undefined;
  const inferred = schema && inputs.every((v) => !v || v.shape) ? schema.infer(node, inputs) : [];
  return typesOfOutputs(node, count).map((dtype, i) => known(inferred[i]) ?? {dtype, shape: undefined});
}

/** Arithmetic with a dimension that has only a name gives no number: such a shape is not known. */
function known(type: OutputType | undefined): OutputType | undefined {
  return type?.shape?.some((d) => Number.isNaN(d)) ? {...type, shape: undefined} : type;
}
