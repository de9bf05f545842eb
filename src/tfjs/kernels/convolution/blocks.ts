/**
 * What is done with images between two convolutions while they stay in onnxruntime's blocks of channels, [N, C/B, H, W, B]. Number by number that
 * is what it always is. A number a channel, to multiply with or to add, is a depthwise convolution with one tap: it passes the image through the
 * caches once, and so does what a convolution does to its result on the way: a bias, another image, a Relu.
 */
import {elementCount, sameShape} from '../../../core/tensor.js';
import type {Value} from '../../../onnx/graph.js';
import {type Laid, type Lowering, NCHWC} from '../../lowering/lowering.js';
import type {LazyValue, Permutation} from '../../lowering/value.js';

/** What the operator adds to its result, or does to it, in that order. */
interface Following {
  bias?: Value; // [C]
  sum?: Value; // an image in blocks
  activation?: 'Relu';
}

/** y, in blocks and used for nothing else, with what follows it: where a convolution has made it, in the same pass. */
export function followed(g: Lowering, y: LazyValue, more: Following): Value | undefined {
  const {value, inBlocks} = g.form(y);
  const {producer} = value;
  if (!inBlocks || producer?.domain !== NCHWC || producer.opType !== 'Conv' || !g.isUsedOnce(y)) return undefined;
  const [x, filter, bias, sum] = producer.inputs;
  const attributes = Object.fromEntries([...producer.attributes].map(([name, {value}]) => [name, value]));
  if ('activation' in attributes || (more.bias && bias) || (more.sum && sum)) return undefined;
  const inputs = [x, filter, more.bias ?? bias, more.sum ?? sum];
  while (inputs.at(-1) === undefined) inputs.pop();
  return g.internal(NCHWC, 'Conv', inputs, {...attributes, ...(more.activation && {activation: more.activation})}, value.dims);
}

/** Numbers of channels, [C], or of that size. */
export interface ChannelMap {
  times?: Value | undefined;
  plus?: Value | undefined;
}

/** x·times + plus for an image x in blocks. */
export function mapChannels(g: Lowering, x: Value, {times, plus}: ChannelMap): Value {
  const channels = x.dims[1] as number;
  const filter = times ? g.reshape(times, [channels, 1, 1, 1]) : filled(g, channels, 1);
  const inputs = plus ? [x, filter, g.reshape(plus, [channels])] : [x, filter];
  return g.internal(NCHWC, 'Conv', inputs, {group: channels, kernel_shape: [1, 1]}, x.dims);
}

export const filled = (g: Lowering, channels: number, number: number): Value =>
  g.matrix([channels, 1, 1, 1], new Array<number>(channels).fill(number), `${number} for ${channels} channels`);

/** How an operation on two tensors is done where one, or both, are images in blocks. */
export interface InBlocks {
  /** An image and a number a channel, v [C]. */
  channels?(g: Lowering, v: Value, isImageFirst: boolean): ChannelMap;
  /** The two images, if there is a faster way than number by number. */
  images?(g: Lowering, a: LazyValue, b: LazyValue, perm: Permutation): Value | undefined;
}

/** a ∘ b of the shape `shape` where that can be had in blocks; else undefined. */
export function combineInBlocks(
  g: Lowering,
  [a, b]: readonly [LazyValue, LazyValue],
  shape: readonly number[],
  apply: (a: Value, b: Value) => Value,
  {channels, images}: InBlocks,
): Laid | undefined {
  const isFirst = isImage(g, a, shape);
  if (!isFirst && !isImage(g, b, shape)) return undefined;
  const {value, perm} = g.form(isFirst ? a : b);
  const other = isFirst ? b : a;
  const ordered = (x: Value, y: Value) => (isFirst ? apply(x, y) : apply(y, x));
  const laid = (result: Value): Laid => ({value: result, perm, inBlocks: true});
  if (other.dtype !== 'float32') return undefined;
  if (sameShape(other.shape, shape) && !g.isThin(other)) {
    return laid(images?.(g, a, b, perm) ?? apply(g.blocks(a, perm), g.blocks(b, perm)));
  }
  const numbers = g.broadcastable(other, perm);
  const size = elementCount(numbers.dims as number[]);
  if (size === 1) return laid(ordered(value, g.reshape(numbers, [])));
  const isAlongChannels = size === value.dims[1] && numbers.dims.at(-3) === size;
  if (!channels || !isAlongChannels) return undefined;
  const {times, plus} = channels(g, g.reshape(numbers, [size]), isFirst);
  const bias = plus && !times ? followed(g, isFirst ? a : b, {bias: plus}) : undefined;
  return laid(bias ?? mapChannels(g, value, {times, plus}));
}

/** Whether v has been computed in blocks, and all of it. */
const isImage = (g: Lowering, v: LazyValue, shape: readonly number[]): boolean =>
  g.form(v).inBlocks === true && sameShape(v.shape, shape);

/** So many numbers one after the other lose few digits in a sum. */
const LONG_SUM = 1024;

interface SumOptions {
  /** Channels of a block. */
  block: number;
  isOverBatch: boolean;
}

/** Σ x over the pixels of each image in blocks, [N, C]; or over all images, [C]. */
export function sumInBlocks(g: Lowering, x: Value, options: SumOptions): Value {
  const [n, c, h, w] = x.dims as Dims4;
  if (h * w <= LONG_SUM) return sumOfRows(g, x, h * w, {...options, batch: n, channels: c});
  return sumOfRows(g, sumOf(g, x, [(n * c * h) / options.block, w, options.block], 1), h, {...options, batch: n, channels: c});
}
type Dims4 = [number, number, number, number];

/** Σ x·y likewise: each channel of each image is a channel of its own, the one is the filter for the other, and the products are never written. */
export function dotInBlocks(g: Lowering, x: Value, y: Value, options: SumOptions): Value {
  const [n, c, h, w] = x.dims as Dims4;
  const isLong = h * w > LONG_SUM;
  const [channels, height] = isLong ? [n * c * h, 1] : [n * c, h];
  const images = g.reshape(x, [1, channels, height, w]);
  const filters = g.reshape(y, [channels, 1, height, w]);
  const attributes = {group: channels, kernel_shape: [height, w]};
  const products = g.internal(NCHWC, 'Conv', [images, filters], attributes, [1, channels, 1, 1]);
  return sumOfRows(g, products, isLong ? h : 1, {...options, batch: n, channels: c});
}

interface RowsOptions extends SumOptions {
  batch: number;
  channels: number;
}

/** Numbers [N, C/B, rows, B], added up. */
function sumOfRows(g: Lowering, x: Value, rows: number, {block, batch, channels, isOverBatch}: RowsOptions): Value {
  const sums = rows === 1 ? x : sumOf(g, x, [(batch * channels) / block, rows, block], 1);
  return isOverBatch ? sumOf(g, sums, [batch, channels], 0) : g.reshape(sums, [batch, channels]);
}

const sumOf = (g: Lowering, x: Value, shape: readonly number[], axis: number): Value =>
  g.op('ReduceSum', [g.reshape(x, shape), g.ints([axis])], {keepdims: 0});
