/** A model with nodes and values of its own: forms are made side by side from one student. Numbers are shared, they never change. */
import {copyNodes} from '../onnx/copy-nodes.js';
import {type Dims, Graph, type Model, type Value} from '../onnx/graph.js';

/** `inputShape` gives the images another shape; every shape behind them is inferred anew. */
export function cloneModel(original: Model, inputShape: (dims: Dims | undefined) => Dims | undefined = (dims) => dims): Model {
  const graph = new Graph(original.graph.name);
  const copies = new Map<Value, Value>();
  for (const {name, dtype, shape} of original.graph.inputs)
    copies.set(original.graph.value(name)!, graph.input(name, dtype, inputShape(shape)));
  for (const constant of original.graph.initializers)
    copies.set(constant, graph.initializer(constant.name, constant.initializer!));
  for (const node of original.graph.nodes) {
    copyNodes([node], graph, copies);
    for (const output of node.outputs) keepType(output, copies.get(output)!);
  }
  restoreNames(graph, copies);
  graph.outputs = original.graph.outputs.map((output) => copies.get(output)!);
  return {...original, graph, metadata: new Map(original.metadata), domains: new Map(original.domains)};
}

/** What was said where a node was written, because it cannot be inferred: sizes that depend on the photograph. */
function keepType({dtype, shape}: Value, copy: Value): void {
  if (copy.shape) return;
  copy.dtype = dtype;
  copy.shape = shape;
}

/** Copies are named after their nodes first. A name may be held by another copy for a moment. */
function restoreNames(graph: Graph, copies: ReadonlyMap<Value, Value>): void {
  const renamed = [...copies].filter(([from, to]) => from.name !== to.name && to.name !== '');
  for (const [, to] of renamed) graph.rename(to, graph.uniqueName(`${to.name}.copy`));
  for (const [from, to] of renamed) graph.rename(to, from.name);
}
