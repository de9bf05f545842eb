/** Kernels that fold dimensions away. */

import {util} from '@tensorflow/tfjs-core';
import {elementCount} from '../../core/tensor.js';
import type {Value} from '../../onnx/graph.js';
import type {Attributes, KernelEntry} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import type {LazyDType, LazyValue, Permutation, TypedShape} from '../lowering/value.js';
import {convert} from './convert.js';
import {dotInBlocks, sumInBlocks} from './convolution/blocks.js';
import {factorsOf, sumOfProducts} from './convolution/inner-product.js';

/** `reductionIndices` is what Max alone calls its axes. */
const axesOf = ({axis, reductionIndices = axis}: Attributes, shape: readonly number[]): number[] =>
  util.parseAxisParam(reductionIndices, [...shape]);

function reducedShape(attrs: Attributes, shape: readonly number[]): number[] {
  const axes = new Set(axesOf(attrs, shape));
  return shape.flatMap((d, i) => (!axes.has(i) ? [d] : attrs.keepDims ? [1] : []));
}

/** The order of the dimensions that are left. */
function remaining(perm: Permutation, gone: readonly number[]): Permutation {
  const rank = (d: number) => d - gone.filter((a) => a < d).length;
  return perm.filter((d) => !gone.includes(d)).map(rank);
}

interface ReductionOptions {
  /** Type in which it is computed. */
  computed: (x: LazyDType) => LazyDType;
  result: (x: LazyDType) => LazyDType;
}
const numbers = (x: LazyDType): LazyDType => (x === 'bool' ? 'int32' : x);
const itself = (x: LazyDType) => x;
const float: () => LazyDType = () => 'float32';

type Fold = (g: Lowering, x: Value, axes: Value, keep: {keepdims: number}) => Value;
const fold =
  (opType: string): Fold =>
  (g, x, axes, keep) =>
    g.op(opType, [x, axes], keep);

/** Σ or mean of products of which only one dimension stays. */
function foldProducts(g: Lowering, x: LazyValue, gone: readonly number[], scale: (count: number) => number): Value | undefined {
  if (x.dtype !== 'float32' || gone.length !== x.shape.length - 1) return undefined;
  const kept = x.shape.findIndex((_, d) => !gone.includes(d));
  const sum = sumOfProducts(g, x, kept);
  return sum && scaled(g, sum, scale(elementCount(x.shape) / x.shape[kept]!));
}

/** Σ or mean over the pixels of images in blocks, and over all images or not. */
function foldBlocks(g: Lowering, x: LazyValue, gone: readonly number[], scale: (count: number) => number): Value | undefined {
  const {value, perm, inBlocks} = g.form(x);
  const [n, c, ...pixels] = perm;
  const isOverPixels = pixels.every((d) => gone.includes(d)) && !gone.includes(c!);
  if (!inBlocks || !isOverPixels || g.block === undefined) return undefined;
  const isOverBatch = gone.includes(n!);
  const count = [...pixels, ...(isOverBatch ? [n!] : [])].reduce((size, d) => size * x.shape[d]!, 1);
  const options = {block: g.block, isOverBatch};
  const [a, b] = factorsOf(g, x)?.map((v) => g.blocksOf(v, perm)) ?? [];
  return scaled(g, a && b ? dotInBlocks(g, a, b, options) : sumInBlocks(g, value, options), scale(count));
}

const scaled = (g: Lowering, sum: Value, factor: number): Value => (factor === 1 ? sum : g.op('Mul', [sum, g.scalar(factor)]));

/** `scale`: of a sum over so many numbers, for reductions that are one. */
const summing = (opType: string, options: ReductionOptions, scale: (count: number) => number): KernelEntry => {
  const entry = reduction(fold(opType), options);
  return {
    ...entry,
    lower(g, [x], attrs, [out]) {
      const gone = axesOf(attrs, x!.shape);
      const sum = foldBlocks(g, x!, gone, scale) ?? foldProducts(g, x!, gone, scale);
      if (!sum) return entry.lower(g, [x!], attrs, [out!]);
      g.define(out!, g.reshape(sum, out!.shape));
    },
  };
};

