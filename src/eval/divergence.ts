/**
 * Where two forms of a network part: every value that both compute under one name becomes an output of both, and the first that
 * differs, in the order of computation, is the answer. One run of each is enough; no search by halves is needed.
 */
import {compare} from '../core/compare.js';
import type {Tensor} from '../core/tensor.js';
import {isNormaliser, lastNode} from '../onnx/class-table.js';
import {modelBytes} from '../onnx/encode.js';
import type {Model, Value} from '../onnx/graph.js';
import {openSession, type SessionOptions} from '../onnx/session.js';
import {runOutputs} from './logits.js';
import type {Subject} from './subject.js';
import {type Tails, tailsAfter} from './tail.js';
import {statisticsOf, type TensorStatistics} from './tensor-statistics.js';

export interface LayerComparison {
  name: string;
  operator: string;
  shape: string;
  maxAbs: number;
  /** maxAbs over the largest magnitude of the reference. */
  relative: number;
  reference: TensorStatistics;
  actual: TensorStatistics;
}

export interface Divergence {
  /** Values that both compute, in the order of the second. */
  compared: number;
  /** The last that agrees before the first that does not. */
  lastEqual: LayerComparison | undefined;
  /**
   * The first that differs; where none does, the first with a number that is not finite. Undefined if all agree: then the difference
   * comes from what the runtime makes of the whole.
   */
  first: LayerComparison | undefined;
  layers: LayerComparison[];
  /** What follows the layers that agree, where nothing but the output differs and other operators compute it. */
  tails: Tails | undefined;
}

/** Values under one name that are computed from the image in both; constants that one form folds are no layers. */
function commonValues(a: Model, b: Model): {name: string; operator: string; shape: string}[] {
  const [fromA, fromB] = [computed(a), computed(b)];
  return [...fromB].flatMap(([name, value]) => {
    const other = fromA.get(name);
    if (!other || !sameDims(other, value)) return [];
    return [{name, operator: value.producer!.opType, shape: `[${value.shape!.join(', ')}]`}];
  });
}

function computed({graph}: Model): Map<string, Value> {
  const live = new Set<Value>(graph.inputs);
  const values = new Map<string, Value>();
  for (const node of graph.nodes) {
    if (!node.inputs.some((v) => v && live.has(v))) continue;
    for (const output of node.outputs) live.add(output);
    const {output} = node;
    if (output.dtype === 'float32' && output.shape && output.name !== '') values.set(output.name, output);
  }
  return values;
}

/** Batches may differ: one form may have a fixed one. */
const sameDims = (a: Value, b: Value): boolean =>
  a.shape!.length === b.shape!.length && a.shape!.slice(1).every((d, i) => typeof d === 'string' || d === b.shape![i + 1]);

/** The model with other outputs; its own are put back. */
function bytesWatching({graph, ...rest}: Model, names: readonly string[]): Uint8Array {
  const {outputs} = graph;
  graph.outputs = names.map((name) => graph.value(name)!);
  try {
    return modelBytes({graph, ...rest});
  } finally {
    graph.outputs = outputs;
  }
}

async function valuesOf(
  subject: Subject,
  images: Tensor<'float32'>,
  names: readonly string[],
  options: SessionOptions,
): Promise<Float32Array[]> {
  const session = await openSession(bytesWatching(subject.model(), names), {...options, file: subject.model().file});
  try {
    return await runOutputs(session, subject, images, names);
  } finally {
    await session.close();
  }
}

/** Compares layer by layer on a few images; `bound` is relative to the largest magnitude of each value. */
export async function findDivergence(
  a: Subject,
  b: Subject,
  images: Tensor<'float32'>,
  bound: number,
  options: SessionOptions = {},
): Promise<Divergence> {
  const common = commonValues(a.model(), b.model());
  if (common.length === 0) return {compared: 0, lastEqual: undefined, first: undefined, layers: [], tails: endsOf(a, b)};
  const names = common.map(({name}) => name);
  const reference = await valuesOf(a, images, names, options);
  const actual = await valuesOf(b, images, names, options);
  const layers = common.map((layer, i): LayerComparison => {
    const [want, got] = [reference[i]!, actual[i]!];
    const {maxAbs, maxRel} = compare(got, want, {because: 'measured here, judged below'});
    return {...layer, maxAbs, relative: maxRel, reference: statisticsOf(want), actual: statisticsOf(got)};
  });
  const differing = layers.findIndex(({relative}) => !(relative <= bound));
  const at = differing >= 0 ? differing : layers.findIndex(isNotFinite);
  const lastEqual = at > 0 ? layers[at - 1] : undefined;
  const agreed = at < 0 ? names : names.slice(0, at);
  const atTheEnd = at < 0 || [a.output, b.output].every((output) => output === names[at]);
  const tails = atTheEnd ? tailsAfter(partOf(a), partOf(b), agreed) : undefined;
  return {compared: layers.length, first: layers[at], lastEqual, layers, tails};
}

const partOf = (subject: Subject) => ({model: subject.model(), output: subject.output});

/** Without a common name only a softmax at the end of one of them is told. */
function endsOf(a: Subject, b: Subject): Tails | undefined {
  const ends = [a, b].map(({output, model}) => {
    const node = lastNode(model(), output);
    return node && isNormaliser(node) ? [String(node)] : [];
  }) as [string[], string[]];
  return ends[0].length === ends[1].length ? undefined : {reference: ends[0], actual: ends[1]};
}

/** Equal or not: a NaN in both models is nothing that they agree on. */
export const isNotFinite = ({reference, actual}: LayerComparison): boolean => reference.nonFinite + actual.nonFinite > 0;
