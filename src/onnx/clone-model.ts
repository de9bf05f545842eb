/** A model with nodes and values of its own: forms are made side by side from one student. Numbers are shared, they never change. */
import {copyNodes, reshapedOutputs, sameOutputs} from './copy-nodes.js';
import {type Dims, Graph, type Model, type Value} from './graph.js';

/** `inputShape` gives the images another shape; every shape behind them is inferred anew, and unknown where that is not possible. */
export function cloneModel(original: Model, inputShape?: (dims: Dims | undefined) => Dims | undefined): Model {
  const graph = new Graph(original.graph.name);
  const copies = new Map<Value, Value>();
  for (const {name, dtype, shape} of original.graph.inputs)
    copies.set(original.graph.value(name)!, graph.input(name, dtype, inputShape ? inputShape(shape) : shape));
  for (const constant of original.graph.initializers)
    copies.set(constant, graph.initializer(constant.name, constant.initializer!));
  copyNodes(original.graph.nodes, graph, copies, inputShape ? reshapedOutputs : sameOutputs);
  graph.outputs = original.graph.outputs.map((output) => copies.get(output)!);
  return {...original, graph, metadata: new Map(original.metadata), domains: new Map(original.domains)};
}
