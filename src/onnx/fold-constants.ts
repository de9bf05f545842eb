/**
 * Folding: everything that depends on constants alone is computed and becomes a constant.
 *
 * The numbers are computed in float64 by onnxruntime, as one expression from stored tensor to final weight, and rounded to
 * float32 once: slice, scale, merge of branches and fused batch norm leave a single rounding behind. That, and that the
 * branch products of a wide OREPA layer are several GFLOP, is why no rule computes numbers of its own.
 */
import {GpdError} from '../core/error.js';
import {byteLength, type Tensor, type TensorSource, toFloat32} from '../core/tensor.js';
import {producer} from '../core/version.js';
import {copyNodes} from './copy-nodes.js';
import {modelBytes} from './encode.js';
import {Graph, type Model, type Node, type Value} from './graph.js';
import {dataTypeOf, type ValueType} from './ops.js';
import type {Pass} from './pass.js';
import {openSession} from './session.js';

/** Expressions are folded together until their stored tensors reach this size: one session for many small ones, bounded memory. */
const GROUP_BYTES = 48 * 2 ** 20;

/** Values that depend on constants alone, made by a node and used by one that does not. */
function findRoots(graph: Graph): Value[] {
  const constant = new Set<Value>(graph.initializers);
  for (const node of graph.nodes) {
    if (node.inputs.every((v) => !v || constant.has(v))) for (const output of node.outputs) constant.add(output);
  }
  const outputs = new Set(graph.outputs);
  return graph.nodes
    .flatMap((node) => node.outputs)
    .filter(
      (v) => constant.has(v) && (outputs.has(v) || [...v.users].some((user) => user.outputs.some((o) => !constant.has(o)))),
    );
}

interface Expression {
  roots: Value[];
  nodes: Set<Node>;
  leaves: Set<Value>;
}

/** The nodes and the initializers behind a value. */
function collect(value: Value, into: Expression): void {
  const stack = [value];
  while (stack.length > 0) {
    const v = stack.pop()!;
    if (!v.producer) into.leaves.add(v);
    else if (!into.nodes.has(v.producer)) {
      into.nodes.add(v.producer);
      for (const input of v.producer.inputs) if (input) stack.push(input);
    }
  }
}

const leafBytes = (e: Expression) => [...e.leaves].reduce((n, v) => n + byteLength(v.initializer!), 0);

/** Neighbouring roots (a layer's weight and bias) share their statistics; groups are runs of the node order. */
function group(roots: readonly Value[]): Expression[] {
  const groups: Expression[] = [];
  let current: Expression | undefined;
  for (const root of roots) {
    if (!current || leafBytes(current) > GROUP_BYTES) {
      current = {roots: [], nodes: new Set(), leaves: new Set()};
      groups.push(current);
    }
    current.roots.push(root);
    collect(root, current);
  }
  return groups;
}

const isFloat = (dtype: ValueType) => dtype === 'float32' || dtype === 'float16' || dtype === 'float64' || dtype === 'bfloat16';

/** The expression as a model of its own: stored tensors in, float64 throughout, results out as float32. */
function expressionModel(e: Expression, order: readonly Node[], opset: number): {model: Model; feeds: Map<string, Value>} {
  const graph = new Graph('fold');
  const feeds = new Map<string, Value>();
  const copies = new Map<Value, Value>();
  for (const leaf of e.leaves) {
    if (!isFloat(leaf.dtype)) {
      copies.set(leaf, graph.initializer(leaf.name, leaf.initializer!));
      continue;
    }
    const input = graph.input(leaf.name, 'float32', leaf.shape);
    feeds.set(leaf.name, leaf);
    copies.set(leaf, graph.op('Cast', [input], {to: dataTypeOf('float64')}, {name: `${leaf.name}/Cast`}));
  }
  copyNodes(
    order.filter((node) => e.nodes.has(node)),
    graph,
    copies,
  );
  graph.outputs = e.roots.map((root, i) =>
    graph.op('Cast', [copies.get(root)!], {to: dataTypeOf('float32')}, {name: `root_${i}`}),
  );
  return {model: {graph, opset, domains: new Map(), irVersion: 8, producer, metadata: new Map()}, feeds};
}

/** Throws WEIGHTS_NOT_FINITE at the first NaN or infinity. */
export function refuseNonFinite(name: string, t: Tensor): void {
  const values = t.data as Float32Array;
  if (allFinite(values)) return;
  const at = values.findIndex((v) => !Number.isFinite(v));
  throw new GpdError('WEIGHTS_NOT_FINITE', `'${name}' has ${values[at]} at element ${at}`, {
    at: name,
    hint: 'the training diverged, or the file is damaged: use an earlier checkpoint',
  });
}

/** 0·v is 0 for a finite v and NaN otherwise. Four sums, so that one addition need not wait for another. */
function allFinite(v: Float32Array): boolean {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = v.length - (v.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += 0 * v[i]!;
    b += 0 * v[i + 1]!;
    c += 0 * v[i + 2]!;
    d += 0 * v[i + 3]!;
  }
  for (let i = whole; i < v.length; i++) a += 0 * v[i]!;
  return a + b + c + d === 0;
}

/** The tensors are finite, what is made of them is not: the inner value's name would tell nobody anything. */
function refuseFolded(root: Value): never {
  const behind: Expression = {roots: [root], nodes: new Set(), leaves: new Set()};
  collect(root, behind);
  const leaves = [...behind.leaves].filter(({dtype, shape}) => isFloat(dtype) && shape!.length > 0); // our own constants are scalars
  const names = [...new Set(leaves.map((leaf) => leaf.initializer!.name ?? leaf.name))].sort();
  throw new GpdError(
    'WEIGHTS_NOT_FINITE',
    `what is made of '${names.slice(0, 6).join("', '")}' is NaN or infinite in float32`,
    {
      at: names[0]!,
      hint: 'a weight is too large, or a statistic is wrong: the training diverged, or the file is damaged; use an earlier checkpoint',
      data: {tensors: names},
    },
  );
}

/** A stored tensor for the fold; NaN and infinity are refused under the name that the checkpoint gives it. */
function readFinite(name: string, source: TensorSource): Tensor {
  const t = toFloat32(source.read());
  refuseNonFinite(source.name ?? name, t);
  return t;
}

async function fold(e: Expression, graph: Graph, opset: number): Promise<void> {
  const {model, feeds} = expressionModel(e, graph.nodes, opset);
  const session = await openSession(modelBytes(model), {optimize: 'disabled', arena: false});
  try {
    const inputs = new Map([...feeds].map(([name, leaf]) => [name, readFinite(name, leaf.initializer!)]));
    const results = await session.run(inputs);
    for (const [i, root] of e.roots.entries()) {
      const folded = results.get(model.graph.outputs[i]!.name)!;
      if (!allFinite(folded.data as Float32Array)) refuseFolded(root);
      const value = graph.initializer(`${root.name}.folded`, folded);
      graph.replaceUses(root, value);
      graph.takeName(value, root);
    }
  } finally {
    await session.close();
  }
}

export const foldConstants: Pass = {
  name: 'fold-constants',
  async run({graph, opset}) {
    const roots = findRoots(graph).filter((v) => isFloat(v.dtype));
    for (const expression of group(roots)) await fold(expression, graph, opset);
    graph.prune();
    return roots.length;
  },
};
