/** Kernels on two tensors that broadcast, and sums of many. */
import {elementCount, sameShape} from '../../core/tensor.js';
import type {Value} from '../../onnx/graph.js';
import {broadcastDims} from '../../onnx/ops.js';
import type {KernelEntry} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import {isIdentity, type LazyDType, type LazyValue, type Permutation, type TypedShape} from '../lowering/value.js';
import {convert} from './convert.js';
import {combineInBlocks, filled, followed, type InBlocks} from './convolution/blocks.js';

/** Both operands in one order. */
export function together(g: Lowering, a: LazyValue, b: LazyValue) {
  const perm = leading(g, a, b);
  return {perm, left: g.broadcastable(a, perm), right: g.broadcastable(b, perm)};
}

/**
 * The order of the operand with more dimensions, or else more numbers. Among equals one that a convolution chose: state that
 * meets its gradient takes over the gradient's order, and needs no transpose in later steps.
 */
function leading(g: Lowering, a: LazyValue, b: LazyValue): Permutation {
  const [left, right] = [g.compact(a), g.compact(b)];
  const larger =
    a.shape.length - b.shape.length || elementCount(left.value.dims as number[]) - elementCount(right.value.dims as number[]);
  return (larger > 0 || (larger === 0 && !isIdentity(left.perm)) ? left : right).perm;
}

export const broadcastShape = (a: TypedShape, b: TypedShape) => broadcastDims(a.shape, b.shape) as number[];

type Formula = (g: Lowering, a: Value, b: Value) => Value;
interface BinaryOptions {
  /** Type in which it is computed, by the types of both operands. Default: float32 if one is, else int32. */
  computed?: (a: LazyDType, b: LazyDType) => LazyDType | 'float64';
  /** Type of the result. Default: that of a, as in TensorFlow.js's cpu kernels. */
  result?: LazyDType;
  refuses?: KernelEntry['refuses'];
  inBlocks?: InBlocks;
}

const numberType = (a: LazyDType, b: LazyDType): LazyDType => (a === 'float32' || b === 'float32' ? 'float32' : 'int32');
/** Integers are divided in float64, as JavaScript does: no fault at 0, and every int32 is exact. */
const divisionType = (a: LazyDType, b: LazyDType) => (numberType(a, b) === 'int32' ? 'float64' : 'float32');

/** 1 + 1 of bools is 2 there, and ONNX has no such bool. */
const noBools: KernelEntry['refuses'] = ([a]) => (a!.dtype === 'bool' ? 'arithmetic on bool' : undefined);

const binary = (
  formula: Formula | string,
  {computed = numberType, result, refuses, inBlocks = {}}: BinaryOptions = {},
): KernelEntry => ({
  inputs: ['a', 'b'],
  infer: ([a, b]) => [{dtype: result ?? a!.dtype, shape: broadcastShape(a!, b!)}],
  ...(refuses && {refuses}),
  lower(g, [a, b], _, [out]) {
    const apply = (u: Value, v: Value) => (typeof formula === 'string' ? g.op(formula, [u, v]) : formula(g, u, v));
    const blocks = out!.dtype === 'float32' && combineInBlocks(g, [a!, b!], out!.shape, apply, inBlocks);
    if (blocks) return g.define(out!, blocks.value, blocks.perm, true);
    const {perm, left, right} = together(g, a!, b!);
    const type = computed(a!.dtype, b!.dtype);
    const [x, y] = [convert(g, left, type), convert(g, right, type)];
    g.define(out!, convert(g, withScalar(g, x, y, apply), out!.dtype), perm);
  },
});

/**
 * A formula on a tensor and a number, the tensor as one row: where its last dimension is 1, onnxruntime would go through it number by number,
 * thirty times as slowly.
 */
function withScalar(g: Lowering, x: Value, y: Value, apply: (x: Value, y: Value) => Value): Value {
  const large = y.dims.length === 0 ? x : x.dims.length === 0 ? y : undefined;
  if (!large || large.dims.length < 2 || large.dims.at(-1) !== 1) return apply(x, y);
  const row = (v: Value) => (v === large ? g.reshape(v, [elementCount(v.dims as number[])]) : v);
  return g.reshape(apply(row(x), row(y)), large.dims as number[]);
}

const arithmetic = (formula: Formula | string, options: BinaryOptions = {}) => binary(formula, {refuses: noBools, ...options});
const comparison = (formula: Formula | string) => binary(formula, {result: 'bool'});
const logic = (opType: string) => binary(opType, {computed: () => 'bool', result: 'bool'});

/** The remainder has the sign of the divisor; ONNX's fmod has that of the dividend. */
const mod: Formula = (g, a, b) => {
  const remainder = g.op('Mod', [a, b], {fmod: 1});
  const zero = convert(g, g.scalar(0), b.dtype as 'float64');
  const signsDiffer = g.op('Less', [g.op('Mul', [remainder, g.op('Sign', [b])]), zero]);
  return g.op('Where', [signsDiffer, g.op('Add', [remainder, b]), remainder]);
};

