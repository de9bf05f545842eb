/**
 * The operators that are written here: since which opset, the kinds of their attributes, and how the shape of the result
 * follows from the inputs. Source: https://onnx.ai/onnx/operators/. An operator that is not in the table can still be
 * decoded, printed and written; its shapes are then unknown.
 */
import type {DType} from '../core/tensor.js';
import type {Attribute, AttributeKind, Dim, Dims, Node, Value} from './graph.js';

export interface OutputType {
  dtype: DType;
  shape: Dims | undefined;
}
export interface OpSchema {
  /** The first opset with the form that is used here. */
  since: number;
  attributes?: Readonly<Record<string, AttributeKind>>;
  /** Called only when every input's shape is known. */
  infer(node: Node, inputs: readonly Value[]): (OutputType | undefined)[];
}

const dataTypes: Record<number, DType> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  16: 'bfloat16',
}; // TensorProto.DataType, onnx.proto
/** TensorProto.DataType of a dtype. */
export const dataTypeOf = (dtype: DType): number => Number(Object.keys(dataTypes).find((k) => dataTypes[Number(k)] === dtype));
export const dtypeOfDataType = (dataType: number): DType | undefined => dataTypes[dataType];

/** Longer lists are neither shapes nor axes. */
const MAX_CONSTANT_INTS = 4096;

/** The numbers of a constant integer input (a Reshape target, Slice bounds), or undefined where they are computed. */
export function constantInts(value: Value | undefined): number[] | undefined {
  const source = value?.initializer;
  if (!source || source.shape.length > 1 || (source.shape[0] ?? 1) > MAX_CONSTANT_INTS) return undefined;
  if (source.dtype !== 'int64' && source.dtype !== 'int32') return undefined;
  return Array.from(source.read().data as ArrayLike<number | bigint>, Number);
}

const axisOf = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);
const same = (x: Value, shape: Dims | undefined = x.shape): OutputType[] => [{dtype: x.dtype, shape}];
const unary: OpSchema['infer'] = (_, [x]) => same(x!);

/** numpy broadcasting; a symbol wins against 1 and against itself. */
export function broadcastDims(a: Dims, b: Dims): Dims {
  const rank = Math.max(a.length, b.length);
  return Array.from({length: rank}, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    if (typeof x === 'string') return y;
    if (typeof y === 'string') return x;
    throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
  });
}
const binary = (since: number, result?: DType): OpSchema => ({
  since,
  infer: (_, [a, b]) => [{dtype: result ?? a!.dtype, shape: broadcastDims(a!.dims, b!.dims)}],
});
const elementwise = (since: number, attributes: Record<string, AttributeKind> = {}): OpSchema => ({
  since,
  attributes,
  infer: unary,
});
/** A bool for each number. */
const predicate = (since: number, attributes: Record<string, AttributeKind> = {}): OpSchema => ({
  since,
  attributes,
  infer: (_, [x]) => [{dtype: 'bool', shape: x!.shape}],
});
/** Any number of operands that broadcast. */
const variadic = (since: number): OpSchema => ({
  since,
  infer: (_, inputs) => same(inputs[0]!, inputs.map((v) => v.dims).reduce(broadcastDims)),
});
const argument: OpSchema = {
  since: 13,
  attributes: {axis: 'int', keepdims: 'int', select_last_index: 'int'},
  infer(node, [x]) {
    const axis = axisOf(node.number('axis', 0), x!.dims.length);
    const keep = node.number('keepdims', 1) === 1;
    return [{dtype: 'int64', shape: x!.dims.flatMap((d, i) => (i !== axis ? [d] : keep ? [1] : []))}];
  },
};
/** Names of functions of one number with no attributes. */
const functions = ['Abs', 'Acos', 'Acosh', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Ceil', 'Cos', 'Cosh', 'Floor', 'Log'].concat([
  'Reciprocal',
  'Round',
  'Sign',
  'Sin',
  'Sinh',
  'Softplus',
  'Tan',
  'Not',
]);

