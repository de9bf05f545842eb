/**
 * The ONNX messages as `onnx-proto` generates them; nobody else imports it. It knows ONNX 1.10 (IR 8): later releases added enum
 * values, which are plain integers on the wire, and fields that are not used here.
 * Source of the format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import onnxProto, {type onnx} from 'onnx-proto';

// The package is CommonJS: under Node's ESM its exports are the default import, and so they are under jest.
const messages = (onnxProto as unknown as {onnx: typeof onnx}).onnx;

export type ModelMessage = onnx.IModelProto;
export type GraphMessage = onnx.IGraphProto;
export type NodeMessage = onnx.INodeProto;
export type AttributeMessage = onnx.IAttributeProto;
export type TensorMessage = onnx.ITensorProto;
export type ValueInfoMessage = onnx.IValueInfoProto;

export const {ModelProto, GraphProto, TensorProto} = messages;

/** AttributeProto.AttributeType. */
export const attributeTypes = {float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8} as const;

const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

/** A number as protobufjs writes an int64. INT64_MAX, the usual "to the end" of Slice, is 2⁶³ as a number: it is clamped. */
export function toWireInt(value: number): number {
  if (Number.isSafeInteger(value)) return value;
  if (!Number.isInteger(value)) throw new Error(`${value} is not an integer`);
  const exact = BigInt(value);
  const clamped = exact > MAX_INT64 ? MAX_INT64 : exact < MIN_INT64 ? MIN_INT64 : exact;
  const long = {low: Number(BigInt.asIntN(32, clamped)), high: Number(BigInt.asIntN(32, clamped >> 32n)), unsigned: false};
  return long as unknown as number; // a Long is what the field takes; its class is not needed
}

/** An int64 field (a number, or a Long where protobufjs has one) as a number; beyond 2⁵³ it is rounded. */
export function fromWireInt(value: number | {toNumber(): number} | null | undefined): number {
  return typeof value === 'object' && value !== null ? value.toNumber() : (value ?? 0);
}
