/** Nodes without effect. What is left of a network after other rules, and what exporters leave behind. */
import {elementCount, toFloat32} from '../../core/tensor.js';
import {constantTensor} from '../constant-tensor.js';
import type {Node, Value} from '../graph.js';
import {constantInts, dtypeOfDataType, OPEN_END} from '../ops.js';
import {any, type ConstantValue, constant, ints, type Miss, miss, op, optional, type Rule, rest, rule} from '../pattern.js';

const sameDims = (x: Value, y: Value): boolean =>
  x.shape !== undefined && x.shape.length === y.shape?.length && x.shape.every((d, i) => d === y.shape![i]);

/** Larger constants are weights; looking for a tensor of ones among them is not worth reading them. */
const MAX_LOOKED_AT = 65536;
const isFilledWith = ({initializer}: ConstantValue, number: number): boolean =>
  elementCount(initializer.shape) <= MAX_LOOKED_AT && toFloat32(initializer.read()).data.every((n) => n === number);

/** The constant is neutral, and does not widen the other operand by broadcasting. */
function whyNotNeutral(x: Value, neutral: ConstantValue, number: number, node: Node): Miss | undefined {
  if (!isFilledWith(neutral, number)) return miss(`the constant is not ${number} everywhere`, neutral);
  const keepsShape = neutral.initializer.shape.length === 0 || sameDims(x, node.output);
  return keepsShape ? undefined : miss('the constant broadcasts the other operand', node);
}

/** Identity(x) → x */
const eliminateIdentity = rule({
  name: 'eliminate-identity',
  match: op('Identity', [any('x')], 'identity'),
  rewrite: ({x}) => x,
});

/** Dropout(x) → x, unless it is told to train. Its second output, the mask, must be unused. */
const eliminateDropout = rule({
  name: 'eliminate-dropout',
  match: op('Dropout', [any('x'), optional(any('ratio')), optional(any('training'))], 'dropout'),
  check({training, dropout}) {
    const inference = !training || (training.initializer && toFloat32(training.initializer.read()).data.every((t) => t === 0));
    return inference ? undefined : miss('Dropout may be in training mode', dropout);
  },
  rewrite: ({x}) => x,
});

/** x·1 → x, 1·x → x */
const eliminateTimesOne = rule({
  name: 'eliminate-times-one',
  match: op('Mul', [any('x'), constant('one')], 'mul'),
  check: ({x, one, mul}) => whyNotNeutral(x, one, 1, mul),
  rewrite: ({x}) => x,
});

/** x/1 → x */
const eliminateOverOne = rule({
  name: 'eliminate-over-one',
  match: op('Div', [any('x'), constant('one')], 'div'),
  check: ({x, one, div}) => whyNotNeutral(x, one, 1, div),
  rewrite: ({x}) => x,
});

/** x + 0 → x, 0 + x → x */
const eliminatePlusZero = rule({
  name: 'eliminate-plus-zero',
  match: op('Add', [any('x'), constant('zero')], 'add'),
  check: ({x, zero, add}) => whyNotNeutral(x, zero, 0, add),
  rewrite: ({x}) => x,
});

/** x − 0 → x */
const eliminateMinusZero = rule({
  name: 'eliminate-minus-zero',
  match: op('Sub', [any('x'), constant('zero')], 'sub'),
  check: ({x, zero, sub}) => whyNotNeutral(x, zero, 0, sub),
  rewrite: ({x}) => x,
});

/** Transpose with every dimension in its place → x */
const eliminateTranspose = rule({
  name: 'eliminate-transpose',
  match: op('Transpose', [any('x')], 'transpose'),
  check({transpose}) {
    const perm = transpose.numbers('perm'); // without it the dimensions are reversed
    return perm.length > 0 && perm.every((p, i) => p === i) ? undefined : miss('the dimensions are permuted', transpose);
  },
  rewrite: ({x}) => x,
});

/** Reshape, Flatten to the shape that is there → x */
const eliminateReshape = rule({
  name: 'eliminate-reshape',
  match: op(['Reshape', 'Flatten'], [any('x'), optional(any('target'))], 'reshape'),
  check: ({x, reshape}) => (sameDims(x, reshape.output) ? undefined : miss('the shape changes, or is not known', reshape)),
  rewrite: ({x}) => x,
});

/** Cast to the type that is there → x. Where the shape is not known the type is not either: the operator before is unknown. */
const eliminateCast = rule({
  name: 'eliminate-cast',
  match: op('Cast', [any('x')], 'cast'),
  check({x, cast}) {
    const to = dtypeOfDataType(cast.number('to', 0));
    return x.shape && to === x.dtype ? undefined : miss(`${x.dtype} is cast to ${to}`, cast);
  },
  rewrite: ({x}) => x,
});

/** Slice of everything → x */
const eliminateSlice = rule({
  name: 'eliminate-slice',
  match: op('Slice', [any('x'), ints('starts'), ints('ends'), optional(any('axes')), optional(any('steps'))], 'slice'),
  check({x, starts, ends, axes, steps, slice}) {
    const along = axes ? constantInts(axes) : starts.map((_, i) => i);
    const strides = steps ? constantInts(steps) : starts.map(() => 1);
    const isWhole = (end: number, i: number) => {
      const size = x.shape?.at(along?.[i] ?? Number.NaN);
      return end >= OPEN_END || (typeof size === 'number' && end >= size);
    };
    const all = along && starts.every((s) => s === 0) && strides?.every((s) => s === 1) && ends.every(isWhole);
    return all ? undefined : miss('a part is cut off', slice);
  },
  rewrite: ({x}) => x,
});

/** Pad by nothing → x */
const eliminatePad = rule({
  name: 'eliminate-pad',
  match: op('Pad', [any('x'), ints('pads'), rest('more')], 'pad'),
  check: ({pads, pad}) => (pads.every((p) => p === 0) ? undefined : miss('something is added', pad)),
  rewrite: ({x}) => x,
});

/** Concat of one → x */
const eliminateConcat = rule({
  name: 'eliminate-concat',
  match: op('Concat', [any('x')], 'concat'),
  rewrite: ({x}) => x,
});

/** Constant node → initializer */
const constantToInitializer = rule({
  name: 'constant-to-initializer',
  match: op('Constant', [], 'node'),
  rewrite({node}, g) {
    const numbers = constantTensor(node.attributes);
    return numbers ? g.initializer(node.output.name, numbers) : miss('the value is not a tensor of numbers', node);
  },
});

export const eliminateRules: readonly Rule[] = [
  constantToInitializer, // first: the others look for initializers
  eliminateIdentity,
  eliminateDropout,
  eliminateTimesOne,
  eliminateOverOne,
  eliminatePlusZero,
  eliminateMinusZero,
  eliminateTranspose,
  eliminateReshape,
  eliminateCast,
  eliminateSlice,
  eliminatePad,
  eliminateConcat,
];