const reduction = (reduce: Fold, {computed, result}: ReductionOptions): KernelEntry => ({
  inputs: ['x'],
  infer: ([x], attrs): TypedShape[] => [{dtype: result(x!.dtype), shape: reducedShape(attrs, x!.shape)}],
  lower(g, [x], attrs, [out]) {
    const {value, perm} = g.any(x!);
    const gone = axesOf(attrs, x!.shape);
    const number = convert(g, value, computed(x!.dtype));
    if (gone.length === 0) return g.define(out!, convert(g, number, out!.dtype), perm);
    const axes = g.ints(gone.map((d) => perm.indexOf(d)).sort((a, b) => a - b));
    const folded = reduce(g, number, axes, {keepdims: attrs.keepDims ? 1 : 0});
    g.define(out!, convert(g, folded, out!.dtype), attrs.keepDims ? perm : remaining(perm, gone));
  },
});

/** One NaN makes the result NaN; onnxruntime's ReduceMax and ReduceMin pass over it unless it comes first. */
const orNaN =
  (opType: string): Fold =>
  (g, x, axes, keep) => {
    const value = g.op(opType, [x, axes], keep);
    if (x.dtype !== g.precision) return value;
    const hasNaN = g.op('ReduceMax', [g.op('IsNaN', [x]), axes], keep); // of bools: any; since opset 20
    return g.op('Where', [hasNaN, g.scalar(Number.NaN), value]);
  };

/**
 * TensorFlow.js passes over NaN when it looks for the largest or smallest, so `worst` takes its place; but nothing compares
 * with a NaN that comes first, and index 0 stays.
 */
function indexOf(g: Lowering, opType: string, x: Value, axis: number, worst: number): Value {
  const found = (v: Value) => convert(g, g.op(opType, [v], {axis, keepdims: 0}), 'int32');
  if (x.dtype !== g.precision) return found(x);
  const missing = g.op('IsNaN', [x]);
  const first = g.op('Squeeze', [g.op('Slice', [missing, g.ints([0]), g.ints([1]), g.ints([axis])]), g.ints([axis])]);
  return g.op('Where', [first, g.scalar(0, 'int32'), found(g.op('Where', [missing, g.scalar(worst), x]))]);
}

const argument = (opType: string, worst: number): KernelEntry => ({
  inputs: ['x'],
  infer: ([x], attrs) => [{dtype: 'int32', shape: reducedShape({...attrs, keepDims: false}, x!.shape)}],
  refuses: ([x], {axis}) => (Array.isArray(axis) && axesOf({axis}, x!.shape).length !== 1 ? 'several axes' : undefined),
  lower(g, [x], attrs, [out]) {
    const {value, perm} = g.any(x!);
    const [axis] = axesOf(attrs, x!.shape) as [number];
    const number = convert(g, value, numbers(x!.dtype));
    g.define(out!, indexOf(g, opType, number, perm.indexOf(axis), worst), remaining(perm, [axis]));
  },
});

const cumsum: KernelEntry = {
  inputs: ['x'],
  infer: ([x]) => [{dtype: numbers(x!.dtype), shape: x!.shape}],
  lower(g, [x], {axis, exclusive, reverse}, [out]) {
    const {value, perm} = g.any(x!);
    const along = g.scalar(perm.indexOf(axesOf({axis}, x!.shape)[0]!), 'int32');
    const flags = {exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0};
    g.define(out!, g.op('CumSum', [convert(g, value, out!.dtype), along], flags), perm);
  },
};

export const reductionKernels: Readonly<Record<string, KernelEntry>> = {
  All: reduction(fold('ReduceMin'), {computed: () => 'bool', result: itself}),
  Any: reduction(fold('ReduceMax'), {computed: () => 'bool', result: itself}),
  ArgMax: argument('ArgMax', Number.NEGATIVE_INFINITY),
  ArgMin: argument('ArgMin', Number.POSITIVE_INFINITY),
  Cumsum: cumsum,
  Max: reduction(orNaN('ReduceMax'), {computed: itself, result: itself}),
  Mean: summing('ReduceMean', {computed: float, result: float}, (count) => 1 / count),
  Min: reduction(orNaN('ReduceMin'), {computed: itself, result: itself}),
  Prod: reduction(fold('ReduceProd'), {computed: numbers, result: numbers}),
  Sum: summing('ReduceSum', {computed: numbers, result: numbers}, () => 1),
};
