/**
 * Model, graph, node, value: the ONNX things, named as the ONNX specification names them. This is the only file that
 * changes the edges of a graph; everyone else asks for `op`, `replaceUses`, `prune`.
 */
import {formatShape, sourceOf, type Tensor, type TensorSource} from '../core/tensor.js';
import {attributeOf, inferOutputs, type OutputType, type ValueType} from './ops.js';

/** A number, or the name of a dimension that is known only when the model runs. */
export type Dim = number | string;
export type Dims = readonly Dim[];

/** Attribute values with the kind that ONNX writes on the wire. */
export type Attribute =
  | {readonly kind: 'int' | 'float'; readonly value: number}
  | {readonly kind: 'string'; readonly value: string}
  | {readonly kind: 'ints' | 'floats'; readonly value: readonly number[]}
  | {readonly kind: 'strings'; readonly value: readonly string[]}
  | {readonly kind: 'tensor'; readonly value: Tensor}
  | {readonly kind: 'graph'; readonly value: Graph};
export type AttributeKind = Attribute['kind'];
/** What a caller writes; `ops.ts` knows whether a number is an int or a float. Undefined entries are left out. */
export type AttributeValues = Readonly<Record<string, Attribute['value'] | undefined>>;

/** An edge: made by a graph input, an initializer, or one output of a node. */
export class Value {
  producer: Node | undefined;
  readonly users = new Set<Node>();

  constructor(
    public name: string,
    public dtype: ValueType,
    /** Undefined where it could not be inferred. */
    public shape: Dims | undefined,
    /** The numbers, for an initializer. */
    readonly initializer?: TensorSource,
  ) {}

  /** The shape, for callers that built the graph themselves and know that it is static in the dimensions they use. */
  get dims(): Dims {
    if (!this.shape) throw new Error(`the shape of '${this.name}' is not known`);
    return this.shape;
  }
  toString(): string {
    return `%${this.name}${this.shape ? formatShape(this.shape) : ''}`;
  }
}

/** One operator applied to values. */
export class Node {
  outputs: readonly Value[] = [];

  constructor(
    public name: string,
    readonly opType: string,
    readonly domain: string,
    public inputs: readonly (Value | undefined)[],
    readonly attributes: ReadonlyMap<string, Attribute>,
  ) {}

  get output(): Value {
    return this.outputs[0]!;
  }
  /** The value of a number attribute, or the default that the operator's specification gives. */
  number(name: string, otherwise: number): number {
    const attribute = this.attributes.get(name);
    return typeof attribute?.value === 'number' ? attribute.value : otherwise;
  }
  numbers(name: string, otherwise: readonly number[] = []): readonly number[] {
    const attribute = this.attributes.get(name);
    return attribute?.kind === 'ints' || attribute?.kind === 'floats' ? attribute.value : otherwise;
  }
  text(name: string, otherwise: string): string {
    const attribute = this.attributes.get(name);
    return attribute?.kind === 'string' ? attribute.value : otherwise;
  }
  /** Values of the enclosing graphs that the subgraphs of this node (Loop, If) use by name. Such a value is shared, not copied. */
  get captured(): Value[] {
    return [...this.attributes.values()].flatMap((a) => (a.kind === 'graph' ? capturedBy(a.value) : []));
  }
  toString(): string {
    return `${this.opType} '${this.name}'`;
  }
}

function capturedBy(graph: Graph): Value[] {
  const used = graph.nodes.flatMap((node) => [...node.inputs, ...node.captured]);
  return used.filter((v): v is Value => v !== undefined && graph.value(v.name) !== v);
}

export interface OpOptions {
  /** Name of the node and of its first output; made unique. */
  name?: string;
  /** Number of outputs, default 1. */
  outputs?: number;
  domain?: string;
  /** Exact names of the outputs, for a graph that is read from somewhere; '' is an output that nobody asked for. */
  outputNames?: readonly string[];
  /** Types of the outputs where they are known already; otherwise they are inferred. */
  types?: readonly (OutputType | undefined)[];
}

/** Nodes in an order in which they can run, between inputs and outputs. */
export class Graph {
  readonly inputs: Value[] = [];
  outputs: Value[] = [];
  /** In topological order after `prune`. New nodes are appended. */
  nodes: Node[] = [];
  /** Every value by name. */
  private readonly values = new Map<string, Value>();
  private readonly nodeNames = new Set<string>();
  /** Name → where the search for a free number can begin: a foreign graph may give all its nodes one name. */
  private readonly nextNumbers = new Map<string, number>();

  constructor(public name: string) {}

  get initializers(): Value[] {
    return [...this.values.values()].filter((v) => v.initializer);
  }
  value(name: string): Value | undefined {
    return this.values.get(name);
  }
  allValues(): Iterable<Value> {
    return this.values.values();
  }

  input(name: string, dtype: ValueType, shape: Dims | undefined): Value {
    const value = this.define(new Value(name, dtype, shape));
    this.inputs.push(value);
    return value;
  }

  /** A constant. The name is made unique; it never overwrites another value. */
  initializer(name: string, tensor: Tensor | TensorSource): Value {
    const source = 'read' in tensor ? tensor : sourceOf(tensor);
    return this.define(new Value(this.uniqueName(name), source.dtype, source.shape, source));
  }

  /** Adds a node with one output and gives that output. */
  op(opType: string, inputs: readonly (Value | undefined)[], attributes: AttributeValues = {}, options: OpOptions = {}): Value {
    return this.node(opType, inputs, attributes, options).output;
  }

