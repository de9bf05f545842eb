/**
 * Which results of a graph may be written over one of its inputs: a step's new momentum over the old one. It spares memory, and the
 * passage of new arrays through the processor's caches, which halves the time of an optimiser's update.
 */
import type {Graph, Node, Value} from '../onnx/graph.js';

/** Each number of the result is of the numbers in the same place, so that reading and writing do not meet. */
const ELEMENTWISE: ReadonlySet<string> = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Sqrt', 'Neg', 'Abs']);
/** The same numbers in the same memory. */
const VIEWS: ReadonlySet<string> = new Set(['Reshape', 'Identity', 'Squeeze', 'Unsqueeze', 'Flatten']);

/**
 * Whether every node that reads `input` has run when `output` is written. The writer itself may read it, number by number. A writer with
 * a constant operand is refused: where that is 0 or 1, onnxruntime leaves the writer out, and another node writes in its place.
 */
export function mayOverwrite(graph: Graph, input: Value, output: Value): boolean {
  const writer = output.producer;
  if (!writer || !ELEMENTWISE.has(writer.opType) || !sameDims(input, output)) return false;
  if (writer.inputs.some((operand) => operand?.initializer)) return false;
  const views = viewsOf(input);
  if (graph.outputs.some((value) => views.has(value))) return false;
  const readers = [...views].flatMap((view) => [...view.users]).filter((node) => node !== writer && !VIEWS.has(node.opType));
  if (readers.some((node) => node.captured.length > 0)) return false;
  const isOperand = writer.inputs.some((operand) => operand && views.has(operand));
  if (isOperand && !writer.inputs.every((operand) => !operand || !views.has(operand) || sameDims(operand, output)))
    return false;
  const before = ancestorsOf(writer);
  return readers.every((node) => before.has(node));
}

const sameDims = (a: Value, b: Value): boolean =>
  a.dtype === b.dtype && a.dims.length === b.dims.length && a.dims.every((d, i) => d === b.dims[i]);

/** The value, and all that are the same memory in another shape. */
function viewsOf(value: Value): Set<Value> {
  const views = new Set([value]);
  for (const view of views) {
    for (const node of view.users) if (VIEWS.has(node.opType) && node.inputs[0] === view) views.add(node.output);
  }
  return views;
}

/** All nodes that run before this one, whatever order a runtime chooses. */
function ancestorsOf(node: Node): Set<Node> {
  const found = new Set<Node>();
  const open = [node];
  while (open.length > 0) {
    for (const {producer} of open.pop()!.inputs.filter((value) => value !== undefined)) {
      if (!producer || found.has(producer)) continue;
      found.add(producer);
      open.push(producer);
    }
  }
  return found;
}
