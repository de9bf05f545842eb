/**
 * 3x3 convolutions in a quarter of the multiplications: Winograd's F(4, 3) along both axes (`winograd-matrices.ts`), for small maps of many
 * channels. Images lie place by place (`places.ts`), so that a transform is two products with small matrices and the products in between
 * are 36 of plain matrices, one for each pair of points:
 *
 *   input [H, W, N, C] → points [6, tiles, 6, tiles·N, C] · filters [6, 1, 6, C, O] → [6, tiles, 6, tiles·N, O] → output [H′, W′, N, O]
 *
 * Both gradients are the adjoint of that, step by step. So the three of them share the transforms of x, of the filter and of dy.
 */
import type {Value} from '../../../onnx/graph.js';
import type {Laid, Lowering} from '../../lowering/lowering.js';
import type {Strategies, Strategy} from '../../lowering/strategies.js';
import {identity, type LazyValue} from '../../lowering/value.js';
import {canBlock, FORWARD} from './blocked-conv.js';
import {inPlaces, placesFirst, placesIntoBlocks} from './places.js';
import type {Windows} from './window.js';
import {
  adjoint,
  filterTransform,
  inputMatrix,
  type Matrix,
  numbersOf,
  outputMatrix,
  POINTS,
  savesAlong,
  TAPS,
  tilesOf,
} from './winograd-matrices.js';

/** The transforms pass through memory; with fewer channels that costs more than the products save. */
const FEWEST_CHANNELS = 64;
/** Numbers of a filter's points, four times its own (16 MiB): of larger ones the passes through memory cost what the products save. */
const MOST_POINTS = 1 << 22;
/** On larger maps the zeros of a transform's matrix do. */
const LARGEST = 32;

const canTile = (windows: Windows, [, , inputs, outputs]: readonly number[]): boolean =>
  Math.min(inputs!, outputs!) >= FEWEST_CHANNELS &&
  POINTS ** 2 * inputs! * outputs! <= MOST_POINTS &&
  windows.spans.every((span) => span.size <= LARGEST && savesAlong(windows, span, span.out));

const constant = (g: Lowering, matrix: Matrix): Value => g.matrix(matrix.shape, numbersOf(matrix), matrix.name);

type Dims4 = [number, number, number, number];

/** x [H, W, N, C] with a matrix along its height and one along its width. */
function alongBoth(g: Lowering, x: Value, matrices: readonly [Matrix, Matrix]): Value {
  const [h, w, n, c] = x.dims as Dims4;
  const [high, wide] = matrices.map((m) => constant(g, m)) as [Value, Value];
  const [height, width] = matrices.map(({shape}) => shape[0]) as [number, number];
  const rows = g.op('MatMul', [high, g.reshape(x, [h, w * n * c])]);
  return g.reshape(g.op('MatMul', [wide, g.reshape(rows, [height, w, n * c])]), [height, width, n, c]);
}

/** The numbers of v as the products want them: [6, tiles, 6, tiles·N, C]. Made once, whoever asks. */
function pointsOf(g: Lowering, v: LazyValue, {perm}: Windows, matrices: readonly [Matrix, Matrix]): Value {
  return g.derived(v, matrices.map(({name}) => name).join(), () => {
    const points = alongBoth(g, inPlaces(g, v, perm), matrices);
    const [height, width, n, c] = points.dims as Dims4;
    return g.reshape(points, [POINTS, height / POINTS, POINTS, (width / POINTS) * n, c]);
  });
}
const inputPoints = (g: Lowering, x: LazyValue, windows: Windows): Value =>
  pointsOf(g, x, windows, windows.spans.map(inputMatrix) as [Matrix, Matrix]);
const gradientPoints = (g: Lowering, dy: LazyValue, windows: Windows): Value =>
  pointsOf(g, dy, windows, windows.spans.map((span) => adjoint(outputMatrix(span))) as [Matrix, Matrix]);