/** Whether v has one number for each index of dimension 1 of a tensor of that shape, and none for the others. */
function isAlongChannels(v: Value, shape: readonly number[]): boolean {
  const dims = [...new Array<number>(Math.max(0, shape.length - v.dims.length)).fill(1), ...(v.dims as number[])];
  return shape[1]! > 1 && dims.length === shape.length && dims.every((d, i) => d === (i === 1 ? shape[1] : 1));
}

/** x·v + w with a number for each channel of [N, C, ..] is a batch norm of mean 0 and variance 1: one pass instead of two. */
function affine(g: Lowering, product: Value, w: Value): Value | undefined {
  const {producer, dims, dtype} = product;
  const shape = dims as number[];
  if (producer?.opType !== 'Mul' || dtype !== 'float32' || shape.length < 3 || !isAlongChannels(w, shape)) return undefined;
  const factors = producer.inputs as Value[];
  const v = factors.find((factor) => isAlongChannels(factor, shape));
  const x = factors.find((factor) => factor !== v && sameShape(factor.dims as number[], shape));
  if (!v || !x) return undefined;
  const size = [shape[1]!];
  const filled = (number: number) => g.op('Expand', [g.scalar(number), g.ints(size)]);
  return g.op('BatchNormalization', [x, g.reshape(v, size), g.reshape(w, size), filled(0), filled(1)], {epsilon: 0});
}
const sum: Formula = (g, a, b) => affine(g, a, b) ?? affine(g, b, a) ?? g.op('Add', [a, b]);

/** An image is added where a convolution leaves its result. */
const addInBlocks: InBlocks = {
  channels: (_, plus) => ({plus}),
  images: (g, a, b, perm) => followed(g, a, {sum: g.blocks(b, perm)}) ?? followed(g, b, {sum: g.blocks(a, perm)}),
};
const subtractInBlocks: InBlocks = {
  channels: (g, v, isImageFirst) =>
    isImageFirst ? {plus: g.op('Neg', [v])} : {times: filled(g, elementCount(v.dims as number[]), -1), plus: v},
};

const prelu: Formula = (g, x, alpha) => g.op('PRelu', [x, alpha]);

/** dy where y ≥ 0, else dy·(y + 1): y = eˣ − 1 there. */
const eluGrad: Formula = (g, dy, y) => g.op('Mul', [dy, g.op('Add', [g.op('Min', [y, g.scalar(0)]), g.scalar(1)])]);

const addN: KernelEntry = {
  inputs: [],
  infer: (inputs) => [inputs[0]!],
  refuses: noBools,
  lower(g, inputs, _, [out]) {
    const {perm, inBlocks} = g.form(inputs[0]!);
    const values = inputs.map((v) => (inBlocks ? g.blocks(v, perm) : convert(g, g.broadcastable(v, perm), out!.dtype)));
    // one after the other: onnxruntime's Sum of three takes three times as long as two Adds
    g.define(
      out!,
      values.reduce((a, b) => g.op('Add', [a, b])),
      perm,
      inBlocks,
    );
  },
};

export const binaryKernels: Readonly<Record<string, KernelEntry>> = {
  Add: arithmetic(sum, {inBlocks: addInBlocks}),
  AddN: addN,
  BitwiseAnd: binary('BitwiseAnd', {computed: () => 'int32', result: 'int32'}),
  EluGrad: {...binary(eluGrad), inputs: ['dy', 'y'], infer: ([, y]) => [{dtype: 'float32', shape: y!.shape}]},
  Equal: comparison('Equal'),
  FloorDiv: binary((g, a, b) => g.op('Floor', [g.op('Div', [a, b])]), {computed: () => 'float64', result: 'int32'}),
  Greater: comparison('Greater'),
  GreaterEqual: comparison('GreaterOrEqual'),
  Less: comparison('Less'),
  LessEqual: comparison('LessOrEqual'),
  LogicalAnd: logic('And'),
  LogicalOr: logic('Or'),
  Maximum: binary('Max'),
  Minimum: binary('Min'),
  Mod: arithmetic(mod, {computed: divisionType}),
  Multiply: binary('Mul', {inBlocks: {channels: (_, times) => ({times})}}), // of bools: 0 or 1
  NotEqual: comparison((g, a, b) => g.op('Not', [g.op('Equal', [a, b])])),
  Pow: arithmetic('Pow'),
  Prelu: {
    ...binary(prelu, {computed: () => 'float32', result: 'float32'}),
    inputs: ['x', 'alpha'],
    // PRelu broadcasts its slope only
    refuses: ([x, alpha]) =>
      broadcastShape(x!, alpha!).length === x!.shape.length && broadcastShape(x!, alpha!).every((d, i) => d === x!.shape[i])
        ? undefined
        : 'slopes larger than the tensor',
  },
  RealDiv: arithmetic('Div', {computed: divisionType}),
  SquaredDifference: arithmetic((g, a, b) => {
    const difference = g.op('Sub', [a, b]);
    return g.op('Mul', [difference, difference]);
  }),
  Sub: arithmetic('Sub', {inBlocks: subtractInBlocks}),
};
