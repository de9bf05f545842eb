/**
 * What a network has learnt, counted: numbers, and the bytes in which they are stored. Integers are weights where an operator multiplies
 * with them or dequantises them; scales and zero points belong to the bytes, not to the numbers; shapes and axes to neither.
 */
import {byteLength, elementCount, type TensorSource} from '../core/tensor.js';
import {constantTensor} from './constant-tensor.js';
import type {Graph, Node, Value} from './graph.js';

interface Operands {
  /** Positions of inputs that may be weights as integers. */
  readonly weights: readonly number[];
  /** Positions of scales and zero points. */
  readonly scales: readonly number[];
}

/** THE table of operators that take integers for real numbers: https://onnx.ai/onnx/operators/, and onnxruntime's ContribOperators.md. */
const quantising: Readonly<Record<string, Operands>> = {
  QuantizeLinear: {weights: [], scales: [1, 2]},
  DequantizeLinear: {weights: [0], scales: [1, 2]},
  MatMulInteger: {weights: [0, 1], scales: [2, 3]},
  ConvInteger: {weights: [1], scales: [2, 3]},
  QLinearConv: {weights: [3, 8], scales: [1, 2, 4, 5, 6, 7]},
  QLinearMatMul: {weights: [0, 3], scales: [1, 2, 4, 5, 6, 7]},
  QGemm: {weights: [0, 3, 6], scales: [1, 2, 4, 5, 7, 8]},
  MatMulIntegerToFloat: {weights: [0, 1], scales: [2, 3, 4, 5]},
  DynamicQuantizeMatMul: {weights: [1], scales: [2, 3]},
  QAttention: {weights: [1], scales: [3, 4, 6, 7]},
};
Object.setPrototypeOf(quantising, null);

export interface WeightCount {
  /** Numbers. */
  readonly parameters: number;
  /** As stored, scales and zero points included. */
  readonly bytes: number;
}

export function countWeights(graph: Graph): WeightCount {
  const count = {parameters: 0, bytes: 0};
  const add = ({dtype, shape}: TensorSource, role: Role) => {
    if (role === 'weight') count.parameters += elementCount(shape);
    if (role !== 'other') count.bytes += byteLength({dtype, shape});
  };
  for (const value of graph.initializers) add(value.initializer!, roleOf(value));
  for (const node of graph.nodes) {
    const numbers = node.opType === 'Constant' ? constantTensor(node.attributes) : undefined;
    if (numbers) add({...numbers, read: () => numbers}, roleOf(node.output));
  }
  return count;
}

type Role = 'weight' | 'scale' | 'other';

/** A value with several uses is what the first of them says that comes first here. */
function roleOf(value: Value): Role {
  const isFloat = value.dtype.includes('float');
  const roles = [...value.users].flatMap((user) => rolesIn(user, value, isFloat));
  if (roles.includes('weight') || (isFloat && roles.length === 0)) return 'weight';
  return roles.includes('scale') ? 'scale' : 'other';
}

const rolesIn = ({opType, inputs}: Node, value: Value, isFloat: boolean): Role[] =>
  inputs.flatMap((input, i): Role[] => {
    if (input !== value) return [];
    if (quantising[opType]?.scales.includes(i)) return ['scale'];
    return isFloat || quantising[opType]?.weights.includes(i) ? ['weight'] : ['other'];
  });
