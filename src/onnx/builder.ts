/** What the rewrite of a rule builds with: the graph, with names taken from the node that is being replaced. */
import {int64, type Tensor, type TensorSource, tensor} from '../core/tensor.js';
import type {Attribute, AttributeValues, Graph, Node, OpOptions, Value} from './graph.js';
import {attributeOf} from './ops.js';

type Inputs = readonly (Value | undefined)[];
type Attributes = AttributeValues | ReadonlyMap<string, Attribute>;

export class Builder {
  /** Nodes for which the rule chose no name: the one that takes the place of `root` gets its name. */
  readonly unnamed = new Set<Node>();

  constructor(
    readonly graph: Graph,
    /** The node that is being replaced. */
    readonly root: Node,
  ) {}

  /** A node with one output; gives the output. Attributes may be those of another node. */
  op(opType: string, inputs: Inputs, attributes: Attributes = {}, options: OpOptions = {}): Value {
    return this.node(opType, inputs, attributes, options).output;
  }

  node(opType: string, inputs: Inputs, attributes: Attributes = {}, options: OpOptions = {}): Node {
    const typed = attributes instanceof Map ? attributes : typedAttributes(opType, attributes as AttributeValues);
    const node = this.graph.addNode(opType, inputs, typed, {name: this.root.name, ...options});
    if (options.name === undefined) this.unnamed.add(node);
    return node;
  }

  /** The same operator on other inputs, with some attributes changed; undefined removes one. */
  like(node: Node, inputs: Inputs, changes: AttributeValues = {}, options: OpOptions = {}): Value {
    const attributes = new Map([...node.attributes].filter(([key]) => !(key in changes)));
    for (const [key, attribute] of typedAttributes(node.opType, changes)) attributes.set(key, attribute);
    return this.op(node.opType, inputs, attributes, {domain: node.domain, outputs: node.outputs.length, ...options});
  }

  /** A constant. The name is made unique. */
  initializer(name: string, numbers: Tensor | TensorSource): Value {
    return this.graph.initializer(name, numbers);
  }

  /** A list of integers as operators take it: a shape, axes, bounds. */
  ints(name: string, values: readonly number[]): Value {
    return this.graph.initializer(name, int64([values.length], values));
  }

  scalar(name: string, value: number): Value {
    return this.graph.initializer(name, tensor('float32', [], Float32Array.of(value)));
  }
}

function typedAttributes(opType: string, values: AttributeValues): Map<string, Attribute> {
  const typed = new Map<string, Attribute>();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined) typed.set(key, attributeOf(opType, key, value));
  }
  return typed;
}
