/** What a chain of nodes does to each channel, from its constants: read from the file, or computed by the runtime where they are expressions. */
import {float32, type Tensor, toFloat32} from '../../core/tensor.js';
import type {Node, Value} from '../../onnx/graph.js';
import type {Subject} from '../subject.js';
import {storedTensor} from './kernels.js';
import type {Chain} from './layer-values.js';
import {Watch} from './watch.js';

/** What constant values are, by value. */
export type Constants = ReadonlyMap<Value, Tensor>;

/** The constant inputs of a chain. */
export const constantsOfChain = ({nodes}: Chain): Value[] => {
  const made = new Set(nodes.map(({output}) => output));
  return nodes.flatMap(({inputs}, i) =>
    inputs.filter((v, k): v is Value => v !== undefined && !made.has(v) && !(i === 0 && k === 0)),
  );
};

/** The numbers of constants; those of expressions cost one run of the model. */
export async function readConstants(subject: Subject, values: readonly Value[]): Promise<Constants> {
  const read = new Map<Value, Tensor>();
  const computed: Value[] = [];
  for (const value of new Set(values)) {
    const stored = storedTensor(value);
    if (stored) read.set(value, stored);
    else computed.push(value);
  }
  if (computed.length === 0) return read;
  const watch = await Watch.open(subject, computed, {});
  try {
    const {side} = subject.input;
    const results = await watch.tensors(float32([1, 3, side, side], new Float32Array(3 * side * side)), computed);
    for (const [i, value] of computed.entries()) read.set(value, results[i]!);
  } finally {
    await watch.close();
  }
  return read;
}

/** A number for each channel. Undefined where the constant is none. */
function perChannel(constant: Tensor | undefined, channels: number): Float32Array | undefined {
  if (!constant) return undefined;
  const {data} = toFloat32(constant);
  if (data.length === 1) return new Float32Array(channels).fill(data[0]!);
  return data.length === channels ? data : undefined;
}

/** The numbers of a batch norm. */
export interface NormNumbers {
  readonly scale: Float32Array;
  readonly bias: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
  readonly epsilon: number;
}

/** Undefined where they do not have a number for each channel. */
export function normNumbers(node: Node, constants: Constants, channels: number): NormNumbers | undefined {
  const [scale, bias, mean, variance] = node.inputs.slice(1, 5).map((v) => perChannel(v && constants.get(v), channels));
  return scale && bias && mean && variance ? {scale, bias, mean, variance, epsilon: node.number('epsilon', 1e-5)} : undefined;
}

/** What a chain gives for products of 0: the bias of the layer, batch norm and all. Undefined where it cannot be told. */
export function biasOfChain({head, nodes}: Chain, constants: Constants, channels: number): Float64Array | undefined {
  const own = head.inputs[2];
  let bias: Float64Array | undefined = Float64Array.from(
    own ? (perChannel(constants.get(own), channels) ?? []) : new Float32Array(channels),
  );
  for (const node of nodes.slice(1)) {
    if (bias.length !== channels) return undefined;
    bias = afterNode(node, bias, constants);
    if (!bias) return undefined;
  }
  return bias.length === channels ? bias : undefined;
}

function afterNode(node: Node, x: Float64Array, constants: Constants): Float64Array | undefined {
  if (node.opType === 'BatchNormalization') {
    const norm = normNumbers(node, constants, x.length);
    return (
      norm &&
      x.map((v, c) => ((v - norm.mean[c]!) * norm.scale[c]!) / Math.sqrt(norm.variance[c]! + norm.epsilon) + norm.bias[c]!)
    );
  }
  const at = node.inputs.findIndex((v) => v && constants.has(v));
  const by = at < 0 ? undefined : perChannel(constants.get(node.inputs[at]!), x.length);
  return by && x.map((v, c) => apply(node.opType, v, by[c]!, at === 0));
}

function apply(operator: string, x: number, by: number, turned: boolean): number {
  switch (operator) {
    case 'Add':
      return x + by;
    case 'Sub':
      return turned ? by - x : x - by;
    case 'Mul':
      return x * by;
    default:
      return x / by;
  }
}
