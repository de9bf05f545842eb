/** Names as a person expects them: nodes after their layers, weights after their nodes, as PyTorch would call them. */
import type {Graph, Node} from '../graph.js';
import type {Pass} from '../pass.js';

/** What the constant inputs of an operator are called, by position. */
const inputNames: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  Conv: {1: 'weight', 2: 'bias'},
  Gemm: {1: 'weight', 2: 'bias'},
  MatMul: {1: 'weight'},
  Add: {1: 'bias'},
  LayerNormalization: {1: 'weight', 2: 'bias'},
  BatchNormalization: {1: 'weight', 2: 'bias', 3: 'running_mean', 4: 'running_var'},
};

function renameNode(graph: Graph, node: Node): number {
  const plain = node.name.replace(/_\d+$/, '');
  return plain !== node.name && graph.renameNode(node, plain) ? 1 : 0;
}

function renameInputs(graph: Graph, node: Node): number {
  let changes = 0;
  for (const [position, leaf] of Object.entries(inputNames[node.opType] ?? {})) {
    const value = node.inputs[Number(position)];
    const wanted = `${node.name.replace(/\.matmul$/, '')}.${leaf}`;
    if (!value?.initializer || value.initializer.shape.length === 0 || value.users.size > 1 || value.name === wanted) continue;
    if (graph.value(wanted)) continue;
    graph.rename(value, wanted);
    changes++;
  }
  return changes;
}

export const canonicalNames: Pass = {
  name: 'canonical-names',
  run: ({graph}) => graph.nodes.reduce((n, node) => n + renameNode(graph, node) + renameInputs(graph, node), 0),
};
