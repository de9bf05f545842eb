/**
 * Model → the bytes of an .onnx file, as a stream: the numbers of one initializer are in memory at a time, and none is copied.
 * Everything but the tensors is encoded by protobufjs; the tensors are spliced in where it would have written them, so the
 * result is byte for byte what it would have given for the whole model. The same model gives the same bytes.
 * Fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import {GpdError} from '../core/error.js';
import {byteLength, bytesOf, type DType, type Shape, type Tensor, type TensorSource} from '../core/tensor.js';
import type {Attribute, Dims, Graph, Model, Node, Value} from './graph.js';
import {dataTypeOf} from './ops.js';
import {
  type AttributeMessage,
  attributeTypes,
  type GraphMessage,
  GraphProto,
  type ModelMessage,
  ModelProto,
  type NodeMessage,
  type TensorMessage,
  TensorProto,
  toWireInt,
  type ValueInfoMessage,
} from './proto.js';
import {concatBytes, varintBytes} from './wire.js';

export interface EncodeOptions {
  /** Tensors in a file of their own: 'auto' does so only for a model that a protobuf message cannot hold. Default 'auto'. */
  externalData?: 'never' | 'auto' | 'always';
  /** Name of that file, which will lie beside the model. Default: the name of the graph with `.data`. */
  location?: string;
  /** Also write the types of intermediate values. They can be inferred and cost space, so the default is not to. */
  valueInfo?: boolean;
}

/** Bytes that are made while they are asked for, and can be asked for again. */
export interface ByteStream {
  readonly byteLength: number;
  chunks(): Iterable<Uint8Array>;
}
export interface EncodedModel extends ByteStream {
  readonly external?: ByteStream & {readonly location: string};
}

/** A protobuf message ends at 2 GiB: https://protobuf.dev/programming-guides/proto-limits/. */
const MAX_MESSAGE = 2 ** 31 - 1;
/** Smaller tensors stay in the model: onnx.save_model's size_threshold. */
const MIN_EXTERNAL = 1024;
/**
 * Offsets must be multiples of the page for mmap, on Windows of the allocation granularity, 64 KiB (onnx.proto, external_data);
 * for small tensors the padding is not worth it, as in onnx_ir's external_data.py.
 */
const alignmentOf = (bytes: number): number => (bytes >= 2 ** 20 ? 65536 : 4096);

/** An ONNX model as the bytes of a file, in pieces. */
export function encodeModel(model: Model, options: EncodeOptions = {}): EncodedModel {
  const {externalData = 'auto'} = options;
  if (externalData === 'always') return encodeExternal(model, options);
  const inside = encodeInside(model, options, new Map());
  if (inside.byteLength <= MAX_MESSAGE) return inside;
  if (externalData === 'auto') return encodeExternal(model, options);
  throw new GpdError('LIMIT_EXCEEDED', `the model needs ${inside.byteLength} bytes, a protobuf message holds ${MAX_MESSAGE}`, {
    at: model.graph.name,
    hint: 'a model of this size can be written as ONNX in fp32 alone, as it is, with its weights in a file beside it',
  });
}

/** All bytes of a model that is small enough to hold. */
export const modelBytes = (model: Model, options: EncodeOptions = {}): Uint8Array =>
  concatenate(encodeModel(model, {...options, externalData: 'never'}));