/** [points of both axes, taps of both]; where `tiles` rows of tiles follow the points of the height, for each of them. */
const filterMatrix = (tiles: number): Matrix => ({
  name: `winograd filter ${tiles}`,
  shape: [POINTS * tiles * POINTS, TAPS * TAPS],
  at: (point, tap) =>
    filterTransform[Math.floor(point / (tiles * POINTS))]![Math.floor(tap / TAPS)]! *
    filterTransform[point % POINTS]![tap % TAPS]!,
});

/** [6, 1, 6, I, O] of a filter [3, 3, I, O]. */
function filterPoints(g: Lowering, filter: LazyValue): Value {
  const [, , inputs, outputs] = filter.shape as Dims4;
  return g.derived(filter, 'winograd filter', () => {
    const taps = g.reshape(g.plain(filter), [TAPS * TAPS, inputs * outputs]);
    return g.reshape(g.op('MatMul', [constant(g, filterMatrix(1)), taps]), [POINTS, 1, POINTS, inputs, outputs]);
  });
}

/** Points [6, tiles, 6, tiles·N, C], as images [points, points, N, C] through both matrices, in blocks where there are any. */
function fromPoints(g: Lowering, points: Value, {perm}: Windows, matrices: readonly [Matrix, Matrix]): Laid {
  const [height, width] = matrices.map(({shape}) => shape[1]) as [number, number];
  const [, , , rows, channels] = points.dims as [number, number, number, number, number];
  const value = alongBoth(g, g.reshape(points, [height, width, rows / (width / POINTS), channels]), matrices);
  if (!canBlock([channels], g.block)) return {value, perm: placesFirst(perm)};
  return {value: placesIntoBlocks(g, value, g.block), perm, inBlocks: true};
}

const forward =
  (windows: Windows): Strategy =>
  (g, [x, filter]) => {
    const products = g.op('MatMul', [inputPoints(g, x!, windows), filterPoints(g, filter!)]);
    return fromPoints(g, products, windows, windows.spans.map(outputMatrix) as [Matrix, Matrix]);
  };

const inputGradient =
  (windows: Windows): Strategy =>
  (g, [dy, filter]) => {
    const [points, filters] = [gradientPoints(g, dy!, windows), filterPoints(g, filter!)];
    const shape = [...points.dims.slice(0, 4), filter!.shape[2]!];
    const products = g.internal('com.microsoft', 'FusedMatMul', [points, filters], {transB: 1}, shape);
    return fromPoints(g, products, windows, windows.spans.map((span) => adjoint(inputMatrix(span))) as [Matrix, Matrix]);
  };

/** Of a convolution, or of its gradient of x, where it can pay. `filter` has its shape. */
export function tileStrategies(windows: Windows, filter: readonly number[], from: number): Strategies {
  if (!canTile(windows, filter)) return {};
  return {winogradTiles: (from === FORWARD ? forward : inputGradient)(windows)};
}

/** Of the gradient of a filter. */
export function tileFilterStrategies(windows: Windows, filter: readonly number[]): Strategies {
  if (!canTile(windows, filter)) return {};
  return {
    winogradTiles(g, [x, dy]) {
      const [, , inputs, outputs] = filter as Dims4;
      const tiles = tilesOf(windows.spans[0].out);
      const operands = [inputPoints(g, x!, windows), gradientPoints(g, dy!, windows)];
      const shape = [POINTS, tiles, POINTS, inputs, outputs];
      const products = g.internal('com.microsoft', 'FusedMatMul', operands, {transA: 1}, shape);
      const rows = g.reshape(products, [POINTS * tiles * POINTS, inputs * outputs]);
      const taps = g.op('MatMul', [constant(g, adjoint(filterMatrix(tiles))), rows]);
      return {value: g.reshape(taps, [TAPS, TAPS, inputs, outputs]), perm: identity(4)};
    },
  };
}
