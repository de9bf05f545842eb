/**
 * Convolution with three taps in half the multiplications: Winograd's F(4, 3) along one axis (`winograd-matrices.ts`). The rounding is 2.5 times
 * that of the direct sum. The sums over a whole axis are products with small matrices, most of whose numbers are zeros.
 */
import type {Value} from '../../../onnx/graph.js';
import type {Laid, Lowering} from '../../lowering/lowering.js';
import {identity, type LazyValue} from '../../lowering/value.js';
import {type BlockedOptions, blockedConv, blockFilters, resultSize} from './blocked-conv.js';
import type {ChannelsLast} from './correlation.js';
import {tabulate} from './table.js';
import {pads, type Span, type Windows} from './window.js';
import {
  filterTransform,
  inputMatrix,
  numbersOf,
  outputMatrix,
  outputWeight,
  POINTS,
  savesAlong,
  TAPS,
  tilesOf,
} from './winograd-matrices.js';

/** On larger maps the matrices' zeros cost what it saves. */
const LARGEST = 64;
export const isForWinograd = (windows: Windows, span: Span, results: number): boolean =>
  results <= LARGEST && savesAlong(windows, span, results);

/** [points, tiles, numbers of x along the axis], in that order; in the shape given. */
const dataMatrix = (g: Lowering, along: Pick<Span, 'size' | 'before' | 'out'>, shape: readonly number[]): Value =>
  g.matrix(shape, numbersOf(inputMatrix(along)), `winograd data ${along.size} ${along.before} ${shape}`);

/** Filters in blocks, [O/B, I/B, 3, kW, B, B], to their points, [points, O/B, I/B, kW, B, B]: said to be [points·O, I, 1, kW]. */
function filterPoints(g: Lowering, filters: Value, block: number): Value {
  const [outputs, inputs, , kernel] = filters.dims as [number, number, number, number];
  const rows = g.reshape(filters, [1, (outputs * inputs) / block ** 2, TAPS, kernel * block ** 2]);
  const points = g.op('MatMul', [g.matrix([POINTS, 1, 1, TAPS], filterTransform.flat(), 'winograd filter'), rows]);
  return g.reshape(points, [POINTS * outputs, inputs, 1, kernel]);
}

/**
 * Images convolved with a filter in any order; the result stays in blocks. The points lie along the height, each is a group of channels:
 *
 *   [points·tiles, H]·[N, C/B, H, W·B] → [N, points·C, tiles, W] ∗ [points·O, C, 1, kW] → [N, points·O, tiles, W′] → [N, O/B, H′, W′·B]
 */
export function convolveWinograd(g: Lowering, images: LazyValue, laid: Laid, options: BlockedOptions): Value {
  const {block, windows, from, padding = pads(windows.spans)} = options;
  const x = g.blocks(images, windows.perm);
  const [batch, channels, height, width] = x.dims as [number, number, number, number];
  const [results, across] = resultSize(x, options);
  const tiles = tilesOf(results);
  const filters = filterPoints(g, blockFilters(g, laid, from, block), block);
  const outputs = (filters.dims[0] as number) / POINTS;
  const matrix = dataMatrix(g, {size: height, before: padding[0]!, out: results}, [1, POINTS, 1, tiles, height]);
  const image = g.reshape(x, [batch, 1, channels / block, height, width * block]);
  const groups = g.reshape(g.op('MatMul', [matrix, image]), [batch, POINTS * channels, tiles, width]);
  const [, {kernel}] = windows.spans;
  const attributes = {group: POINTS, kernel_shape: [1, kernel], pads: [0, padding[1]!, 0, padding[3]!]};
  const products = blockedConv(g, groups, filters, attributes, [batch, POINTS * outputs, tiles, across]);
  const row = across * block;
  const byPoint = g.reshape(products, [batch, POINTS, outputs / block, tiles * row]);
  const byBlock = g.reshape(g.op('Transpose', [byPoint], {perm: [0, 2, 1, 3]}), [batch, outputs / block, POINTS * tiles, row]);
  const back = g.matrix([results, POINTS * tiles], numbersOf(outputMatrix({out: results})), `winograd result ${results}`);
  return g.reshape(g.op('MatMul', [back, byBlock]), [batch, outputs, results, across]);
}

/**
 * The gradient of the filter, the adjoint of all that. The points lie along the width, where both operands have them for little: of x with channels
 * last, and of dy, the fixed sums are products of matrices, and each point is a correlation (`correlation.ts`) over tiles:
 *
 *   [1, points·N, H, tiles·I] ∗ [points·O, N, H′, tiles] → [points·O, kH, I] → [kW, O, kH, I] → [kH, kW, I, O]
 */
export function correlateWinograd(
  g: Lowering,
  x: LazyValue,
  dy: LazyValue,
  {spans, perm}: Windows,
  shape: readonly number[],
  {last, toLast}: ChannelsLast,
): Laid {
  const [h, w] = spans;
  const [kH, , channels, out] = shape as [number, number, number, number];
  const [n, c, y, z] = perm as [number, number, number, number];
  const batch = x.shape[n]!;
  const tiles = tilesOf(w.out);
  const matrix = dataMatrix(g, w, [POINTS, 1, tiles, w.size]);
  const images = g.op('MatMul', [matrix, g.reshape(last(x), [1, batch * h.size, w.size, channels])]);
  const adjoint = g.matrix(
    [POINTS, w.out, tiles],
    tabulate([POINTS, w.out, tiles], (point, at, tile) => outputWeight(at, point, tile)),
    `winograd adjoint ${w.out}`,
  );
  const rows = g.reshape(g.in(dy, [c, n, y, z]), [1, out * batch * h.out, w.out]);
  const filters = g.reshape(g.op('MatMul', [rows, adjoint]), [POINTS * out, batch, h.out, tiles]);
  const products = g.op('Conv', [g.reshape(images, [1, POINTS * batch, h.size, tiles * channels]), filters], {
    kernel_shape: [h.out, tiles],
    dilations: [1, channels],
    group: POINTS,
    pads: [h.before, 0, kH - 1 + h.out - h.size - h.before, 0],
  });
  const taps = [0, 1, 2].flatMap((tap) => filterTransform.map((row) => row[tap]!));
  const ofTaps = g.op('MatMul', [
    g.matrix([TAPS, POINTS], taps, 'winograd taps'),
    g.reshape(products, [POINTS, out * kH * channels]),
  ]);
  const value = toLast(g.reshape(ofTaps, [TAPS, out, kH, channels]));
  return {value: g.ordered({value, perm: [1, 0, 2, 3]}, identity(4)), perm: identity(4)};
}
