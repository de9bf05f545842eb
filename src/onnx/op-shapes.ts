/**
 * How the shape of an operator's result follows from its inputs: the rules that several operators share, and ONNX's numbers for
 * types. Source: https://onnx.ai/onnx/operators/.
 */
import type {DType} from '../core/tensor.js';
import type {AttributeKind, Dim, Dims, Node, Value} from './graph.js';

/** What a value between nodes may be. Text is computed with nowhere; it is looked up, and given away. */
export type ValueType = DType | 'string';
export interface OutputType {
  dtype: ValueType;
  shape: Dims | undefined;
}
export interface OpSchema {
  /** The first opset with the form that is used here. */
  since: number;
  attributes?: Readonly<Record<string, AttributeKind>>;
  /** Called only when every input's shape is known. */
  infer(node: Node, inputs: readonly Value[]): (OutputType | undefined)[];
}

export const dataTypes: Record<number, ValueType> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  8: 'string',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  16: 'bfloat16',
}; // TensorProto.DataType, onnx.proto
/** TensorProto.DataType of a dtype. */
export const dataTypeOf = (dtype: ValueType): number =>
  Number(Object.keys(dataTypes).find((k) => dataTypes[Number(k)] === dtype));
export const dtypeOfDataType = (dataType: number): ValueType | undefined => dataTypes[dataType];

/** Longer lists are neither shapes nor axes. */
export const MAX_CONSTANT_INTS = 256;

/** The numbers of a constant integer input (a Reshape target, Slice bounds), or undefined where they are computed. */
export function constantInts(value: Value | undefined): number[] | undefined {
  const source = value?.initializer;
  if (!source || source.shape.length > 1 || (source.shape[0] ?? 1) > MAX_CONSTANT_INTS) return undefined;
  if (source.dtype !== 'int64' && source.dtype !== 'int32') return undefined;
  return Array.from(source.read().data as ArrayLike<number | bigint>, Number);
}

export const axisOf = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);
/** Numbers of the same type. The shape is undefined where it is computed. */
export const same = (x: Value, shape: Dims | undefined): OutputType[] => [{dtype: x.dtype, shape}];
export const unary: OpSchema['infer'] = (_, [x]) => same(x!, x!.shape);

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
export const binary = (since: number, result?: ValueType): OpSchema => ({
  since,
  infer: (_, [a, b]) => [{dtype: result ?? a!.dtype, shape: broadcastDims(a!.dims, b!.dims)}],
});
export const elementwise = (since: number, attributes: Record<string, AttributeKind> = {}): OpSchema => ({
  since,
  attributes,
  infer: unary,
});
/** A bool for each number. */
export const predicate = (since: number, attributes: Record<string, AttributeKind> = {}): OpSchema => ({
  since,
  attributes,
  infer: (_, [x]) => [{dtype: 'bool', shape: x!.shape}],
});
/** Any number of operands that broadcast. */
export const variadic = (since: number): OpSchema => ({
  since,
  infer: (_, inputs) => same(inputs[0]!, inputs.map((v) => v.dims).reduce(broadcastDims)),
});
export const argument: OpSchema = {
  since: 13,
  attributes: {axis: 'int', keepdims: 'int', select_last_index: 'int'},
  infer(node, [x]) {
    const axis = axisOf(node.number('axis', 0), x!.dims.length);
    const keep = node.number('keepdims', 1) === 1;
    return [{dtype: 'int64', shape: x!.dims.flatMap((d, i) => (i !== axis ? [d] : keep ? [1] : []))}];
  },
};
/** Names of functions of one number with no attributes. */
export const functions = [
  'Abs',
  'Acos',
  'Acosh',
  'Asin',
  'Asinh',
  'Atan',
  'Atanh',
  'Ceil',
  'Cos',
  'Cosh',
  'Floor',
  'Log',
].concat(['Reciprocal', 'Round', 'Sign', 'Sin', 'Sinh', 'Softplus', 'Tan', 'Not']);

export function slidingWindow(size: Dim, kernel: number, stride: number, before: number, after: number, dilation = 1): Dim {
  return typeof size === 'string' ? `${size}'` : Math.floor((size + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
}
/** As `slidingWindow`, with a last window that is not full; it begins inside the image or its first padding. */
function ceilingWindow(size: Dim, kernel: number, stride: number, before: number, after: number, dilation: number): Dim {
  if (typeof size === 'string') return `${size}'`;
  const windows = Math.ceil((size + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
  return (windows - 1) * stride >= size + before ? windows - 1 : windows;
}
/** `auto_pad` SAME: as many windows as strides. */
const samePlaces = (size: Dim, stride: number): Dim => (typeof size === 'string' ? `${size}'` : Math.ceil(size / stride));
export function windowed(node: Node, spatial: Dims, kernel: readonly number[]): Dims {
  const rank = kernel.length;
  const strides = node.numbers('strides', new Array(rank).fill(1));
  const dilations = node.numbers('dilations', new Array(rank).fill(1));
  const pads = node.numbers('pads', new Array(2 * rank).fill(0));
  if (node.text('auto_pad', 'NOTSET').startsWith('SAME')) return spatial.map((s, i) => samePlaces(s, strides[i]!));
  const windows = node.number('ceil_mode', 0) === 1 ? ceilingWindow : slidingWindow;
  return spatial.map((s, i) => windows(s, kernel[i]!, strides[i]!, pads[i]!, pads[i + rank]!, dilations[i]!));
}
export const pool: OpSchema['infer'] = (node, [x]) => [
  {dtype: x!.dtype, shape: [...x!.dims.slice(0, 2), ...windowed(node, x!.dims.slice(2), node.numbers('kernel_shape'))]},
];

export function matmulDims(a: Dims, b: Dims): Dims {
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
export const reduction = (since: number): OpSchema => ({
  since,
  attributes: {axes: 'ints', keepdims: 'int', noop_with_empty_axes: 'int'},
  infer(node, [x, axesInput]) {
    const rank = x!.dims.length;
    const named = axesInput ? constantInts(axesInput) : node.numbers('axes');
    if (!named) return same(x!, undefined);
    const isNothing = named.length === 0 && node.number('noop_with_empty_axes', 0) === 1;
    const axes = named.length > 0 || isNothing ? named : x!.dims.map((_, i) => i);
    const reduced = new Set(axes.map((a) => axisOf(a, rank)));
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
export function sliceLength(size: number, from: number, to: number, step: number): number {
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (v: number, least: number) => Math.max(least, Math.min(high, v < 0 ? v + size : v));
  return Math.max(0, Math.ceil((clamp(to, low) - clamp(from, 0)) / step));
}

export const convAttributes = {
  kernel_shape: 'ints',
  strides: 'ints',
  pads: 'ints',
  dilations: 'ints',
  group: 'int',
  auto_pad: 'string',
} as const;
export const poolAttributes = {
  kernel_shape: 'ints',
  strides: 'ints',
  pads: 'ints',
  dilations: 'ints',
  ceil_mode: 'int',
  count_include_pad: 'int',
  auto_pad: 'string',
  storage_order: 'int',
} as const;
