/** Kernels that work number by number. They keep whatever order of dimensions their operands have. */
import {broadcastDims} from '../../onnx/ops.js';
import type {KernelEntry} from '../kernel-entry.js';
import type {Lowering} from '../lowering.js';
import type {LazyDType, LazyValue} from '../value.js';

const unary = (opType: string, attributes = {}): KernelEntry => ({
  inputs: ['x'],
  infer: ([x]) => [{dtype: x!.dtype, shape: x!.shape}],
  lower(g, [x], _, [out]) {
    const {value, perm} = g.any(x!);
    g.define(out!, g.op(opType, [value], attributes), perm);
  },
});

/** Both operands in one order: that of the one with more dimensions. */
export function together(g: Lowering, a: LazyValue, b: LazyValue) {
  const {perm} = g.any(a.shape.length >= b.shape.length ? a : b);
  return {perm, left: g.broadcastable(a, perm), right: g.broadcastable(b, perm)};
}

const binary = (opType: string, result?: LazyDType): KernelEntry => ({
  inputs: ['a', 'b'],
  infer: ([a, b]) => [{dtype: result ?? a!.dtype, shape: broadcastDims(a!.shape, b!.shape) as number[]}],
  lower(g, [a, b], _, [out]) {
    const {perm, left, right} = together(g, a!, b!);
    g.define(out!, g.op(opType, [left, right]), perm);
  },
});

export const elementwiseKernels: Readonly<Record<string, KernelEntry>> = {
  Relu: unary('Relu'),
  Sqrt: unary('Sqrt'),
  Neg: unary('Neg'),
  Exp: unary('Exp'),
  Add: binary('Add'),
  Sub: binary('Sub'),
  Multiply: binary('Mul'),
  RealDiv: binary('Div'),
};