export function concatenate(stream: ByteStream): Uint8Array {
  const bytes = new Uint8Array(stream.byteLength);
  let offset = 0;
  for (const chunk of stream.chunks()) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/** Where a tensor lies in the external file. */
interface Placement {
  location: string;
  offset: number;
  length: number;
}

function encodeExternal(model: Model, options: EncodeOptions): EncodedModel {
  const {location = `${model.graph.name}.data`} = options;
  const placements = new Map<Value, Placement>();
  let end = 0;
  for (const value of model.graph.initializers) {
    const length = byteLength(value.initializer!);
    if (length < MIN_EXTERNAL) continue;
    const offset = Math.ceil(end / alignmentOf(length)) * alignmentOf(length);
    placements.set(value, {location, offset, length});
    end = offset + length;
  }
  const external = {location, byteLength: end, chunks: () => externalChunks(placements)};
  return {...encodeInside(model, options, placements), external};
}

function* externalChunks(placements: ReadonlyMap<Value, Placement>): Generator<Uint8Array> {
  let end = 0;
  for (const [{initializer}, {offset, length}] of placements) {
    if (offset > end) yield new Uint8Array(offset - end);
    yield tensorBytes(initializer!);
    end = offset + length;
  }
}

function encodeInside(
  model: Model,
  {valueInfo = false}: EncodeOptions,
  placements: ReadonlyMap<Value, Placement>,
): EncodedModel {
  const {graph} = model;
  const head = graphHead(graph);
  const tensors = graph.initializers.map((value) => tensorField(value, placements.get(value)));
  const tail = GraphProto.encode(graphTail(graph, valueInfo)).finish();
  const graphLength = head.length + tail.length + tensors.reduce((n, t) => n + t.head.length + t.byteLength, 0);
  const before = concatBytes([ModelProto.encode(modelHead(model)).finish(), tagged(MODEL_GRAPH, graphLength), head]);
  const after = concatBytes([tail, ModelProto.encode(modelTail(model)).finish()]);
  return {
    byteLength: before.length + graphLength - head.length - tail.length + after.length,
    *chunks() {
      yield before;
      for (const {head, source} of tensors) {
        yield head;
        if (source) yield tensorBytes(source);
      }
      yield after;
    },
  };
}

// Fields that are written here rather than by protobufjs: number · 8 + 2 (length-delimited).
const MODEL_GRAPH = 0x3a; // ModelProto.graph = 7
const GRAPH_INITIALIZER = 0x2a; // GraphProto.initializer = 5
const TENSOR_RAW_DATA = 0x4a; // TensorProto.raw_data = 9

const tagged = (tag: number, length: number): Uint8Array => Uint8Array.from([tag, ...varintBytes(length)]);

interface TensorField {
  /** All bytes of the field before the numbers. */
  head: Uint8Array;
  /** Bytes of the numbers that follow. */
  byteLength: number;
  /** Absent where the numbers are in the external file. */
  source?: TensorSource;
}

function tensorField({name, initializer}: Value, placement: Placement | undefined): TensorField {
  const source = initializer!;
  const message = {...tensorMessage(name, source.dtype, source.shape), ...(placement ? externalFields(placement) : {})};
  const fields = TensorProto.encode(message).finish();
  if (placement) return {head: concatBytes([tagged(GRAPH_INITIALIZER, fields.length), fields]), byteLength: 0};
  const length = byteLength(source);
  const raw = tagged(TENSOR_RAW_DATA, length);
  const start = tagged(GRAPH_INITIALIZER, fields.length + raw.length + length);
  return {head: concatBytes([start, fields, raw]), byteLength: length, source};
}

const tensorMessage = (name: string, dtype: DType, shape: Shape): TensorMessage => ({
  dims: [...shape],
  dataType: dataTypeOf(dtype),
  name,
});

const externalFields = ({location, offset, length}: Placement): TensorMessage => ({
  externalData: Object.entries({location, offset, length}).map(([key, value]) => ({key, value: String(value)})),
  dataLocation: 1, // TensorProto.DataLocation.EXTERNAL
});

function tensorBytes(source: TensorSource): Uint8Array {
  const bytes = bytesOf(source.read());
  if (bytes.length === byteLength(source)) return bytes;
  throw new Error(`a tensor of ${byteLength(source)} bytes was read as ${bytes.length}`);
}

const modelHead = ({irVersion, producer}: Model): ModelMessage => ({
  irVersion,
  ...(producer.name === '' ? {} : {producerName: producer.name}),
  ...(producer.version === '' ? {} : {producerVersion: producer.version}),
});

const modelTail = ({opset, domains, metadata}: Model): ModelMessage => ({
  opsetImport: [['', opset] as const, ...domains].map(([domain, version]) => ({domain, version})),
  metadataProps: [...metadata].map(([key, value]) => ({key, value})),
});

const graphHead = (graph: Graph): Uint8Array =>
  GraphProto.encode({node: graph.nodes.map(nodeMessage), name: graph.name}).finish();

function graphTail(graph: Graph, valueInfo: boolean): GraphMessage {
  const intermediates = valueInfo ? graph.nodes.flatMap((node) => node.outputs) : [];
  return {
    input: graph.inputs.map(valueInfoMessage),
    output: graph.outputs.map(valueInfoMessage),
    valueInfo: intermediates.filter((v) => v.name !== '' && v.shape && !graph.outputs.includes(v)).map(valueInfoMessage),
  };
}

const valueInfoMessage = ({name, dtype, shape}: Value): ValueInfoMessage => ({
  name,
  type: {tensorType: {elemType: dataTypeOf(dtype), ...(shape ? {shape: {dim: shape.map(dimMessage)}} : {})}},
});
const dimMessage = (d: Dims[number]) => (typeof d === 'number' ? {dimValue: d} : d === '' ? {} : {dimParam: d});

function nodeMessage(node: Node): NodeMessage {
  return {
    input: withoutTrailing(node.inputs.map((v) => v?.name ?? '')),
    output: withoutTrailing(node.outputs.map((v) => v.name)),
    name: node.name,
    opType: node.opType,
    attribute: [...node.attributes].map(([name, attribute]) => attributeMessage(name, attribute)),
    ...(node.domain === '' ? {} : {domain: node.domain}),
  };
}

/** Inputs and outputs that are left out have the name ''; at the end they need not be written. */
function withoutTrailing(names: readonly string[]): string[] {
  return names.slice(0, names.findLastIndex((name) => name !== '') + 1);
}

const utf8 = new TextEncoder();

function attributeMessage(name: string, attribute: Attribute): AttributeMessage {
  return {name, type: attributeTypes[attribute.kind], ...attributeFields(attribute)};
}

function attributeFields({kind, value}: Attribute): AttributeMessage {
  switch (kind) {
    case 'int':
      return {i: toWireInt(value)};
    case 'float':
      return {f: value};
    case 'string':
      return {s: utf8.encode(value)};
    case 'ints':
      return {ints: value.map(toWireInt)};
    case 'floats':
      return {floats: [...value]};
    case 'strings':
      return {strings: value.map((s) => utf8.encode(s))};
    case 'tensor':
      return {t: wholeTensor('', value)};
    case 'graph':
      return {g: subgraphMessage(value)};
  }
}

const wholeTensor = (name: string, tensor: Tensor): TensorMessage => {
  const {name: _, ...unnamed} = tensorMessage(name, tensor.dtype, tensor.shape);
  return {...unnamed, ...(name === '' ? {} : {name}), rawData: bytesOf(tensor)};
};

/** The graph of an attribute (Loop, If): its tensors are small, they are encoded with it. */
const subgraphMessage = (graph: Graph): GraphMessage => ({
  node: graph.nodes.map(nodeMessage),
  name: graph.name,
  initializer: graph.initializers.map((value) => wholeTensor(value.name, value.initializer!.read())),
  ...graphTail(graph, false),
});
