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
export const canBlock = (channels: readonly number[], block: number): boolean =>
  channels.every((n) => n % block === 0 && n >= blockSizes[0]);

/** x [N, C, H, W] in blocks of channels. It is said to keep its shape: the operators know better. */
export const inBlocksOf = (g: Lowering, x: Value): Value => g.internal(DOMAIN, 'ReorderInput', [x], {}, x.dims);

/** x [N, I, H, W] convolved with filters that are in blocks already; `shape` of the result [N, O, H′, W′]. */
export function internalConvolution(
  g: Lowering,
  x: Value,
  filters: Value,
  attributes: AttributeValues,
  shape: readonly number[],
): Value {
  const y = g.internal(DOMAIN, 'Conv', [inBlocksOf(g, x), filters], {group: 1, ...attributes}, shape);
  return g.internal(DOMAIN, 'ReorderOutput', [y], {channels: shape[1]!}, shape);
}

/** Dimensions of a filter as TensorFlow.js names them, [H, W, I, O]. */
const [HEIGHT, WIDTH, INPUT, OUTPUT] = [0, 1, 2, 3];
/** The dimension that a convolution sums over. */
export const FORWARD = INPUT;
export const BACKWARD = OUTPUT;

/**
 * Filters as [to/B, from/B, H, W, B of from, B of to], said to be [to, from, H, W]: the operators know better. The convolution sums over `from`:
 * the inputs forwards, the outputs for the gradient of x, where the filter is also turned by half a circle. onnxruntime's Transpose is slow
 * where single numbers or short rows move; its reordering of images is not, so that does all but the order of whole blocks.
 */
function blockFilters(g: Lowering, {value, perm}: Laid, from: number, block: number): Value {
  const to = from === INPUT ? OUTPUT : INPUT;
  const last = perm[3] === INPUT ? INPUT : OUTPUT;
  const other = last === INPUT ? OUTPUT : INPUT;
  const [height, width, rows, columns] = [HEIGHT, WIDTH, other, last].map((d) => value.dims[perm.indexOf(d)] as number);
  const taps = height! * width!;
  const [fromBlocks, toBlocks] = (to === last ? [rows!, columns!] : [columns!, rows!]).map((n) => n / block);
  const ordered = g.reshape(g.ordered({value, perm}, [HEIGHT, WIDTH, other, last]), [taps, rows!, columns!]);
  const turned = from === BACKWARD && taps > 1 ? reversed(g, ordered, taps) : ordered;
  const interleaved = g.reshape(interleave(g, turned, to === last), [taps, toBlocks!, fromBlocks!, block * block]);
  const blocked = g.op('Transpose', [interleaved], {perm: [1, 2, 0, 3]});
  return g.reshape(blocked, [toBlocks! * block, fromBlocks! * block, height!, width!]);
}

/** [T, R, C] with a block of C innermost, or else a block of R: [T, C/B, R, B] or [T, R/B, C, B]. */
function interleave(g: Lowering, x: Value, lastDimension: boolean): Value {
  const [taps, rows, columns] = x.dims as [number, number, number];
  const image = g.reshape(x, [taps, rows, 1, columns]);
  if (lastDimension) return g.internal(DOMAIN, 'ReorderInput', [image], {channels_last: 1}, [taps, columns, rows, 1]);
  return g.internal(DOMAIN, 'ReorderInput', [image], {}, [taps, rows, 1, columns]);
}

const reversed = (g: Lowering, x: Value, count: number): Value =>
  g.op('Gather', [x, g.ints(Array.from({length: count}, (_, i) => count - 1 - i))], {axis: 0});

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
