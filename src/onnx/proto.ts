/**
 * The ONNX messages as `onnx-proto` generates them; nobody else imports it. It knows ONNX 1.10 (IR 8): later releases added enum
 * values, which are plain integers on the wire, and fields that are not used here.
 * Source of the format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import onnxProto from 'onnx-proto';

/** An int64 as protobufjs gives it: a number, or a Long where that package is installed. */
export type WireInt = number | {toNumber(): number};
type Maybe<T> = T | null | undefined;

// The fields that are used, in types of our own: the package's d.ts would ask every user of ours for the types of `long`.
export interface EntryMessage {
  key?: Maybe<string>;
  value?: Maybe<string>;
}
export interface DimensionMessage {
  dimValue?: Maybe<WireInt>;
  dimParam?: Maybe<string>;
}
export interface ValueInfoMessage {
  name?: Maybe<string>;
  type?: Maybe<{
    sequenceType?: Maybe<object>;
    tensorType?: Maybe<{elemType?: Maybe<number>; shape?: Maybe<{dim?: Maybe<DimensionMessage[]>}>}>;
  }>;
}
export interface TensorMessage {
  name?: Maybe<string>;
  dims?: Maybe<WireInt[]>;
  dataType?: Maybe<number>;
  dataLocation?: Maybe<number>;
  segment?: Maybe<{begin?: Maybe<WireInt>}>;
  externalData?: Maybe<EntryMessage[]>;
  rawData?: Maybe<Uint8Array>;
  floatData?: Maybe<number[]>;
  int32Data?: Maybe<number[]>;
  int64Data?: Maybe<WireInt[]>;
  uint64Data?: Maybe<WireInt[]>;
  doubleData?: Maybe<number[]>;
  stringData?: Maybe<Uint8Array[]>;
}
export interface AttributeMessage {
  name?: Maybe<string>;
  refAttrName?: Maybe<string>;
  type?: Maybe<number>;
  f?: Maybe<number>;
  i?: Maybe<WireInt>;
  s?: Maybe<Uint8Array>;
  t?: Maybe<TensorMessage>;
  g?: Maybe<GraphMessage>;
  floats?: Maybe<number[]>;
  ints?: Maybe<WireInt[]>;
  strings?: Maybe<Uint8Array[]>;
}
export interface NodeMessage {
  name?: Maybe<string>;
  opType?: Maybe<string>;
  domain?: Maybe<string>;
  input?: Maybe<string[]>;
  output?: Maybe<string[]>;
  attribute?: Maybe<AttributeMessage[]>;
}
export interface GraphMessage {
  name?: Maybe<string>;
  node?: Maybe<NodeMessage[]>;
  initializer?: Maybe<TensorMessage[]>;
  sparseInitializer?: Maybe<object[]>;
  input?: Maybe<ValueInfoMessage[]>;
  output?: Maybe<ValueInfoMessage[]>;
  valueInfo?: Maybe<ValueInfoMessage[]>;
}
export interface ModelMessage {
  irVersion?: Maybe<WireInt>;
  opsetImport?: Maybe<{domain?: Maybe<string>; version?: Maybe<WireInt>}[]>;
  producerName?: Maybe<string>;
  producerVersion?: Maybe<string>;
  graph?: Maybe<GraphMessage>;
  functions?: Maybe<object[]>;
  metadataProps?: Maybe<EntryMessage[]>;
}
/** What protobufjs makes of a message. */
export interface MessageCodec<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): {finish(): Uint8Array};
}
interface Messages {
  ModelProto: MessageCodec<ModelMessage>;
  GraphProto: MessageCodec<GraphMessage>;
  TensorProto: MessageCodec<TensorMessage>;
}

// The package is CommonJS: under Node's ESM its exports are the default import, and so they are under jest.
export const {ModelProto, GraphProto, TensorProto}: Messages = (onnxProto as unknown as {onnx: Messages}).onnx;

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
export function fromWireInt(value: Maybe<WireInt>): number {
  return typeof value === 'object' && value !== null ? value.toNumber() : (value ?? 0);
}
