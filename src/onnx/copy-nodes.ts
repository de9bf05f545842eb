/** Parts of a graph as a graph of their own: for folding, for forms of one model, and for running a model on weights that are fed. */
import {type Attribute, Graph, Node, type OpOptions, type Value} from './graph.js';
import {inferOutputs} from './ops.js';

/** What is known of the outputs of a copy, given its inputs. */
export type CopiedOutputs = (
  node: Node,
  inputs: readonly (Value | undefined)[],
) => Pick<OpOptions, 'types' | 'outputNames' | 'outputs'>;

/** Types are inferred, and what does not fit throws; names are those of the nodes. */
export const inferredOutputs: CopiedOutputs = ({outputs}) => ({outputs: outputs.length});

/** Types are the original's; names are those of the nodes. */
export const typedOutputs: CopiedOutputs = ({outputs}) => ({
  outputs: outputs.length,
  types: outputs.map(({dtype, shape}) => ({dtype, shape})),
});

/** Names and types are the original's. */
export const sameOutputs: CopiedOutputs = (node, inputs) => ({
  ...typedOutputs(node, inputs),
  outputNames: node.outputs.map((v) => v.name),
});

/** Names are the original's; shapes follow from the copy's inputs, and are unknown where they cannot be told. */
export const reshapedOutputs: CopiedOutputs = ({name, opType, domain, attributes, outputs}, inputs) => {
  const inferred = quietly(() => inferOutputs(new Node(name, opType, domain, inputs, attributes), outputs.length));
  return {
    outputNames: outputs.map((v) => v.name),
    types: outputs.map(({dtype}, i) => (inferred?.[i]?.shape ? inferred[i] : {dtype, shape: undefined})),
  };
};
function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined; // an operator in a form that is not known here
  }
}

/** Copies nodes (in topological order) into another graph. `copies` says what stands for each value, and grows. */
export function copyNodes(
  nodes: Iterable<Node>,
  into: Graph,
  copies: Map<Value, Value>,
  outputsOf: CopiedOutputs = inferredOutputs,
): void {
  for (const node of nodes) {
    const inputs = node.inputs.map((v) => v && copies.get(v));
    const {name, opType, domain} = node;
    const options = {name, domain, ...outputsOf(node, inputs)};
    const copy = into.addNode(opType, inputs, copyAttributes(node, copies), options);
    for (const [i, output] of node.outputs.entries()) copies.set(output, copy.outputs[i]!);
  }
}

/** The bodies of If and Loop refer to values around them: in a copy, to the copies. */
export function copyAttributes({attributes}: Node, copies: ReadonlyMap<Value, Value>): ReadonlyMap<string, Attribute> {
  if (![...attributes.values()].some(({kind}) => kind === 'graph')) return attributes;
  return new Map(
    [...attributes].map(([name, attribute]): [string, Attribute] => [
      name,
      attribute.kind === 'graph' ? {kind: 'graph', value: copyBody(attribute.value, copies)} : attribute,
    ]),
  );
}

function copyBody(original: Graph, around: ReadonlyMap<Value, Value>): Graph {
  const body = new Graph(original.name);
  const copies = new Map(around);
  for (const {name, dtype, shape} of original.inputs) copies.set(original.value(name)!, body.input(name, dtype, shape));
  for (const {name, initializer} of original.initializers)
    copies.set(original.value(name)!, body.initializer(name, initializer!));
  copyNodes(original.nodes, body, copies, sameOutputs);
  body.outputs = original.outputs.map((output) => copies.get(output)!);
  return body;
}
