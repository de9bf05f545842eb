/**
 * A float16 network as hardware with float16 computes it, in float32: every value is rounded to float16 where a node gives it away,
 * sums inside a node are float32's. onnxruntime's CPU provider has no float16 convolutions on x64: it computes such a network in
 * float32 and leaves the casts between two nodes out, so that it shows neither the rounding nor an overflow.
 */
import {toFloat32} from '../../core/tensor.js';
import {type Attribute, Graph, type Model, type Node, type Value} from '../../onnx/graph.js';
import {dataTypeOf} from '../../onnx/ops.js';

const FLOAT32 = dataTypeOf('float32');
const FLOAT16 = dataTypeOf('float16');

/** Takes and gives float32. Run it with optimisations disabled: they would drop the roundings. */
export function emulateHalf(original: Model): Model {
  const graph = new Graph(original.graph.name);
  const copies = new Map<Value, Value>();
  const copyOf = (value: Value): Value => {
    const found = copies.get(value) ?? constant(graph, value);
    copies.set(value, found);
    return found;
  };
  const given = (from: Value, to: Value): void => void copies.set(from, from.dtype === 'float16' ? rounded(graph, to) : to);
  for (const input of original.graph.inputs)
    given(input, graph.input(input.name, input.dtype === 'float16' ? 'float32' : input.dtype, input.shape));
  for (const node of original.graph.nodes) {
    const inputs = node.inputs.map((v) => v && copyOf(v));
    const types = node.outputs.map(({dtype, shape}) => ({dtype: dtype === 'float16' ? ('float32' as const) : dtype, shape}));
    const copy = graph.addNode(node.opType, inputs, widened(node), {name: node.name, outputs: node.outputs.length, types});
    for (const [i, output] of node.outputs.entries()) given(output, copy.outputs[i]!);
  }
  graph.outputs = original.graph.outputs.map((output) => {
    const value = copyOf(output);
    if (value.name === output.name) return value;
    const holder = graph.value(output.name);
    if (holder) graph.takeName(value, holder);
    else graph.rename(value, output.name);
    return value;
  });
  graph.prune();
  return {...original, graph, metadata: new Map(original.metadata)};
}

const constant = (graph: Graph, {name, dtype, initializer}: Value): Value =>
  graph.initializer(
    name,
    dtype === 'float16'
      ? {dtype: 'float32', shape: initializer!.shape, read: () => toFloat32(initializer!.read())}
      : initializer!,
  );

/** To float16 and back. Half of the distance to the next float16 beyond 65504 and more is infinite, as IEEE 754 asks. */
function rounded(graph: Graph, value: Value): Value {
  const name = {name: `${value.name}.rounded`};
  const half = graph.op('Cast', [value], {to: FLOAT16}, name);
  return graph.op('Cast', [half], {to: FLOAT32}, name);
}

/** A cast to float16 gives float32 here, and is rounded like every value. */
function widened({opType, attributes}: Node): ReadonlyMap<string, Attribute> {
  if (opType !== 'Cast' || attributes.get('to')?.value !== FLOAT16) return attributes;
  return new Map([...attributes, ['to', {kind: 'int', value: FLOAT32}]]);
}
