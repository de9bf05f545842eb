/**
 * onnxruntime's own fastest convolution on the cpu works on blocks of channels, [N, C/B, H, W, B]. Its optimiser uses it for filters
 * that are constants; while training they are not, so we ask for it by name. The operators are internal to onnxruntime
 * (contrib_ops/cpu/nchwc_ops.cc), and B is the processor's (16 with AVX-512, 8 with AVX2): both candidates are offered, and the one
 * that fails or computes something else is dropped where strategies are measured.
 */
import type {AttributeValues, Value} from '../../onnx/graph.js';
import type {Laid, Lowering} from '../lowering.js';
import {each, pads, type Windows} from './window.js';

const DOMAIN = 'com.microsoft.nchwc';
export const blockSizes = [16, 8] as const;

/** Fewer channels than the processor's block make onnxruntime divide by zero, which ends the process. */
export const canBlock = (weight: readonly [out: number, inputs: number], block: number): boolean =>
  weight.every((n) => n % block === 0 && n >= blockSizes[0]);

/** x [N, I, H, W] convolved with filters that are in blocks already; `shape` of the result [N, O, H′, W′]. */
export function internalConvolution(
  g: Lowering,
  x: Value,
  filters: Value,
  attributes: AttributeValues,
  shape: readonly number[],
): Value {
  const inBlocks = g.internal(DOMAIN, 'ReorderInput', [x], {}, x.dims);
  const y = g.internal(DOMAIN, 'Conv', [inBlocks, filters], {group: 1, ...attributes}, shape);
  return g.internal(DOMAIN, 'ReorderOutput', [y], {channels: shape[1]!}, shape);
}

/** Dimensions of a filter as TensorFlow.js names them, [H, W, I, O]. */
const [HEIGHT, WIDTH, INPUT, OUTPUT] = [0, 1, 2, 3];

/**
 * Filters as [O/B, I/B, H, W, B of I, B of O], said to be [O, I, H, W]: the operators know better. `from` is the dimension that the
 * convolution sums over: the inputs forwards, the outputs for the gradient of x.
 */
function blockFilters(g: Lowering, {value, perm}: Laid, from: number, block: number): Value {
  const to = from === INPUT ? OUTPUT : INPUT;
  const size = (d: number) => value.dims[perm.indexOf(d)] as number;
  const shape = [size(to), size(from), size(HEIGHT), size(WIDTH)];
  const quick = perm[3] === from;
  const source = quick ? interleaved(g, value, perm.indexOf(to)) : value;
  // each dimension of the source by name; a channel is two: which block, and where in it
  const names = perm.flatMap((d) =>
    d === HEIGHT || d === WIDTH ? [`${d}`] : d === to && quick ? [`${d}`] : [`${d}`, `${d}in`],
  );
  if (quick) names.push(`${to}in`);
  const dims = names.map((name) => {
    const d = Number.parseInt(name, 10);
    if (name.endsWith('in')) return block;
    return d === HEIGHT || d === WIDTH ? size(d) : size(d) / block;
  });
  const wanted = [`${to}`, `${from}`, `${HEIGHT}`, `${WIDTH}`, `${from}in`, `${to}in`];
  const blocked = g.op('Transpose', [g.reshape(source, dims)], {perm: wanted.map((name) => names.indexOf(name))});
  return g.reshape(blocked, shape);
}

/**
 * A block of the dimension at `axis` made the innermost: onnxruntime's reordering of images does it many times faster than its Transpose, which
 * then moves rows of numbers and not single ones.
 */
function interleaved(g: Lowering, value: Value, axis: number): Value {
  const dims = value.dims as number[];
  const product = (list: readonly number[]) => list.reduce((n, d) => n * d, 1);
  const image = g.reshape(value, [product(dims.slice(0, axis)), dims[axis]!, 1, product(dims.slice(axis + 1))]);
  return g.internal(DOMAIN, 'ReorderInput', [image], {}, image.dims);
}

export interface BlockedOptions {
  block: number;
  windows: Windows;
  /** As in `blockFilters`. */
  from: number;
  padding?: number[];
}

/** x [N, C, H, W] convolved with a filter in any order, through blocks. */
export function convolveBlocked(g: Lowering, x: Value, filter: Laid, options: BlockedOptions): Value {
  const {block, windows, from, padding = pads(windows.spans)} = options;
  const filters = blockFilters(g, filter, from, block);
  const size = windows.spans.map((s, i) => {
    const image = x.dims[2 + i] as number;
    return Math.floor((image + padding[i]! + padding[i + 2]! - (s.kernel - 1) * s.dilation - 1) / s.stride) + 1;
  });
  const {spans} = windows;
  const attributes = {kernel_shape: each(spans, 'kernel'), strides: each(spans, 'stride'), dilations: each(spans, 'dilation')};
  return internalConvolution(g, x, filters, {...attributes, pads: padding}, [
    x.dims[0] as number,
    filters.dims[0] as number,
    ...size,
  ]);
}

export const FORWARD = INPUT;
export const BACKWARD = OUTPUT;