  node(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: AttributeValues = {},
    options: OpOptions = {},
  ): Node {
    const typed = new Map<string, Attribute>();
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== undefined) typed.set(key, attributeOf(opType, key, value));
    }
    return this.addNode(opType, inputs, typed, options);
  }

  /** As `node`, with attributes that carry their kinds already (copied from another node, or decoded). */
  addNode(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: ReadonlyMap<string, Attribute>,
    {name = opType, outputNames, outputs = outputNames?.length ?? 1, domain = '', types}: OpOptions = {},
  ): Node {
    const node = new Node(this.uniqueNodeName(name), opType, domain, inputs, attributes);
    const inferred = types ?? inferOutputs(node, outputs);
    node.outputs = Array.from({length: outputs}, (_, i) => {
      const valueName = outputNames?.[i] ?? this.uniqueName(i === 0 ? name : `${name}.${i}`);
      const value = new Value(valueName, inferred[i]?.dtype ?? 'float32', inferred[i]?.shape);
      value.producer = node;
      return valueName === '' ? value : this.define(value);
    });
    for (const input of inputs) input?.users.add(node);
    this.nodes.push(node);
    return node;
  }

  /** Everyone who used `from`, graph outputs included, uses `to` from now on. */
  replaceUses(from: Value, to: Value): void {
    if (from === to) return;
    for (const user of from.users) {
      user.inputs = user.inputs.map((v) => (v === from ? to : v));
      to.users.add(user);
    }
    from.users.clear();
    this.outputs = this.outputs.map((v) => (v === from ? to : v));
  }

  /** Gives a value the name, which must be free or the value's own. */
  rename(value: Value, name: string): void {
    if (value.name === name) return;
    if (this.values.has(name)) throw new Error(`value '${name}' exists already`);
    this.values.delete(value.name);
    value.name = name;
    this.values.set(name, value);
  }

  /** `value` takes the name of `previous`, which gets another one: a rewritten layer keeps the name under which it is known. */
  takeName(value: Value, previous: Value): void {
    const {name} = previous;
    this.rename(previous, this.uniqueName(`${name}.replaced`));
    this.rename(value, name);
  }

  /** As `takeName`, for nodes. */
  takeNodeName(node: Node, previous: Node): void {
    this.forgetNodeName(node.name);
    [node.name, previous.name] = [previous.name, this.uniqueNodeName(`${previous.name}.replaced`)];
  }

  /** Gives a node the name, unless another has it. */
  renameNode(node: Node, name: string): boolean {
    if (this.nodeNames.has(name)) return false;
    this.forgetNodeName(node.name);
    this.nodeNames.add(name);
    node.name = name;
    return true;
  }

  /** Drops every node and initializer on which no output depends, and puts the rest in topological order. Gives the number dropped. */
  prune(): number {
    const before = this.nodes.length;
    const live = new Set<Node>();
    for (const output of this.outputs) this.visit(output, live);
    for (const node of this.nodes) if (!live.has(node)) this.unlink(node);
    this.nodes = [...live];
    const kept = new Set([...this.inputs, ...this.outputs]);
    for (const value of this.values.values()) {
      if (value.initializer && value.users.size === 0 && !kept.has(value)) this.values.delete(value.name);
    }
    return before - this.nodes.length;
  }

  uniqueName(wanted: string): string {
    return firstFree(wanted, new Map(), (name) => this.values.has(name));
  }

  /** Depth first, without recursion: networks are deep and stacks are not. */
  private visit(output: Value, done: Set<Node>): void {
    const entered = new Set<Node>();
    const stack = output.producer ? [output.producer] : [];
    while (stack.length > 0) {
      const node = stack.at(-1)!;
      if (!entered.has(node)) {
        entered.add(node);
        for (const input of [...node.inputs, ...node.captured].reverse()) {
          const producer = input?.producer;
          if (!producer || done.has(producer)) continue;
          if (entered.has(producer)) throw new Error(`the graph has a cycle through '${producer.name}'`);
          stack.push(producer);
        }
      } else {
        stack.pop();
        done.add(node);
      }
    }
  }

  private unlink(node: Node): void {
    for (const input of node.inputs) input?.users.delete(node);
    for (const output of node.outputs) this.values.delete(output.name);
    for (const attribute of node.attributes.values()) {
      if (attribute.kind === 'graph') for (const inner of attribute.value.nodes) attribute.value.unlink(inner);
    }
    this.forgetNodeName(node.name);
  }

  private define(value: Value): Value {
    if (this.values.has(value.name)) throw new Error(`value '${value.name}' is defined twice`);
    this.values.set(value.name, value);
    return value;
  }

  private forgetNodeName(name: string): void {
    this.nodeNames.delete(name);
    this.nextNumbers.clear(); // a lower number may be free again
  }

  private uniqueNodeName(wanted: string): string {
    const name = firstFree(wanted, this.nextNumbers, (candidate) => this.nodeNames.has(candidate));
    this.nodeNames.add(name);
    return name;
  }
}

function firstFree(wanted: string, nextNumbers: Map<string, number>, taken: (name: string) => boolean): string {
  if (!taken(wanted)) return wanted;
  for (let i = nextNumbers.get(wanted) ?? 1; ; i++) {
    const name = `${wanted}_${i}`;
    if (taken(name)) continue;
    nextNumbers.set(wanted, i);
    return name;
  }
}

/** An ONNX model in memory. */
export interface Model {
  graph: Graph;
  /** Version of the default operator set. */
  opset: number;
  /** Versions of other operator sets, by domain. */
  domains: ReadonlyMap<string, number>;
  irVersion: number;
  producer: {name: string; version: string};
  metadata: Map<string, string>;
  /** The file that it was read from, or was made of. Absent: it was made here. */
  file?: string;
}
