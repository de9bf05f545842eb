/** Which output of a classifier are its logits, and what they end in: many give features, probabilities or auxiliary heads beside them. */
import type {Dim, Model, Node, Value} from './graph.js';

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

/**
 * How many numbers a value has for each image: of [N, C] and [N, C, 1, 1], and of [C] where a batch is one image. 'unknown': only a run
 * tells. Undefined: it is no table of numbers.
 */
export function classesOf(
  {shape, dtype}: Pick<Value, 'shape' | 'dtype'>,
  batch: Dim | undefined,
): number | 'unknown' | undefined {
  if (!dtype.startsWith('float')) return undefined;
  if (!shape) return 'unknown';
  if (shape.length < 2) return shape.length === 1 && batch === 1 ? known(shape[0]!) : undefined;
  const wide = shape.slice(1).filter((d) => d !== 1);
  if (shape.length > 2 && wide.length > 1) return undefined;
  return known(wide[0] ?? 1);
}
const known = (dim: Dim): number | 'unknown' => (typeof dim === 'number' ? dim : 'unknown');

const batchOf = ({inputs}: Model['graph']): Dim | undefined => inputs[0]?.shape?.[0];

/** Names that say it. */
const LOGITS = /^logits?$/i;

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
  const batch = batchOf(graph);
  const tables = graph.outputs.filter((value) => typeof classesOf(value, batch) === 'number');
  if (tables.length < 2) return tables;
  const logits = tables.filter((table) => sourcesOf(table, tables, true).length === 0);
  const inner = new Set(logits.flatMap((table) => sourcesOf(table, logits, false)));
  return logits.filter((table) => !inner.has(table));
}

/** The table called `logits`, or the first that may be them and is not called auxiliary, else the first. Undefined where there is no such table. */
export function classTable(model: Model): Value | undefined {
  const tables = logitsTables(model);
  return tables.find(({name}) => LOGITS.test(name)) ?? tables.find(({name}) => !AUXILIARY.test(name)) ?? tables[0];
}

/** No sentence, or one where several outputs may be the logits: which was taken. */
export function classTableWarnings(model: Model): string[] {
  const [taken, tables] = [classTable(model), logitsTables(model)];
  const others = tables.filter((table) => table !== taken).map(({name}) => `'${name}'`);
  if (!taken || others.length === 0) return [];
  const why = LOGITS.test(taken.name)
    ? 'it has the name'
    : AUXILIARY.test(tables[0]!.name) && taken !== tables[0]
      ? 'the others are called auxiliary'
      : 'it comes first';
  return [
    `'${taken.name}' is taken for the logits; ${others.join(', ')} could be them as well (${why}): --output-name decides`,
  ];
}
