/**
 * Cross-layer equalisation: what one layer's channel c is divided by, the next layer multiplies its weights for c with. The network
 * computes the same, since a ReLU commutes with positive factors, but the channels between the two then have alike ranges, so that one
 * scale for all of them fits. After Nagel et al. 2019, arXiv 1906.04721, section 4.1; with ranges of activations instead of weights, as
 * Xiao et al. 2022, arXiv 2211.10438, because weights have a scale a channel here and activations do not.
 */
import {type Tensor, tensor, toFloat64} from '../../core/tensor.js';
import type {Graph, Model, Value} from '../../onnx/graph.js';
import {channelMaxima, forEachInChannel} from './affine.js';
import {type Batches, channelPeaks} from './observe.js';
import {planUnits, takesBias, type Unit} from './plan.js';

/** Two layers of which the second alone reads the first. */
export interface LayerPair {
  readonly first: Unit;
  readonly second: Unit;
}

/** A channel that hardly ever fires is not blown up by more than this beside the largest: other images may wake it. */
const MAX_FACTOR = 64;

export function layerPairs(graph: Graph): LayerPair[] {
  const units = planUnits(graph).filter(takesBias);
  return units.flatMap((first) => {
    const commutes = first.activation === undefined || first.activation.opType === 'Relu';
    const [user, ...others] = first.output.users;
    const second = units.find(({node}) => node === user);
    const alone = others.length === 0 && !graph.outputs.includes(first.output);
    return commutes && alone && second?.inputs[0] === first.output ? [{first, second}] : [];
  });
}

/** Which input channel the element at `index` of a layer's weight belongs to. Shapes: [O, I/g, kH, kW], [O, I] or [I, O]. */
export function inputChannelOf({node, weight}: Unit): (index: number) => number {
  const {value, axis} = weight!;
  const {shape} = value.initializer;
  if (node.opType === 'Gemm') return axis === 0 ? (i) => i % shape[1]! : (i) => Math.floor(i / shape[1]!);
  const [out, perGroup, ...kernel] = shape as [number, number, ...number[]];
  const inner = kernel.reduce((n, d) => n * d, 1);
  const outPerGroup = out / node.number('group', 1);
  return (i) => {
    const group = Math.floor(Math.floor(i / (inner * perGroup)) / outPerGroup);
    return group * perGroup + (Math.floor(i / inner) % perGroup);
  };
}
const isDepthwise = ({node, weight}: Unit): boolean =>
  node.opType === 'Conv' && weight!.value.initializer.shape[1] === 1 && node.number('group', 1) > 1;

/**
 * What to divide each channel by. Before a depthwise layer: its own range, since the next weights have a scale for each channel that
 * takes up the factor. Otherwise √(range / largest weight), which leaves both alike uneven.
 */
export function equalisingFactors(peaks: Float64Array, nextWeights: Float64Array, depthwise: boolean): Float64Array {
  const largest = peaks.reduce((a, b) => Math.max(a, b), 0);
  if (largest === 0) return peaks.map(() => 1);
  return peaks.map((peak, c) => {
    const range = Math.max(peak / largest, 1 / MAX_FACTOR);
    if (depthwise) return range;
    const weight = Math.max(nextWeights[c]! / nextWeights.reduce((a, b) => Math.max(a, b), 0), 1 / MAX_FACTOR);
    return Math.sqrt(range / weight);
  });
}

/** The numbers of both layers with channel c between them divided by factors[c]. Float64. */
export function rescale(
  {first, second}: LayerPair,
  numbers: (v: Value) => Tensor<'float64'>,
  factors: Float64Array,
): Map<Value, Tensor<'float64'>> {
  const {value, axis, bias} = first.weight!;
  const weight = numbers(value);
  const inner = weight.shape.slice(axis + 1).reduce((n, d) => n * d, 1);
  const ownChannel = (i: number) => Math.floor(i / inner) % factors.length;
  const nextChannel = inputChannelOf(second);
  const result = new Map([[value as Value, mapNumbers(weight, (x, i) => x / factors[ownChannel(i)]!)]]);
  if (bias)
    result.set(
      bias,
      mapNumbers(numbers(bias), (x, i) => x / factors[i]!),
    );
  result.set(
    second.weight!.value,
    mapNumbers(numbers(second.weight!.value), (x, i) => x * factors[nextChannel(i)]!),
  );
  return result;
}
const mapNumbers = ({shape, data}: Tensor<'float64'>, f: (x: number, i: number) => number) =>
  tensor('float64', shape, data.map(f) as Float64Array<ArrayBuffer>);

/** Changes `model` in place. Gives how many pairs were equalised. */
export async function equalise(model: Model, batches: Batches): Promise<number> {
  const {graph} = model;
  const pairs = layerPairs(graph);
  if (pairs.length === 0) return 0;
  const peaks = await channelPeaks(
    model,
    pairs.map(({first}) => first.output.name),
    batches,
  );
  const numbers = new Map<Value, Tensor<'float64'>>();
  const read = (v: Value) => numbers.get(v) ?? toFloat64(v.initializer!.read());
  for (const pair of pairs) {
    const {second} = pair;
    const columns = columnMaxima(second, read(second.weight!.value));
    const factors = equalisingFactors(peaks.get(pair.first.output.name)!, columns, isDepthwise(second));
    for (const [value, changed] of rescale(pair, read, factors)) numbers.set(value, changed);
  }
  for (const [value, changed] of numbers) replace(graph, value, changed);
  graph.prune();
  return pairs.length;
}

/** Largest weight that an input channel meets, as a share of the largest of its row: each row has its own scale. */
export function columnMaxima(unit: Unit, weight: Tensor<'float64'>): Float64Array {
  const channelOf = inputChannelOf(unit);
  const rows = channelMaxima(weight, unit.weight!.axis);
  const columns: number[] = [];
  forEachInChannel(weight.shape, unit.weight!.axis, (i, row) => {
    const share = rows[row]! === 0 ? 0 : Math.abs(weight.data[i]!) / rows[row]!;
    columns[channelOf(i)] = Math.max(columns[channelOf(i)] ?? 0, share);
  });
  return Float64Array.from(columns);
}

function replace(graph: Graph, value: Value, numbers: Tensor<'float64'>): void {
  const rounded = tensor('float32', numbers.shape, Float32Array.from(numbers.data));
  const constant = graph.initializer(`${value.name}.equalised`, rounded);
  graph.replaceUses(value, constant);
  graph.takeName(constant, value);
}
