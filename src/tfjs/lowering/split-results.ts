/**
 * Results that are other values one behind the other: where the caller has the memory, each of those is written where it belongs, and nothing
 * is put together afterwards.
 */
import {elementCount} from '../../core/tensor.js';
import type {Graph, Node, Value} from '../../onnx/graph.js';
import {isStatic} from './in-place.js';

export interface ResultPart {
  /** Of an output of the graph. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly size: number;
}

/** Makes the operands of such results outputs instead; gives them by the name of the result, in order. */
export function splitResults(graph: Graph): Map<string, readonly ResultPart[]> {
  const found = new Map<string, readonly ResultPart[]>();
  for (const result of [...graph.outputs]) {
    const joins = result.producer;
    if (!joins || !isJoin(joins, graph)) continue;
    const parts = (joins.inputs as Value[]).map((operand) => ownResult(graph, operand));
    found.set(
      result.name,
      parts.map(({name, dims}) => ({name, shape: dims as number[], size: elementCount(dims as number[])})),
    );
    graph.outputs = graph.outputs.filter((v) => v !== result);
  }
  graph.prune();
  return found;
}

/** A result costs some microseconds: shorter ones are put together in less. */
const SMALLEST = 1 << 16;

/** Vectors joined, and used for nothing else. */
const isJoin = ({opType, domain, inputs, output}: Node, graph: Graph): boolean =>
  opType === 'Concat' &&
  domain === '' &&
  output.shape?.length === 1 &&
  elementCount(output.dims as number[]) >= SMALLEST &&
  output.users.size === 0 &&
  graph.outputs.filter((v) => v === output).length === 1 &&
  inputs.every((v) => v !== undefined && isStatic(v));

/** The value as an output of the graph: as it was before it got another shape, if a node has made it for nobody else outside. */
function ownResult(graph: Graph, operand: Value): Value {
  let value = operand;
  while (value.producer?.opType === 'Reshape') value = value.producer.inputs[0]!;
  const isOwn = value.producer && isStatic(value) && !graph.outputs.includes(value);
  const made = isOwn ? value : graph.op('Identity', [operand], {}, {name: `${operand.name}.part${graph.outputs.length}`});
  graph.outputs = [...graph.outputs, made];
  return made;
}
