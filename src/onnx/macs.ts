/**
 * Multiply-accumulates of a graph for one image, from the shapes of its values. Only what depends on the image counts: a training
 * form also merges its weights on the way, once at load.
 */
import type {Dims, Graph, Node, Value} from './graph.js';

/** Elements of a shape; the batch, and every other dimension that has only a name, counts as 1. `N*49` is 49. */
export function elements(dims: Dims): number {
  return dims.reduce<number>((n, d) => n * (typeof d === 'number' ? d : symbolic(d)), 1);
}
const symbolic = (d: string): number =>
  d.split('*').reduce((n, factor) => n * (/^\d+(\.\d+)?$/.test(factor) ? Number(factor) : 1), 1);

/** Elements of a value, of which each costs one multiply-accumulate for each element along what is summed. */
type Count = (node: Node, shapes: readonly (Dims | undefined)[], output: Dims) => number;

const last = (dims: Dims | undefined): number => elements(dims?.slice(-1) ?? []);
const conv: Count = (_, [, w], output) => elements(output) * elements(w!.slice(1)); // w: [O, I/g, kH, kW]
const product: Count = (_, [a], output) => elements(output) * last(a);

/** THE table of operators that multiply matrices; the others are an order of magnitude below. Fused forms are onnxruntime's. */
const counts: Readonly<Record<string, Count>> = {
  Conv: conv,
  FusedConv: conv,
  ConvTranspose: (_, [x, w]) => elements(x!) * elements(w!.slice(1)), // w: [I, O/g, kH, kW]
  MatMul: product,
  FusedMatMul: product,
  MatMulInteger: product,
  ConvInteger: conv,
  Gemm: (node, [a], output) => elements(output) * elements([a![1 - node.number('transA', 0)]!]),
  // q·kᵀ and probabilities·v; 3D inputs hold all heads in their last dimension. https://onnx.ai/onnx/operators/onnx__Attention.html
  Attention: (_, [q, k, v]) => {
    const leading = elements(q!.slice(0, -2));
    const [rows, columns] = [elements(q!.slice(-2, -1)), elements(k!.slice(-2, -1))];
    return leading * rows * columns * (last(q) + last(v));
  },
};

/** What is computed from the graph's inputs, not from constants alone. */
function reachable(graph: Graph): Set<Value> {
  const values = new Set<Value>(graph.inputs);
  for (const node of graph.nodes) {
    if (node.inputs.some((v) => v && values.has(v))) for (const output of node.outputs) values.add(output);
  }
  return values;
}

export interface MacCount {
  macs: number;
  /** Those whose operands are integers: between DequantizeLinear and the product stands nothing. */
  integers: number;
  /** Nodes of the table whose shapes are not known: they are not counted. */
  unknown: number;
}

export function macsOf(graph: Graph): MacCount {
  const live = reachable(graph);
  const batch = graph.inputs[0]?.shape?.[0];
  const images = typeof batch === 'number' ? batch : 1;
  const total: MacCount = {macs: 0, integers: 0, unknown: 0};
  for (const node of graph.nodes) {
    const count = counts[node.opType];
    if (!count || !live.has(node.output)) continue;
    const shapes = node.inputs.map((v) => v?.shape);
    if (!node.output.shape || node.inputs.slice(0, 2).some((v) => v && !v.shape)) {
      total.unknown++;
      continue;
    }
    const macs = count(node, shapes, node.output.shape) / images;
    total.macs += macs;
    if (isOnIntegers(node)) total.integers += macs;
  }
  return total;
}

const isOnIntegers = ({opType, inputs}: Node): boolean =>
  opType.endsWith('Integer') || inputs.slice(0, 2).every((v) => v?.producer?.opType === 'DequantizeLinear');
