/** Parts of a graph as a graph of their own: for folding, and for running a model on weights that are fed instead of stored. */
import type {Graph, Node, Value} from './graph.js';

/** Copies nodes (in topological order) into another graph. `copies` says what stands for each value, and grows. */
export function copyNodes(nodes: Iterable<Node>, into: Graph, copies: Map<Value, Value>): void {
  for (const node of nodes) {
    const inputs = node.inputs.map((v) => v && copies.get(v));
    const options = {name: node.name, outputs: node.outputs.length, domain: node.domain};
    const copy = into.addNode(node.opType, inputs, node.attributes, options);
    for (const [i, output] of node.outputs.entries()) copies.set(output, copy.outputs[i]!);
  }
}
