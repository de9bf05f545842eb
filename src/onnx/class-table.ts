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

/** Heads that help in training, by the names that exporters give their outputs: `aux_logits`, `out_aux1`, `deep_supervision`. */
const AUXILIARY = /(^|[^a-z])aux(iliary)?(?![a-z])|deep_?sup/i;

/** The outputs [N, classes] that are no answer made of another, and that no other layer works on, as one does on an embedding. */
function logitsTables({graph}: Model): readonly Value[] {
  const tables = graph.outputs.filter(isTable);
  if (tables.length < 2) return tables;
  const logits = tables.filter((table) => sourcesOf(table, tables, true).length === 0);
  const inner = new Set(logits.flatMap((table) => sourcesOf(table, logits, false)));
  return logits.filter((table) => !inner.has(table));
}

/** The first of the tables that may be the logits and is not called auxiliary, else the first. Undefined where there is no such table. */
export function classTable(model: Model): Value | undefined {
  const tables = logitsTables(model);
  return tables.find(({name}) => !AUXILIARY.test(name)) ?? tables[0];
}

/** No sentence, or one where several outputs may be the logits: which was taken. */
export function classTableWarnings(model: Model): string[] {
  const [taken, tables] = [classTable(model), logitsTables(model)];
  const others = tables.filter((table) => table !== taken).map(({name}) => `'${name}'`);
  if (!taken || others.length === 0) return [];
  const why = AUXILIARY.test(tables[0]!.name) && taken !== tables[0] ? 'the others are called auxiliary' : 'it comes first';
  return [`'${taken.name}' is taken for the logits; ${others.join(', ')} could be them as well (${why})`];
}
