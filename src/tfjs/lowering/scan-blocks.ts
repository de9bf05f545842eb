/**
 * Long chains of elementwise operators over large arrays, one block after the other. Node by node, each passes all of its numbers through the
 * processor's caches and out again, ten times in an optimiser's update; as the body of an ONNX Scan over blocks, what is between two nodes stays
 * in the cache. The numbers are the same.
 */
import {elementCount} from '../../core/tensor.js';
import {Graph, type Node, type Value} from '../../onnx/graph.js';
import {intsInitializer} from '../../onnx/tensor-ops.js';
import {ELEMENTWISE, isStatic, sameDims} from './in-place.js';

export interface BlockSizes {
  /** Numbers below which a cache holds whatever a chain needs. */
  readonly small: number;
  readonly smallest: number;
  readonly largest: number;
}
/** An update of SGD touches seven arrays: a core's own cache (1 MiB) holds two blocks of a half; smaller blocks cost more calls. */
const USUAL: BlockSizes = {small: 1 << 20, smallest: 1 << 15, largest: 1 << 17};
/** Shorter ones gain less than the loop costs. */
const SHORTEST_CHAIN = 3;

/** Replaces chains by loops. Inputs and results of the graph that only chains touch get the shape [blocks, numbers of a block]. */
export function scanBlocks(graph: Graph, sizes = USUAL): void {
  const chains = chainsOf(graph, sizes);
  if (chains.length === 0) return;
  const member = new Map(chains.flatMap((chain) => chain.nodes.map((node) => [node, chain] as const)));
  const blocked = new Map<Value, Value>();
  const inBlocks = (value: Value, rows: number): Value => {
    const known = blocked.get(value);
    if (known) return known;
    const shape = [rows, elementCount(value.dims as number[]) / rows];
    const isChainsAlone =
      graph.inputs.includes(value) && !graph.outputs.includes(value) && [...value.users].every((n) => member.has(n));
    const made = isChainsAlone
      ? value
      : graph.op('Reshape', [value, intsInitializer(graph, shape)], {}, {name: `${value.name}.blocks`});
    if (isChainsAlone) value.shape = shape;
    blocked.set(value, made);
    return made;
  };
  for (const chain of chains) {
    const outputs = chain.nodes
      .map((node) => node.output)
      .filter((v) => graph.outputs.includes(v) || [...v.users].some((n) => member.get(n) !== chain));
    const scan = scanOf(
      graph,
      chain,
      chain.scanned.map((v) => inBlocks(v, chain.rows)),
      outputs,
    );
    for (const [i, value] of outputs.entries()) {
      const result = scan.outputs[i]!;
      blocked.set(value, result);
      if ([...value.users].some((node) => !member.has(node))) {
        const whole = graph.op(
          'Reshape',
          [result, intsInitializer(graph, value.dims as number[])],
          {},
          {name: `${value.name}.whole`},
        );
        replaceOutside(value, whole, member);
      }
      if (!graph.outputs.includes(value)) continue;
      graph.outputs = graph.outputs.map((v) => (v === value ? result : v));
      graph.takeName(result, value);
    }
  }
  graph.prune();
}

interface Chain {
  readonly nodes: readonly Node[];
  /** What it reads from elsewhere, of its own shape. */
  readonly scanned: readonly Value[];
  /** How many blocks. */
  readonly rows: number;
}

function isFusible(node: Node, {small}: BlockSizes): boolean {
  const {output} = node;
  if (node.domain !== '' || !ELEMENTWISE.has(node.opType) || output.dtype !== 'float32') return false;
  if (!isStatic(output) || elementCount(output.dims as number[]) < small) return false;
  return node.inputs.every((v) => v && isStatic(v) && (sameDims(v, output) || elementCount(v.dims as number[]) === 1));
}

/**
 * Fusible nodes of one shape that are connected, and between which no path leads through others: the stage of a node is how often a path to
 * it changes over from fusible nodes of a shape to others or back, at most.
 */
function chainsOf(graph: Graph, sizes: BlockSizes): Chain[] {
  const stages = new Map<Node, number>();
  const groups = new Map<Node, Node[]>();
  for (const node of graph.nodes) {
    const fusible = isFusible(node, sizes);
    const producers = [...node.inputs, ...node.captured].flatMap((v) => v?.producer ?? []);
    const isBeside = (p: Node) => fusible && groups.has(p) && sameDims(p.output, node.output);
    const stage = Math.max(0, ...producers.map((p) => stages.get(p)! + (isBeside(p) ? 0 : 1)));
    stages.set(node, stage);
    if (!fusible) continue;
    const joined = new Set(producers.filter((p) => isBeside(p) && stages.get(p) === stage).map((p) => groups.get(p)!));
    const group = [...[...joined].flat(), node];
    for (const each of group) groups.set(each, group);
  }
  return [...new Set(groups.values())].flatMap((nodes) => chainOf(nodes, sizes) ?? []);
}

function chainOf(nodes: readonly Node[], sizes: BlockSizes): Chain | undefined {
  const own = new Set(nodes.map((node) => node.output));
  const shape = nodes[0]!.output;
  const scanned = [...new Set(nodes.flatMap((node) => node.inputs as Value[]))].filter(
    (v) => !own.has(v) && sameDims(v, shape),
  );
  const rows = rowsOf(elementCount(shape.dims as number[]), sizes);
  return nodes.length < SHORTEST_CHAIN || scanned.length === 0 || rows === undefined ? undefined : {nodes, scanned, rows};
}

/** The fewest blocks of equal size that are small enough. */
function rowsOf(size: number, {smallest, largest}: BlockSizes): number | undefined {
  for (let rows = Math.ceil(size / largest); size / rows >= smallest; rows++) if (size % rows === 0) return rows;
  return undefined;
}

/** The chain's nodes on one block; single numbers are used from outside. */
function scanOf(graph: Graph, {nodes, scanned, rows}: Chain, sources: readonly Value[], outputs: readonly Value[]): Node {
  const body = new Graph('block');
  const block = elementCount(outputs[0]!.dims as number[]) / rows;
  const inside = new Map(scanned.map((v) => [v, body.input(`block.${v.name}`, 'float32', [block])]));
  for (const node of nodes) {
    const inputs = (node.inputs as Value[]).map((v) => inside.get(v) ?? v);
    const types = [{dtype: 'float32', shape: [block]}] as const;
    const made = body.addNode(node.opType, inputs, node.attributes, {
      name: node.name,
      outputNames: [`block.${node.output.name}`],
      types,
    });
    inside.set(node.output, made.output);
  }
  body.outputs = outputs.map((v) => inside.get(v)!);
  const types = outputs.map(() => ({dtype: 'float32', shape: [rows, block]}) as const);
  const attributes = {body, num_scan_inputs: sources.length};
  return graph.node('Scan', sources, attributes, {name: `${nodes.at(-1)!.name}.blocks`, outputs: outputs.length, types});
}

function replaceOutside(value: Value, whole: Value, member: ReadonlyMap<Node, Chain>): void {
  for (const user of [...value.users].filter((node) => !member.has(node) && node !== whole.producer)) {
    user.inputs = user.inputs.map((v) => (v === value ? whole : v));
    value.users.delete(user);
    whole.users.add(user);
  }
}
