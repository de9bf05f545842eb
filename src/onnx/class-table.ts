/** Which output of a classifier are its logits, and what they end in: many give features, probabilities or auxiliary heads beside them. */
import type {Model, Node, Value} from './graph.js';

/** They change the type or the shape of a row, or round it; not what it means. */
const PASSES = new Set(['Cast', 'Identity', 'Flatten', 'Reshape', 'Squeeze', 'QuantizeLinear', 'DequantizeLinear', 'Dropout']);

/** The last node that computes the named output, as far as what its numbers mean. */
export function lastNode({graph}: Model, output: string): Node | undefined {
  let node = graph.value(output)?.producer;
  while (node && PASSES.has(node.opType)) node = node.inputs[0]?.producer;
  return node;
}

const NORMALISERS = new Set(['Softmax', 'LogSoftmax', 'Sigmoid']);
/** A node after which numbers are logits no more. */
export const isNormaliser = ({opType}: Node): boolean => NORMALISERS.has(opType);

const isTable = ({shape, dtype}: Value): boolean =>
  shape?.length === 2 && typeof shape[1] === 'number' && dtype.startsWith('float');

/** Layers: behind one of these a table is another than the one before it, and no longer an answer made of it. */
const LAYER = /Conv|MatMul|Gemm/;

/** Those of `others` that the value is computed from; `near`: without a layer between them, as probabilities and the best classes are. */
function sourcesOf(value: Value, others: readonly Value[], near: boolean): Value[] {
  const seen = new Set<Value>();
  const waiting = [value];
  for (let v = waiting.pop(); v; v = waiting.pop()) {
    if (near && LAYER.test(v.producer?.opType ?? '')) continue;
    for (const input of v.producer?.inputs ?? []) {
      if (!input || seen.has(input)) continue;
      seen.add(input);
      waiting.push(input);
    }
  }
  return others.filter((other) => seen.has(other));
}

/**
 * The first output [N, classes] that is no answer made of another, and that no other layer works on, as one does on an embedding.
 * Undefined where there is no such table.
 */
export function classTable({graph}: Model): Value | undefined {
  const tables = graph.outputs.filter(isTable);
  if (tables.length < 2) return tables[0];
  const logits = tables.filter((table) => sourcesOf(table, tables, true).length === 0);
  const inner = new Set(logits.flatMap((table) => sourcesOf(table, logits, false)));
  return logits.find((table) => !inner.has(table));
}
