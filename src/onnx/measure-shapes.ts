/**
 * Shapes that cannot be inferred, because the network computes them (Shape → Gather → Concat → Reshape, as PyTorch exports a dynamic
 * batch), are measured: the runtime runs the network on two batches, and tells the shape of each value. What grows with the batch is N.
 */
import {GpdError} from '../core/error.js';
import {elementCount, type Tensor, zeros} from '../core/tensor.js';
import {copyNodes, sameOutputs} from './copy-nodes.js';
import {modelBytes} from './encode.js';
import {type Dim, type Dims, Graph, type Model, type Value} from './graph.js';
import {openSession} from './session.js';

/** Shapes behind these depend on the numbers, not on the batch alone; those of bodies are not seen from outside. */
const DATA_DEPENDENT = /^(NonZero|Unique|NonMaxSuppression|Compress|If|Loop|Scan)$|^Sequence|^Optional/;

/** Fills in what is not known. Throws EXPORT_REFUSED where the runtime does not run the network for a batch that it says it takes. */
export async function measureShapes({graph, ...model}: Model): Promise<void> {
  const unknown = unknownValues(graph);
  if (unknown.length === 0) return;
  const {bytes, outputs} = watching(model, graph, unknown);
  const session = await openSession(bytes, {optimize: 'disabled', arena: false, file: model.file});
  try {
    const batch = graph.inputs[0]?.shape?.[0];
    const counts = typeof batch === 'number' ? [batch] : [2, 3];
    const runs: Map<string, Tensor>[] = [];
    for (const count of counts) runs.push(await run(session, graph, count));
    for (const [i, value] of unknown.entries()) {
      const seen = runs.map((results) => Array.from(results.get(outputs[i]!)!.data as BigInt64Array, Number));
      value.shape = merged(seen, counts, String(batch));
    }
  } finally {
    await session.close();
  }
}

/** Values without a shape, up to where shapes depend on numbers. */
function unknownValues(graph: Graph): Value[] {
  const lost = new Set<Value>();
  const unknown: Value[] = [];
  for (const node of graph.nodes) {
    const isLost = DATA_DEPENDENT.test(node.opType) || node.inputs.some((v) => v && lost.has(v));
    for (const output of node.outputs) {
      if (isLost) lost.add(output);
      else if (!output.shape && output.name !== '') unknown.push(output);
    }
  }
  return unknown;
}

/** A copy that gives the shapes of values alone. */
function watching(
  model: Omit<Model, 'graph'>,
  original: Graph,
  values: readonly Value[],
): {bytes: Uint8Array; outputs: string[]} {
  const graph = new Graph(original.name);
  const copies = new Map<Value, Value>();
  for (const {name, dtype, shape} of original.inputs) copies.set(original.value(name)!, graph.input(name, dtype, shape));
  for (const value of original.initializers) copies.set(value, graph.initializer(value.name, value.initializer!));
  copyNodes(original.nodes, graph, copies, sameOutputs);
  graph.outputs = values.map((value) => graph.op('Shape', [copies.get(value)!], {}, {name: `${value.name}/shape`}));
  graph.prune();
  return {bytes: modelBytes({...model, graph}), outputs: graph.outputs.map((v) => v.name)};
}

async function run(session: Awaited<ReturnType<typeof openSession>>, {inputs}: Graph, count: number) {
  const feeds = inputs.map(({name, dtype, shape}): [string, Tensor] => {
    const dims = shape?.map((d, i) => (typeof d === 'number' ? d : i === 0 ? count : 1)) ?? [];
    return [name, zeros(dtype === 'string' ? 'uint8' : dtype, dims)];
  });
  try {
    return await session.run(new Map(feeds));
  } catch (error) {
    const images = feeds.map(([, {shape}]) => `[${shape.join(', ')}], ${elementCount(shape)} zeros`).join('; ');
    throw new GpdError('EXPORT_REFUSED', `the model does not run on what it says it takes: ${(error as Error).message}`, {
      at: images,
      hint: 'export it from its framework with a fixed batch, or with a batch that is dynamic throughout',
      cause: error,
    });
  }
}

/** One dimension under both batches: fixed, or so many for each image. */
function merged(seen: readonly number[][], counts: readonly number[], batch: string): Dims | undefined {
  const [first, second] = seen as [number[], number[] | undefined];
  if (!second) return first;
  if (first.length !== second.length) return undefined;
  return first.map((d, i): Dim => {
    if (d === second[i]) return d;
    const each = d / counts[0]!;
    if (each * counts[1]! !== second[i]) return `${batch}.${i}`;
    return each === 1 ? batch : `${batch}*${each}`;
  });
}
