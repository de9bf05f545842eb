/**
 * The element types of an operator's results. They follow from the types of its inputs and its attributes alone, so that they are known
 * where no shape is. Source: https://onnx.ai/onnx/operators/ (type constraints).
 */
import type {Node, Value} from './graph.js';
import {dtypeOfDataType, type ValueType} from './op-shapes.js';

type Inputs = readonly (Value | undefined)[];
/** Types of the outputs, in order; what is left out has the type of the first input. */
type ResultTypes = (node: Node, inputs: Inputs) => readonly (ValueType | undefined)[];

const always =
  (...types: readonly ValueType[]): ResultTypes =>
  () =>
    types;
/** The type of the input at that position. */
const ofInput =
  (index: number): ResultTypes =>
  (_, inputs) => [inputs[index]?.dtype];
/** The type that an attribute names. */
const named =
  (attribute: string, otherwise?: ValueType): ResultTypes =>
  (node) => [node.attributes.has(attribute) ? dtypeOfDataType(node.number(attribute, 0)) : otherwise];

function constantType({attributes}: Node): readonly (ValueType | undefined)[] {
  const [name] = [...attributes.keys()];
  const value = name === undefined ? undefined : attributes.get(name);
  if (value?.kind === 'tensor') return [value.value.dtype];
  return [/int/.test(name ?? '') ? 'int64' : /string/.test(name ?? '') ? 'string' : 'float32'];
}

const predicates = [
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'And',
  'Or',
  'Xor',
  'Not',
  'IsNaN',
  'IsInf',
] as const;

/** THE table of operators whose results have another type than their first input. */
const resultTypes: Readonly<Record<string, ResultTypes>> = {
  ...Object.fromEntries(predicates.map((name) => [name, always('bool')])),
  Cast: named('to'),
  CastLike: ofInput(1),
  Where: ofInput(1),
  OneHot: ofInput(2),
  Shape: always('int64'),
  Size: always('int64'),
  NonZero: always('int64'),
  NonMaxSuppression: always('int64'),
  ArgMax: always('int64'),
  ArgMin: always('int64'),
  TopK: (_, [x]) => [x?.dtype, 'int64'],
  Unique: (_, [x]) => [x?.dtype, 'int64', 'int64', 'int64'],
  MaxPool: (_, [x]) => [x?.dtype, 'int64'],
  Dropout: (_, [x]) => [x?.dtype, 'bool'],
  Constant: constantType,
  ConstantOfShape: constantType,
  EyeLike: named('dtype'),
  RandomNormal: named('dtype', 'float32'),
  RandomUniform: named('dtype', 'float32'),
  RandomNormalLike: named('dtype'),
  RandomUniformLike: named('dtype'),
  Multinomial: named('dtype', 'int32'),
  QuantizeLinear: (_, [, , zeroPoint]) => [zeroPoint?.dtype ?? 'uint8'],
  DequantizeLinear: ofInput(1),
  DynamicQuantizeLinear: always('uint8', 'float32', 'uint8'),
  MatMulInteger: always('int32'),
  ConvInteger: always('int32'),
  QLinearConv: ofInput(7),
  QLinearMatMul: ofInput(7),
};
Object.setPrototypeOf(resultTypes, null);

/** The type of each output. Of an operator that is not in the table, or is of another domain, it is that of the first input. */
export function typesOfOutputs(node: Node, count: number): ValueType[] {
  const first = node.inputs.find(Boolean)?.dtype ?? 'float32';
  const types = node.domain === '' ? (resultTypes[node.opType]?.(node, node.inputs) ?? []) : [];
  return Array.from({length: count}, (_, i) => types[i] ?? first);
}