function slidingWindow(size: Dim, kernel: number, stride: number, before: number, after: number, dilation = 1): Dim {
  return typeof size === 'string' ? `${size}'` : Math.floor((size + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
}
function windowed(node: Node, spatial: Dims, kernel: readonly number[]): Dims {
  const rank = kernel.length;
  const strides = node.numbers('strides', new Array(rank).fill(1));
  const dilations = node.numbers('dilations', new Array(rank).fill(1));
  const pads = node.numbers('pads', new Array(2 * rank).fill(0));
  return spatial.map((s, i) => slidingWindow(s, kernel[i]!, strides[i]!, pads[i]!, pads[i + rank]!, dilations[i]!));
}
const pool: OpSchema['infer'] = (node, [x]) => [
  {dtype: x!.dtype, shape: [...x!.dims.slice(0, 2), ...windowed(node, x!.dims.slice(2), node.numbers('kernel_shape'))]},
];

function matmulDims(a: Dims, b: Dims): Dims {
  if (a.length < 2 || b.length < 2) throw new Error('MatMul of vectors is not used here');
  return [...broadcastDims(a.slice(0, -2), b.slice(0, -2)), a.at(-2)!, b.at(-1)!];
}

/** Reshape: 0 copies a dimension, -1 takes what is left. A symbol that is left over alone is kept as that symbol. */
export function reshapeDims(from: Dims, target: readonly number[]): Dims {
  const out: Dim[] = target.map((d, i) => (d === 0 ? from[i]! : d));
  const open = out.indexOf(-1);
  if (open < 0) return out;
  const rest: Dim[] = [...from];
  let divisor = 1;
  for (const [i, d] of out.entries()) {
    if (i === open) continue;
    const at = rest.indexOf(d);
    if (typeof d === 'string' && at >= 0) rest.splice(at, 1);
    else divisor *= d as number;
  }
  const symbols = rest.filter((d) => typeof d === 'string');
  const product = rest.reduce<number>((n, d) => (typeof d === 'number' ? n * d : n), 1) / divisor;
  if (symbols.length === 0) out[open] = product;
  else out[open] = symbols.length === 1 && product === 1 ? symbols[0]! : `${[...symbols, product].join('*')}`;
  return out;
}

/** Reductions with `axes` as an input since 18 (ReduceSum since 13), as an attribute before. */
const reduction = (since: number): OpSchema => ({
  since,
  attributes: {axes: 'ints', keepdims: 'int', noop_with_empty_axes: 'int'},
  infer(node, [x, axesInput]) {
    const axes =
      constantInts(axesInput) ??
      node.numbers(
        'axes',
        x!.dims.map((_, i) => i),
      );
    const reduced = new Set(axes.map((a) => axisOf(a, x!.dims.length)));
    const keep = node.number('keepdims', 1) === 1;
    return same(
      x!,
      x!.dims.flatMap((d, i) => (reduced.has(i) ? (keep ? [1] : []) : [d])),
    );
  },
});

/** "To the end" is written as any number from here on, usually INT32_MAX or INT64_MAX. */
export const OPEN_END = 2 ** 31 - 1;

/** Backwards, the first possible element is the last, and the end may lie before the first. */
function sliceLength(size: number, from: number, to: number, step: number): number {
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (v: number, least: number) => Math.max(least, Math.min(high, v < 0 ? v + size : v));
  return Math.max(0, Math.ceil((clamp(to, low) - clamp(from, 0)) / step));
}

const convAttributes = {
  kernel_shape: 'ints',
  strides: 'ints',
  pads: 'ints',
  dilations: 'ints',
  group: 'int',
  auto_pad: 'string',
} as const;
const poolAttributes = {
  kernel_shape: 'ints',
  strides: 'ints',
  pads: 'ints',
  dilations: 'ints',
  ceil_mode: 'int',
  count_include_pad: 'int',
  auto_pad: 'string',
  storage_order: 'int',
} as const;

export const ops: Readonly<Record<string, OpSchema>> = {
  ...Object.fromEntries(functions.map((name) => [name, elementwise(13)])),
  Add: binary(7),
  Sub: binary(7),
  Mul: binary(7),
  Div: binary(7),
  Pow: binary(7),
  Mod: {...binary(13), attributes: {fmod: 'int'}},
  BitwiseAnd: binary(18),
  Equal: binary(13, 'bool'),
  Greater: binary(13, 'bool'),
  GreaterOrEqual: binary(16, 'bool'),
  Less: binary(13, 'bool'),
  LessOrEqual: binary(16, 'bool'),
  And: binary(7, 'bool'),
  Or: binary(7, 'bool'),
  Xor: binary(7, 'bool'),
  PRelu: binary(16),
  Max: variadic(13),
  Min: variadic(13),
  Sum: variadic(13),
  Where: {
    since: 16,
    infer: (_, [condition, x, y]) => same(x!, broadcastDims(condition!.dims, broadcastDims(x!.dims, y!.dims))),
  },
  IsNaN: predicate(13),
  IsInf: predicate(10, {detect_negative: 'int', detect_positive: 'int'}),
  Clip: elementwise(13),
  Elu: elementwise(6, {alpha: 'float'}),
  Selu: elementwise(6, {alpha: 'float', gamma: 'float'}),
  LeakyRelu: elementwise(16, {alpha: 'float'}),
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
      const value = node.attributes.get('value');
      return value?.kind === 'tensor' ? [{dtype: value.value.dtype, shape: value.value.shape}] : [];
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
    since: 13,
    attributes: {axis: 'int', num_outputs: 'int'},
    infer(node, [x, sizes]) {
      const axis = axisOf(node.number('axis', 0), x!.dims.length);
      const parts = constantInts(sizes);
      if (!parts) return [];
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
        const size = shape[at]!;
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
    infer(_, [x, pads]) {
      const amounts = constantInts(pads);
      const rank = x!.dims.length;
      return same(x!, amounts && x!.dims.map((d, i) => (typeof d === 'string' ? d : d + amounts[i]! + amounts[i + rank]!)));
    },
  },
  Unsqueeze: {
    since: 13,
    infer(_, [x, axes]) {
      const positions = constantInts(axes);
      if (!positions) return same(x!, undefined);
      const shape = [...x!.dims];
      for (const a of [...positions].sort((p, q) => p - q)) shape.splice(a < 0 ? a + shape.length + 1 : a, 0, 1);
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
    since: 13,
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
    since: 13,
    infer(_, [x, axes]) {
      const dropped = new Set((constantInts(axes) ?? []).map((a) => axisOf(a, x!.dims.length)));
      return same(
        x!,
        x!.dims.filter((_, i) => !dropped.has(i)),
      );
    },
  },
  ReduceMean: reduction(1),
  ReduceSum: reduction(13),
  ReduceMax: reduction(18),
  ReduceMin: reduction(18),
  ReduceProd: reduction(18),
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

export function inferOutputs(node: Node, count: number): (OutputType | undefined)[] {
  const inputs = node.inputs as readonly Value[];
  const schema = node.domain === '' ? ops[node.opType] : undefined;
  const first = inputs.find(Boolean);
  if (!schema || inputs.some((v) => v && !v.shape)) {
    return Array.from({length: count}, () => ({dtype: first?.dtype ?? 'float32', shape: undefined}));
  }
  return schema.infer(node, inputs);
}
