/**
 * The bytes of an .onnx file → Model. The bytes are not trusted: `wire.ts` has looked at them before protobufjs does, numbers stay
 * in the file, and every reference must be to something that is defined before. Operators that are not known here are read like
 * any other. Names and order are as in the file; an initializer that is listed as an input too (IR 3) is a constant.
 * Not read: doc strings, training information, quantisation annotations, the version of the model.
 */
import {type ByteSource, bufferSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {ViewBudget} from '../core/memory-budget.js';
import type {Tensor} from '../core/tensor.js';
import {MAX_READ_OPSET} from './check.js';
import {constantTensor} from './constant-tensor.js';
import {decodeTensor, MAX_ONNX_RANK, type ModelBytes} from './decode-tensor.js';
import type {OpenExternal} from './external-data.js';
import {type Attribute, type Dim, type Dims, Graph, type Model, type Node, type Value} from './graph.js';
import {typesOfOutputs} from './op-types.js';
import {dtypeOfDataType, inferOutputs, type OutputType} from './ops.js';
import {
  type AttributeMessage,
  attributeTypes,
  fromWireInt,
  type GraphMessage,
  type ModelMessage,
  ModelProto,
  type NodeMessage,
  type ValueInfoMessage,
} from './proto.js';
import {scanModel} from './wire.js';

export interface DecodeOptions {
  /** Opens the files with external data, see `externalFilesIn`. Without it a model that has some is refused. */
  openExternal?: OpenExternal;
  /**
   * What becomes of Constant nodes with numbers: 'nodes' (default) is what the file says, 'initializers' is what rewriting looks for,
   * and what shapes are inferred from. Text and sparse tensors stay nodes.
   */
  constants?: 'nodes' | 'initializers';
}

/** The tensors are read from `input` when they are asked for: a source stays open as long as the model is used. */
export function decodeModel(input: Uint8Array | ByteSource, {openExternal, constants = 'nodes'}: DecodeOptions = {}): Model {
  const source = input instanceof Uint8Array ? bufferSource(input, 'model') : input;
  const read = input instanceof Uint8Array ? viewsOf(input) : (offset: number, length: number) => source.read(offset, length);
  const {skeleton, payloads} = scanModel(source);
  const message = decodeMessage(skeleton, source.name);
  const views = new ViewBudget(source.size);
  const bytes = {source, read, payloads, views, openExternal: openExternal && counted(openExternal, views)};
  return new ModelDecoder(bytes, constants).model(message);
}

/** Each file beside the model adds to what its tensors may take. */
function counted(open: OpenExternal, views: ViewBudget): OpenExternal {
  const known = new Set<ByteSource>();
  return (location) => {
    const file = open(location);
    if (!known.has(file)) views.extend(file.size);
    known.add(file);
    return file;
  };
}

const viewsOf = (bytes: Uint8Array) => (offset: number, length: number) => bytes.subarray(offset, offset + length);

function decodeMessage(skeleton: Uint8Array, name: string): ModelMessage {
  try {
    return ModelProto.decode(skeleton);
  } catch (error) {
    throw new GpdError('CHECKPOINT_CORRUPT', `${name}: ${(error as Error).message}`, {
      at: name,
      hint: 'the file is damaged, or is not an ONNX model',
      cause: error,
    });
  }
}

/** What a subgraph sees: the graph that it is in, as far as that is read, and what is around it. Looked up, not copied. */
interface Scope {
  readonly graph: Graph;
  readonly outer: Scope | undefined;
}

function find(name: string, scope: Scope | undefined): Value | undefined {
  for (let at = scope; at; at = at.outer) {
    const value = at.graph.value(name);
    if (value) return value;
  }
  return undefined;
}

class ModelDecoder {
  constructor(
    private readonly bytes: ModelBytes,
    private readonly constants: 'nodes' | 'initializers',
  ) {}

  private fail(at: string, problem: string): never {
    const {name} = this.bytes.source;
    throw new GpdError('GRAPH_INVALID', `${name}: ${at === '' ? '' : `${at} `}${problem}`, {
      at: at === '' ? name : at,
      hint: 'run onnx.checker on the model, or export it again',
    });
  }

  model(message: ModelMessage): Model {
    const irVersion = fromWireInt(message.irVersion);
    if (!message.graph || irVersion < 1) this.fail('', 'this is not an ONNX model: it has no graph or no IR version');
    const {opset, domains} = this.opsets(message);
    return {
      graph: this.graph(message.graph!, undefined),
      opset,
      domains,
      irVersion,
      producer: {name: message.producerName ?? '', version: message.producerVersion ?? ''},
      metadata: new Map(message.metadataProps?.map(({key, value}) => [key ?? '', value ?? ''])),
      file: this.bytes.source.name,
    };
  }

  private opsets({opsetImport}: ModelMessage): {opset: number; domains: Map<string, number>} {
    const domains = new Map<string, number>();
    for (const {domain, version} of opsetImport ?? []) {
      const name = domain === 'ai.onnx' ? '' : (domain ?? ''); // two names of one thing: docs/Versioning.md
      if (domains.has(name)) this.fail(`domain '${name}'`, 'is imported twice');
      domains.set(name, fromWireInt(version));
    }
    const opset = domains.get('') ?? this.fail('', 'the model does not say which opset it uses');
    if (opset < 1 || opset > MAX_READ_OPSET) this.fail('', `there is no opset ${opset}`);
    domains.delete('');
    return {opset, domains};
  }

  private graph(message: GraphMessage, outer: Scope | undefined): Graph {
    const graph = new Graph(message.name ?? '');
    const constants = new Set(message.initializer?.map((t) => t.name));
    for (const input of message.input ?? []) {
      if (constants.has(input.name)) continue;
      const {dtype, shape} =
        this.type(input) ?? this.fail(`input '${input.name}'`, 'is not a tensor of a type that is supported');
      graph.input(this.freshName(graph, input.name), dtype, shape);
    }
    for (const tensor of message.initializer ?? []) {
      graph.initializer(this.freshName(graph, tensor.name), decodeTensor(tensor, this.bytes));
    }
    const declared = this.declaredTypes(message);
    for (const node of message.node ?? []) this.node(node, {graph, outer}, declared);
    graph.outputs = (message.output ?? []).map((output) => this.output(output, graph, declared));
    return graph;
  }

  /** The name of a value that is being defined. */
  private freshName(graph: Graph, name: string | null | undefined): string {
    if (!name) this.fail(`graph '${graph.name}'`, 'defines a value without a name');
    if (graph.value(name!)) this.fail(`value '${name}'`, 'is defined twice');
    return name!;
  }

  private declaredTypes({valueInfo, output}: GraphMessage): Map<string, OutputType> {
    const types = new Map<string, OutputType>();
    for (const info of [...(valueInfo ?? []), ...(output ?? [])]) {
      const type = this.type(info);
      if (type) types.set(info.name ?? '', type);
    }
    return types;
  }

  private type({name, type}: ValueInfoMessage): OutputType | undefined {
    const dtype = dtypeOfDataType(type?.tensorType?.elemType ?? 0);
    if (!dtype) return undefined;
    const dims = type?.tensorType?.shape ? (type.tensorType.shape.dim ?? []) : undefined;
    // A dimension that is neither a number nor a name is unknown, and so is -1, as Paddle writes it: it gets a name of its own.
    const shape = dims?.map((d, i): Dim => {
      const value = d.dimValue == null ? -1 : fromWireInt(d.dimValue);
      return d.dimParam ? d.dimParam : value === -1 ? `${name}.${i}` : value;
    });
    if (shape && shape.length > MAX_ONNX_RANK) this.fail(`value '${name}'`, `has ${shape.length} dimensions`);
    const isPossible = shape?.every((d) => typeof d === 'string' || (Number.isSafeInteger(d) && d >= 0)) ?? true;
    return isPossible ? {dtype, shape} : this.fail(`value '${name}'`, `has the impossible shape [${shape}]`);
  }

  private output(message: ValueInfoMessage, graph: Graph, declared: ReadonlyMap<string, OutputType>): Value {
    const value = graph.value(message.name ?? '') ?? this.fail(`output '${message.name}'`, 'is not produced by anything');
    value.shape ??= declared.get(value.name)?.shape;
    return value;
  }

  private node(message: NodeMessage, scope: Scope, declared: ReadonlyMap<string, OutputType>): void {
    const {graph} = scope;
    const opType = message.opType || this.fail(`node '${message.name}'`, 'has no operator');
    const outputNames = (message.output ?? []).map((name) => (name === '' ? '' : this.freshName(graph, name)));
    const named = outputNames.filter((name) => name !== '');
    if (named.length === 0) this.fail(`${opType} '${message.name}'`, 'has no outputs');
    if (new Set(named).size < named.length) this.fail(`${opType} '${message.name}'`, 'has two outputs of one name');
    const at = `${opType} '${message.name || named[0]}'`;
    const isConstant = opType === 'Constant' && this.constants === 'initializers';
    const numbers = isConstant ? constantTensor(this.attributes(message, at, scope)) : undefined;
    if (numbers) {
      graph.initializer(named[0]!, numbers);
      return;
    }
    const node = graph.addNode(opType, this.inputs(message, at, scope), this.attributes(message, at, scope), {
      name: message.name || named[0]!,
      domain: message.domain === 'ai.onnx' ? '' : (message.domain ?? ''),
      outputNames,
      types: outputNames.map((name) => declared.get(name)),
    });
    if (!named.every((name) => declared.get(name)?.shape)) inferMissing(node, declared);
  }

  private inputs(message: NodeMessage, at: string, scope: Scope): (Value | undefined)[] {
    return (message.input ?? []).map((name) => {
      if (name === '') return undefined;
      return (
        find(name, scope) ??
        this.fail(at, `uses '${name}', which is not defined before it: nodes must be in order, without cycles`)
      );
    });
  }

  private attributes(message: NodeMessage, at: string, scope: Scope): Map<string, Attribute> {
    const attributes = new Map<string, Attribute>();
    for (const attribute of message.attribute ?? []) {
      const name = attribute.name || this.fail(at, 'has an attribute without a name');
      if (attributes.has(name)) this.fail(at, `has the attribute '${name}' twice`);
      attributes.set(name, this.attribute(attribute, `attribute '${name}' of ${at}`, scope));
    }
    return attributes;
  }

  private attribute(message: AttributeMessage, at: string, scope: Scope): Attribute {
    switch (message.type) {
      case attributeTypes.float:
        return {kind: 'float', value: message.f ?? 0};
      case attributeTypes.int:
        return {kind: 'int', value: fromWireInt(message.i)};
      case attributeTypes.string:
        return {kind: 'string', value: this.text(message.s, at)};
      case attributeTypes.floats:
        return {kind: 'floats', value: [...(message.floats ?? [])]};
      case attributeTypes.ints:
        return {kind: 'ints', value: (message.ints ?? []).map(fromWireInt)};
      case attributeTypes.strings:
        return {kind: 'strings', value: (message.strings ?? []).map((s) => this.text(s, at))};
      case attributeTypes.tensor:
        return {kind: 'tensor', value: this.attributeTensor(message, at)};
      case attributeTypes.graph:
        return {kind: 'graph', value: this.graph(message.g ?? this.fail(at, 'has no graph'), scope)};
      default:
        return this.fail(at, `is of type ${message.type ?? 0}, which is not supported`);
    }
  }

  private attributeTensor({t}: AttributeMessage, at: string): Tensor {
    return decodeTensor(t ?? this.fail(at, 'has no tensor'), this.bytes, at).read();
  }

  private text(bytes: Uint8Array | null | undefined, at: string): string {
    try {
      return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes ?? new Uint8Array(0));
    } catch {
      return this.fail(at, 'is not UTF-8 text');
    }
  }
}

/** A dimension's name grows where it is computed with; a model cannot make it grow without bounds. */
const MAX_SYMBOL = 100;

/** Types that the file does not give are inferred. What cannot be inferred stays unknown: reading is not checking. */
function inferMissing(node: Node, declared: ReadonlyMap<string, OutputType>): void {
  let inferred: OutputType[];
  try {
    inferred = inferOutputs(node, node.outputs.length);
  } catch {
    // The inputs do not fit the operator; the checker says so.
    inferred = typesOfOutputs(node, node.outputs.length).map((dtype) => ({dtype, shape: undefined}));
  }
  for (const [i, value] of node.outputs.entries()) {
    const type = inferred[i];
    if (!type) continue;
    if (!declared.has(value.name)) value.dtype = type.dtype;
    value.shape ??= isPlausible(type.shape) ? type.shape : undefined;
  }
}

function isPlausible(shape: Dims | undefined): boolean {
  if (!shape || shape.length > MAX_ONNX_RANK) return false;
  return shape.every((d) => (typeof d === 'string' ? d.length <= MAX_SYMBOL : Number.isSafeInteger(d) && d >= 0));
}
