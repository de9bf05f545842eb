/**
 * The same model with its weights as inputs instead of constants. The runtime then neither copies them nor computes with them
 * ahead of time: the nodes run as they are, on the arrays that were read from the checkpoint.
 */
import {type Tensor, toFloat32} from '../core/tensor.js';
import {copyNodes} from './copy-nodes.js';
import {Graph, type Model, type Value} from './graph.js';

export interface FedModel {
  model: Model;
  /** What to feed beside the inputs of the network. Read when asked. */
  readWeights(): Map<string, Tensor>;
  /** Values of the original by their copies' names, which are the same. */
  copies: ReadonlyMap<Value, Value>;
}

export function feedWeights(original: Model, watch: readonly Value[] = original.graph.outputs): FedModel {
  const graph = new Graph(original.graph.name);
  const copies = new Map<Value, Value>();
  for (const input of original.graph.inputs) copies.set(input, graph.input(input.name, input.dtype, input.shape));
  const fed: Value[] = [];
  for (const constant of original.graph.initializers) {
    if (constant.dtype !== 'float32') {
      copies.set(constant, graph.initializer(constant.name, constant.initializer!));
      continue;
    }
    fed.push(constant);
    copies.set(constant, graph.input(constant.name, 'float32', constant.shape));
  }
  copyNodes(original.graph.nodes, graph, copies);
  for (const [from, to] of copies) if (to.name !== from.name) graph.rename(to, from.name);
  graph.outputs = watch.map((v) => copies.get(v)!);
  return {
    model: {...original, graph},
    readWeights: () => new Map(fed.map((v) => [v.name, toFloat32(v.initializer!.read())])),
    copies,
  };
}
