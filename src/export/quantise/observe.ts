/** Real images through a network, and what its values then are: distributions, channel by channel means and maxima, logits. */
import {int64, type Tensor, tensor} from '../../core/tensor.js';
import {classTable} from '../../onnx/class-table.js';
import {cloneModel} from '../../onnx/clone-model.js';
import {modelBytes} from '../../onnx/encode.js';
import type {AttributeValues, Graph, Model, Value} from '../../onnx/graph.js';
import {openSession} from '../../onnx/session.js';
import {Histogram} from './histogram.js';

/** Images [n, 3, S, S], the same at each call. */
export type Batches = () => AsyncIterable<Tensor<'float32'>>;

/** `exact` runs the nodes as they are, so that each value exists; otherwise the runtime may fuse them. */
type Fidelity = 'exact' | 'fused';

/** Calls `visit` with the values of each batch, in the order of `values`. */
async function forEachBatch(
  model: Model,
  values: readonly Value[],
  batches: Batches,
  fidelity: Fidelity,
  visit: (tensors: Tensor[], images: number) => void,
): Promise<void> {
  const input = model.graph.inputs[0]!;
  const names = values.filter((v) => v !== input).map((v) => v.name);
  const session = await openSession(bytesWatching(model, values), {
    optimize: fidelity === 'exact' ? 'disabled' : 'all',
    file: model.file,
  });
  try {
    for await (const batch of batches()) {
      for (const images of groups(batch, input.shape?.[0])) {
        const results = await session.run(new Map([[input.name, images]]), names);
        const tensors = values.map((v) => (v === input ? images : results.get(v.name)!));
        visit(tensors, images.shape[0]!);
      }
    }
  } finally {
    await session.close();
  }
}

/** The model with other outputs; its own are put back. */
function bytesWatching(model: Model, values: readonly Value[]): Uint8Array {
  const {graph} = model;
  const {outputs} = graph;
  const made = values.filter((v) => !graph.inputs.includes(v));
  graph.outputs = made.length > 0 ? made : outputs;
  try {
    return modelBytes(model);
  } finally {
    graph.outputs = outputs;
  }
}

/** As many at a time as a model with a fixed batch takes; what is left over is not looked at. */
function* groups(images: Tensor<'float32'>, batch: number | string | undefined): Generator<Tensor<'float32'>> {
  const [count = 0, ...shape] = images.shape;
  if (typeof batch !== 'number') {
    if (count > 0) yield images;
    return;
  }
  const size = images.data.length / count;
  for (let start = 0; start + batch <= count; start += batch)
    yield tensor('float32', [batch, ...shape], images.data.subarray(start * size, (start + batch) * size));
}

/** The distribution of each value. */
export async function observe(model: Model, values: readonly Value[], batches: Batches): Promise<Map<Value, Histogram>> {
  const histograms = values.map(() => new Histogram());
  await forEachBatch(model, values, batches, 'exact', (tensors) => {
    for (const [i, t] of tensors.entries()) histograms[i]!.add(t.data as Float32Array);
  });
  return new Map(values.map((v, i) => [v, histograms[i]!]));
}

/** [N, C, …] → [C] */
interface Reduction {
  readonly operator: 'ReduceMean' | 'ReduceMax';
  readonly first: number;
  readonly combine: (soFar: number, next: number, images: number) => number;
}
const mean: Reduction = {operator: 'ReduceMean', first: 0, combine: (sum, next, images) => sum + next * images};
const maximum: Reduction = {
  operator: 'ReduceMax',
  first: Number.NEGATIVE_INFINITY,
  combine: (soFar, next) => Math.max(soFar, next),
};

/** The runtime reduces: only [C] numbers a batch come back. Values are named, because they are looked up in a copy. */
async function reduceChannels(model: Model, names: readonly string[], batches: Batches, reduction: Reduction) {
  const copy = cloneModel(model);
  const reduced = names.map((name) => reduceNode(copy, copy.graph.value(name)!, reduction.operator));
  copy.graph.outputs = reduced;
  copy.graph.prune();
  const results = reduced.map((v) => new Float64Array(v.dims[0] as number).fill(reduction.first));
  let images = 0;
  await forEachBatch(copy, reduced, batches, 'exact', (tensors, n) => {
    images += n;
    for (const [i, t] of tensors.entries()) {
      const own = results[i]!;
      for (let c = 0; c < own.length; c++) own[c] = reduction.combine(own[c]!, t.data[c] as number, n);
    }
  });
  return {results: new Map(names.map((name, i) => [name, results[i]!])), images};
}

function reduceNode({graph, opset}: Model, value: Value, operator: Reduction['operator']): Value {
  const axes = value.dims.flatMap((_, d) => (d === 1 ? [] : [d]));
  const [inputs, attributes] = reductionAxes(graph, axes, opset);
  return graph.op(operator, [value, ...inputs], {...attributes, keepdims: 0}, {name: `${value.name}/${operator}`});
}
/** An input since opset 18, an attribute before. */
const reductionAxes = (graph: Graph, axes: number[], opset: number): [Value[], AttributeValues] =>
  opset >= 18 ? [[graph.initializer('axes', int64([axes.length], axes))], {}] : [[], {axes}];

/** Mean of each channel over all images and places, by the value's name. */
export async function channelMeans(
  model: Model,
  names: readonly string[],
  batches: Batches,
): Promise<Map<string, Float64Array>> {
  const {results, images} = await reduceChannels(model, names, batches, mean);
  for (const sums of results.values()) for (let c = 0; c < sums.length; c++) sums[c]! /= images;
  return results;
}
/** Largest number of each channel, by the value's name. */
export const channelPeaks = async (
  model: Model,
  names: readonly string[],
  batches: Batches,
): Promise<Map<string, Float64Array>> => (await reduceChannels(model, names, batches, maximum)).results;

/** [images, classes] of all batches. */
export async function logitsOfBatches(model: Model, batches: Batches): Promise<{data: Float32Array; classes: number}> {
  const output = classTable(model) ?? model.graph.outputs[0]!;
  const rows: Float32Array[] = [];
  await forEachBatch(model, [output], batches, 'fused', ([t]) => rows.push(Float32Array.from(t!.data as Float32Array)));
  const data = new Float32Array(rows.reduce((n, r) => n + r.length, 0));
  let at = 0;
  for (const row of rows) {
    data.set(row, at);
    at += row.length;
  }
  return {data, classes: output.dims[1] as number};
}
