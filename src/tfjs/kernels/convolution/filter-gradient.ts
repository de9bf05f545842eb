/**
 * The gradient of a dense convolution's filter, dw[r, s, i, o] = Σ x[n, y·stride + r·dilation, …, i]·dy[n, y, …, o]: a sum over images
 * and positions. Several ways; which is fastest depends on the shape.
 */
import {elementCount} from '../../../core/tensor.js';
import type {Lowering} from '../../lowering/lowering.js';
import type {Strategies, Strategy} from '../../lowering/strategies.js';
import {identity} from '../../lowering/value.js';
import {canBlock} from './blocked-conv.js';
import {taps} from './columns.js';
import {type ChannelsLast, canCorrelate, correlate, correlateBlocked} from './correlation.js';
import type {Windows} from './window.js';
import {correlateWinograd, isForWinograd} from './winograd.js';
import {tileFilterStrategies} from './winograd-tiles.js';

/** One product a tap of two tall matrices [N·H·W, C] and [N·H·W, O]. */
export const filterGradientByTaps =
  (windows: Windows, filter: readonly number[]): Strategy =>
  (g, [x, dy]) => {
    const [, , channels, out] = filter as [number, number, number, number];
    const [n, c, h, w] = windows.perm as [number, number, number, number];
    const count = elementCount(dy!.shape) / out;
    const right = g.reshape(g.in(dy!, [n, h, w, c]), [count, out]);
    const parts = taps(g, g.in(x!, [n, h, w, c]), windows, [1, 2]).map((tap) => g.reshape(tap, [count, channels]));
    const products = parts.map((tap) => g.op('Gemm', [tap, right], {transA: 1}));
    const all = products.length === 1 ? products[0]! : g.op('Concat', products, {axis: 0});
    return {value: g.reshape(all, filter), perm: identity(4)};
  };

/** Numbers of a gradient for each image: more would take more memory (64 MiB) than all else in a layer. */
const MOST_PRODUCTS = 1 << 24;

export function filterGradientStrategies({block}: Lowering, windows: Windows, filter: readonly number[]): Strategies {
  const [, , channels, out] = filter as [number, number, number, number];
  const [n, c, h, w] = windows.perm as [number, number, number, number];
  const images: Strategies = {
    // Image by image, [taps·C, H·W] each, added up: the operands fit into the cache.
    images(g, [x, dy]) {
      const area = dy!.shape[h]! * dy!.shape[w]!;
      const batch = dy!.shape[n]!;
      const parts = taps(g, g.in(x!, [n, c, h, w]), windows, [2, 3]).map((tap) => g.reshape(tap, [batch, channels, area]));
      const columns = parts.length === 1 ? parts[0]! : g.op('Concat', parts, {axis: 1});
      const products = g.op('MatMul', [columns, g.reshape(g.in(dy!, [n, h, w, c]), [batch, area, out])]);
      const sum = g.op('ReduceSum', [products, g.ints([0])], {keepdims: 0});
      return {value: g.reshape(sum, filter), perm: identity(4)};
    },
  };
  const batch = windows.outShape[n]!;
  const isSmall = batch * elementCount(filter) <= MOST_PRODUCTS;
  const strategies = {taps: filterGradientByTaps(windows, filter), ...(isSmall && images)};
  if (!canCorrelate(windows)) return strategies;
  const ways: Record<string, typeof correlate> = {correlate};
  const [, across] = windows.spans;
  if (isForWinograd(windows, across, across.out)) ways['winograd'] = correlateWinograd;
  const transposed = (g: Lowering): ChannelsLast => ({
    last: (v) => g.in(v, [n, h, w, c]),
    toLast: (x) => g.op('Transpose', [x], {perm: [0, 2, 3, 1]}),
  });
  /** onnxruntime's Transpose runs on one thread, its reordering on all. */
  const throughBlocks = (g: Lowering): ChannelsLast => ({
    last: (v) => g.outOfBlocks(g.blocks(v, windows.perm), true),
    toLast: (x) => g.outOfBlocks(g.intoBlocks(x), true),
  });
  const correlations: Record<string, Strategy> = {};
  for (const [name, way] of Object.entries(ways)) {
    correlations[name] = (g, [x, dy]) => way(g, x!, dy!, windows, filter, transposed(g));
    if (!canBlock([channels, out], block)) continue;
    correlations[`${name}Blocks`] = (g, [x, dy]) => way(g, x!, dy!, windows, filter, throughBlocks(g));
  }
  if (canBlock([batch, out], block)) {
    correlations['correlateInBlocks'] = (g, [x, dy]) =>
      correlateBlocked(g, x!, dy!, windows, filter as [number, number, number, number], block);
  }
  return {...correlations, ...strategies, ...tileFilterStrategies(windows, filter)};
}
