/**
 * Which results of a graph may be written over one of its inputs: a step's new momentum over the old one. It spares memory, and the
 * passage of new arrays through the processor's caches, which halves the time of an optimiser's update.
 */
import {elementCount} from '../../core/tensor.js';
import {Graph, type Node, type Value} from '../../onnx/graph.js';

/** Each number of the result is of the numbers in the same place, so that reading and writing do not meet. */
export const ELEMENTWISE: ReadonlySet<string> = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Sqrt', 'Neg', 'Abs']);
/** The same numbers in the same memory. */
const VIEWS: ReadonlySet<string> = new Set(['Reshape', 'Identity', 'Squeeze', 'Unsqueeze', 'Flatten']);

/**
 * Whether every node that reads `input` has run when `output` is written. The writer itself may read it, number by number. A writer with
 * a constant operand is refused: where that is 0 or 1, onnxruntime leaves the writer out, and another node writes in its place.
 */
export function mayOverwrite(graph: Graph, input: Value, output: Value): boolean {
  const writer = output.producer;
  if (!writer || !sameSize(input, output)) return false;
  const views = viewsOf(input);
  if (graph.outputs.some((value) => views.has(value)) || !writesAsItReads(writer, views, output)) return false;
  const readers = [...views].flatMap((view) => [...view.users]).filter((node) => node !== writer && !VIEWS.has(node.opType));
  const before = ancestorsOf(writer);
  return readers.every((node) => before.has(node));
}

/** Whether what the writer reads of these values is in the place that it writes, and read before. */
function writesAsItReads(writer: Node, views: ReadonlySet<Value>, output: Value): boolean {
  const own = writer.inputs.flatMap((operand, i) => (operand && views.has(operand) ? [{operand, i}] : []));
  if (!own.every(({operand}) => sameDims(operand, output))) return false;
  if (ELEMENTWISE.has(writer.opType)) return !writer.inputs.some((operand) => operand?.initializer);
  const body = writer.opType === 'Scan' ? writer.attributes.get('body')?.value : undefined;
  if (!(body instanceof Graph) || own.length > 1) return false;
  const part = body.outputs[writer.outputs.indexOf(output)]!;
  return own.every(({i}) => mayOverwrite(body, body.inputs[i]!, part)) && ELEMENTWISE.has(part.producer!.opType);
}

/** Whether the shape is known in numbers. */
export const isStatic = ({shape}: Value): boolean => shape?.every((d) => typeof d === 'number') ?? false;

/** Also where neither is known. */
export const sameDims = (a: Value, b: Value): boolean => a.shape?.join() === b.shape?.join();

const sameSize = (a: Value, b: Value): boolean =>
  a.dtype === b.dtype && elementCount(a.dims as number[]) === elementCount(b.dims as number[]);

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
