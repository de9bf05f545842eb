/** Products of matrices, alone, in batches and with what follows. */
import {backend_util} from '@tensorflow/tfjs-core';
import type {Value} from '../../onnx/graph.js';
import {broadcastDims} from '../../onnx/ops.js';
import {type Attributes, float32Only, type KernelEntry} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import {identity, type LazyValue, type TypedShape} from '../lowering/value.js';
import {activate, fusedInputs, refusesActivation} from './activation.js';

interface MatMulAttributes {
  transposeA: boolean;
  transposeB: boolean;
}

function productShape(a: TypedShape, b: TypedShape, {transposeA, transposeB}: MatMulAttributes): number[] {
  const rows = a.shape.at(transposeA ? -1 : -2)!;
  const columns = b.shape.at(transposeB ? -2 : -1)!;
  return [...(broadcastDims(a.shape.slice(0, -2), b.shape.slice(0, -2)) as number[]), rows, columns];
}

/** A matrix as it lies, and whether it has to be read transposed. */
function asItLies(g: Lowering, v: LazyValue, transposed: boolean): [Value, number] {
  const {value, perm} = g.any(v);
  return [value, (perm[0] === 1) !== transposed ? 1 : 0];
}

const swapLast = (rank: number) => [...identity(rank).slice(0, -2), rank - 1, rank - 2];

/** a·b, plus `addend` where one Gemm can do that. Gemm reads either side transposed; batches go to MatMul. */
function product(g: Lowering, a: LazyValue, b: LazyValue, attrs: MatMulAttributes, addend?: Value): Value {
  const isMatrix = a.shape.length === 2 && b.shape.length === 2 && a.dtype === 'float32';
  if (isMatrix) {
    const [left, transA] = asItLies(g, a, attrs.transposeA);
    const [right, transB] = asItLies(g, b, attrs.transposeB);
    return g.op('Gemm', [left, right, ...(addend ? [addend] : [])], {transA, transB});
  }
  const side = (v: LazyValue, transposed: boolean) => (transposed ? g.in(v, swapLast(v.shape.length)) : g.plain(v));
  const value = g.op('MatMul', [side(a, attrs.transposeA), side(b, attrs.transposeB)]);
  return addend ? g.op('Add', [value, addend]) : value;
}

/** Shapes that do not fit are left to TensorFlow.js, which has the words for it. */
function refuses([a, b]: readonly TypedShape[], {transposeA, transposeB}: MatMulAttributes): string | undefined {
  if (a!.dtype === 'bool' || a!.dtype !== b!.dtype) return `product of ${a!.dtype} and ${b!.dtype}`;
  const fit =
    a!.shape.length > 1 && b!.shape.length > 1 && a!.shape.at(transposeA ? -2 : -1) === b!.shape.at(transposeB ? -1 : -2);
  return fit ? undefined : `shapes [${a!.shape}] and [${b!.shape}]`;
}

const batchMatMul: KernelEntry = {
  inputs: ['a', 'b'],
  infer: ([a, b], attrs) => [{dtype: a!.dtype, shape: productShape(a!, b!, attrs)}],
  refuses,
  lower: (g, [a, b], attrs, [out]) => g.define(out!, product(g, a!, b!, attrs)),
};

const fusedMatMul: KernelEntry = {
  ...batchMatMul,
  inputs: ['a', 'b', 'bias', 'preluActivationWeights'],
  optional: true,
  refuses: (inputs, attrs: Attributes) =>
    refuses(inputs, attrs) ??
    refusesActivation(attrs) ??
    (inputs[0]!.dtype === 'float32' ? undefined : `${inputs[0]!.dtype} numbers`),
  lower(g, inputs, attrs, [out]) {
    const {bias, slopes} = fusedInputs(inputs, attrs);
    const sum = product(g, inputs[0]!, inputs[1]!, attrs, bias && g.plain(bias));
    g.define(out!, activate(g, sum, attrs, slopes && g.plain(slopes)));
  },
};

/** Two operands at most, as in TensorFlow.js; its equations name each dimension by a letter. */
const einsum: KernelEntry = {
  inputs: [],
  infer(inputs, {equation}: {equation: string}) {
    const [terms, result] = equation.replaceAll(' ', '').split('->') as [string, string];
    const sizes = new Map(terms.split(',').flatMap((term, i) => [...term].map((letter, d) => [letter, inputs[i]!.shape[d]!])));
    return [{dtype: inputs[0]!.dtype, shape: [...result].map((letter) => sizes.get(letter)!)}];
  },
  refuses(inputs, {equation}: {equation: string}) {
    if (!/^[a-z, ]+->[a-z ]*$/i.test(equation)) return `equation ${equation}`;
    const {allDims, idDims} = backend_util.decodeEinsumEquation(equation, inputs.length);
    backend_util.checkEinsumDimSizes(allDims.length, idDims, inputs as never);
    return float32Only(inputs);
  },
  lower(g, inputs, {equation}, [out]) {
    g.define(
      out!,
      g.op(
        'Einsum',
        inputs.map((v) => g.plain(v)),
        {equation},
      ),
    );
  },
};

export const matmulKernels: Readonly<Record<string, KernelEntry>> = {
  BatchMatMul: batchMatMul,
  Einsum: einsum,
  _FusedMatMul: fusedMatMul,
};
