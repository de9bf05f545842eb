/**
 * What parsers of runtimes ask of a node beyond having its operator. A rule gives what is wrong, or undefined; each names its source.
 * Only what is in the file can be seen: a rule that needs numbers holds a computed input to be wrong.
 */
import type {Node, Value} from '../onnx/graph.js';

export type TargetRule = (node: Node) => string | undefined;

const only =
  (opTypes: readonly string[], rule: TargetRule): TargetRule =>
  (node) =>
    node.domain === '' && opTypes.includes(node.opType) ? rule(node) : undefined;

const numbersOf = (value: Value | undefined): number[] | undefined =>
  value?.initializer && Array.from(value.initializer.read().data as ArrayLike<number | bigint>, Number);

/**
 * TensorRT quantises to int8 around zero. Type, zero point and number of scales: QuantDequantLinearHelper of
 * https://github.com/onnx/onnx-tensorrt/blob/8.6-GA/builtin_op_importers.cpp; int32: the layer behind takes "only activation types"
 * (https://github.com/microsoft/onnxruntime/issues/17738).
 */
export const symmetricInt8: TargetRule = only(['QuantizeLinear', 'DequantizeLinear'], (node) => {
  const [x, scale, zeroPoint] = node.inputs;
  const integers = node.opType === 'QuantizeLinear' ? zeroPoint : x;
  if (!zeroPoint) return 'has no zero point';
  if (integers?.dtype !== 'int8') return `of ${integers?.dtype} numbers: it takes int8 alone`;
  const [scales, zeros] = [numbersOf(scale), numbersOf(zeroPoint)];
  if (!scales || !zeros) return 'its scale or zero point is computed';
  if (zeros.some((zero) => zero !== 0)) return `has the zero point ${zeros.find((zero) => zero !== 0)}: it takes 0 alone`;
  if (zeros.length !== scales.length) return `has ${scales.length} scales and ${zeros.length} zero points`;
  if (scales.some((s) => !(s > 0))) return 'has a scale that is not positive';
  return scales.length > 1 ? wrongChannels(node, x!, scales.length) : undefined;
});

/** Several scales are those of the channels of a weight. */
function wrongChannels(node: Node, x: Value, scales: number): string | undefined {
  if (!x.initializer) return `has ${scales} scales for an activation: it takes one`;
  const axis = node.number('axis', 1);
  const channels = x.initializer.shape[axis < 0 ? axis + x.initializer.shape.length : axis];
  return channels === scales ? undefined : `has ${scales} scales for ${channels} channels`;
}

/** Resize-18's antialias. TensorRT: "Antialiasing is not supported"; OpenVINO reads Resize as opset 11 has it, and would leave it out. */
export const noAntialias: TargetRule = only(['Resize'], (node) =>
  node.number('antialias', 0) === 1 ? 'smooths (antialias)' : undefined,
);

/** "`Indices` output tensor unsupported": operators.md of onnx-tensorrt. */
export const noPoolIndices: TargetRule = only(['MaxPool'], ({outputs}) =>
  outputs.length > 1 && outputs[1]!.name !== '' ? 'gives the places of its maxima' : undefined,
);

/** "`sorted` must be 1. `K` input must be less than 3840": operators.md of onnx-tensorrt. */
export const smallSortedTopK: TargetRule = only(['TopK'], (node) => {
  const k = numbersOf(node.inputs[1])?.[0];
  if (node.number('sorted', 1) !== 1) return 'gives the best unsorted';
  return k === undefined || k < 3840 ? undefined : `asks for the best ${k}: it takes fewer than 3840`;
});

/** Inputs that "must be an initializer" (operators.md of onnx-tensorrt), by operator. */
const constantInputs: Readonly<Record<string, number>> = {
  ...{Slice: 3, Pad: 3, Squeeze: 1, Unsqueeze: 1, CumSum: 1, OneHot: 1},
  ...{ReduceL1: 1, ReduceL2: 1, ReduceLogSum: 1, ReduceLogSumExp: 1, ReduceMax: 1, ReduceMean: 1, ReduceMin: 1},
  ...{ReduceProd: 1, ReduceSum: 1, ReduceSumSquare: 1},
};
export const constantAxes: TargetRule = only(Object.keys(constantInputs), (node) => {
  const input = node.inputs[constantInputs[node.opType]!];
  return !input || input.initializer || input.producer?.opType === 'Constant'
    ? undefined
    : `computes '${input.name}', which has to be constant`;
});
