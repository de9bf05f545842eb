/** What two models compute after the last values that they share: the usual reason why the layers of both agree and the outputs do not. */
import {isConstantExpression} from '../onnx/constant-expression.js';
import type {Model, Node, Value} from '../onnx/graph.js';

/** Nodes from shared values to a value, in the order of computation, as text: `Softmax 'probs'`. */
export interface Tails {
  readonly reference: readonly string[];
  readonly actual: readonly string[];
}

/** A model, and how far it is followed. */
export interface Part {
  readonly model: Model;
  /** Where it ends. */
  readonly output: string;
  /** The names of its values that agree with the other's. */
  readonly shared: readonly string[];
}

/** More nodes than these are another network, and no tail. */
const MAX_TAIL = 16;

function tailOf({model: {graph}, output, shared}: Part): Node[] {
  const known = new Set(shared);
  const found = new Set<Node>();
  const visit = (value: Value | undefined): void => {
    const node = value?.producer;
    if (!node || found.has(node) || found.size > MAX_TAIL || known.has(value.name) || isConstantExpression(value)) return;
    found.add(node);
    for (const input of node.inputs) visit(input);
  };
  visit(graph.value(output));
  return graph.nodes.filter((node) => found.has(node));
}

/** Undefined where the same operators follow in both, or too many. */
export function tailsAfter(reference: Part, actual: Part): Tails | undefined {
  const [own, other] = [tailOf(reference), tailOf(actual)];
  if (Math.max(own.length, other.length) > MAX_TAIL) return undefined;
  const operators = (nodes: readonly Node[]) => nodes.map(({opType}) => opType).join();
  if (operators(own) === operators(other)) return undefined;
  return {reference: own.map(String), actual: other.map(String)};
}
