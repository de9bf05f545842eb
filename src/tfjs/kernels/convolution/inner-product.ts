/**
 * Sums of products, Σ a·b over everything but one dimension, as batch norm and its gradient need them. The products need not be written:
 * what lies behind the dimension that stays are rows, and one row times another is a product of matrices.
 */
import {elementCount, sameShape} from '../../../core/tensor.js';
import type {Value} from '../../../onnx/graph.js';
import type {Lowering} from '../../lowering/lowering.js';
import type {Strategy} from '../../lowering/strategies.js';
import type {LazyValue} from '../../lowering/value.js';

/** What a value is the product of, number by number, if it is one that is needed for nothing else. */
export function factorsOf(g: Lowering, v: LazyValue): [LazyValue, LazyValue] | undefined {
  const {producer} = v;
  const [a, b = a] = producer?.inputs ?? [];
  if (!a || !b || !g.isUsedOnce(v) || (producer!.kernel !== 'Multiply' && producer!.kernel !== 'Square')) return undefined;
  return [a, b].every((v) => v.dtype === 'float32' && sameShape(v.shape, producer!.outputs[0]!.shape)) ? [a, b] : undefined;
}

/** Σ x over all dimensions but `kept`, [size of it], if x is a product of two values in the same order; else undefined. */
export function sumOfProducts(g: Lowering, x: LazyValue, kept: number): Value | undefined {
  const factors = factorsOf(g, x);
  if (!factors) return undefined;
  const forms = factors.map((v) => g.form(v));
  if (forms.some(({inBlocks}) => inBlocks)) return undefined; // so is the product
  const {perm} = g.any(factors[0]);
  const place = perm.indexOf(kept);
  if (place === perm.length - 1 || String(g.any(factors[1]).perm) !== String(perm)) return undefined;
  const physical = perm.map((d) => x.shape[d]!);
  const [before, row] = [elementCount(physical.slice(0, place)), elementCount(physical.slice(place + 1))];
  const size = physical[place]!;
  const plain: Strategy = (h, [a, b]) => {
    const axes = h.ints(perm.flatMap((d, i) => (d === kept ? [] : [i])));
    const product = h.op('Mul', [h.in(a!, perm), h.in(b!, perm)]);
    return {value: h.op('ReduceSum', [product, axes], {keepdims: 0}), perm: [0]};
  };
  const rows: Strategy = (h, [a, b]) => {
    const [left, right] = [a!, b!].map((v) => h.reshape(h.in(v, perm), [before * size, 1, row])) as [Value, Value];
    const products = h.internal('com.microsoft', 'FusedMatMul', [left, right], {transB: 1}, [before * size, 1, 1]);
    const sums = h.reshape(products, [before, size]);
    return {value: before === 1 ? h.reshape(sums, [size]) : h.op('ReduceSum', [sums, h.ints([0])], {keepdims: 0}), perm: [0]};
  };
  return g.fastest(`sum of products but ${kept}`, factors, {plain, rows}).value;
}
