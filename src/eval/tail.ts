/** What two models compute after the last values that they share: the usual reason why the layers of both agree and the outputs do not. */
import type {Model, Node, Value} from '../onnx/graph.js';

/** Nodes from shared values to the output, in the order of computation, as text: `Softmax 'probs'`. */
export interface Tails {
  readonly reference: readonly string[];
  readonly actual: readonly string[];
}

/** More nodes than these are another network, and no tail. */
const MAX_TAIL = 16;

function tailOf({graph}: Model, output: string, shared: ReadonlySet<string>): Node[] {
  const found = new Set<Node>();
  const visit = (value: Value | undefined): void => {
    const node = value?.producer;
    if (!node || found.has(node) || found.size > MAX_TAIL || shared.has(value.name)) return;
    found.add(node);
    for (const input of node.inputs) visit(input);
  };
  visit(graph.value(output));
  return graph.nodes.filter((node) => found.has(node));
}

/** `shared`: the names of values that agree in both. Undefined where the same operators follow them in both, or too many. */
export function tailsAfter(
  reference: {model: Model; output: string},
  actual: {model: Model; output: string},
  shared: readonly string[],
): Tails | undefined {
  const names = new Set(shared);
  const [own, other] = [reference, actual].map(({model, output}) => tailOf(model, output, names)) as [Node[], Node[]];
  if (Math.max(own.length, other.length) > MAX_TAIL) return undefined;
  const operators = (nodes: readonly Node[]) => nodes.map(({opType}) => opType).join();
  if (operators(own) === operators(other)) return undefined;
  return {reference: own.map(String), actual: other.map(String)};
}
