/**
 * Images place by place, [H, W, N, C]: a sum over places along one axis is then one product of matrices whose rows are long. From and to
 * onnxruntime's blocks of channels, [N, C/B, H, W, B], rows of B numbers move, by both threads.
 */
import {elementCount} from '../../../core/tensor.js';
import type {Value} from '../../../onnx/graph.js';
import type {Lowering} from '../../lowering/lowering.js';
import type {LazyValue, Permutation} from '../../lowering/value.js';
import {tabulate} from './table.js';

/** [N, C, H, W] as that. */
export const placesFirst = <T>([n, c, h, w]: readonly T[]): T[] => [h!, w!, n!, c!];

type Dims4 = [number, number, number, number];

/** Images, whose order is `perm` when they are [N, C, H, W], place by place. */
export function inPlaces(g: Lowering, v: LazyValue, perm: Permutation): Value {
  const {block} = g;
  const blocks = g.blocksOf(v, perm);
  if (!blocks || block === undefined) return g.in(v, placesFirst(perm));
  const [n, c, h, w] = blocks.dims as Dims4;
  const columns = c / block;
  const rows = moved(g, blocks, block, `places of ${blocks.dims}`, () =>
    tabulate([h * w, n, columns], (place, image, column) => (image * columns + column) * h * w + place),
  );
  return g.reshape(rows, [h, w, n, c]);
}

/** Images place by place, in blocks; said to be [N, C, H, W]. */
export function placesIntoBlocks(g: Lowering, x: Value, block: number): Value {
  const [h, w, n, c] = x.dims as Dims4;
  const columns = c / block;
  const rows = moved(g, x, block, `blocks of ${x.dims}`, () =>
    tabulate([n, columns, h * w], (image, column, place) => (place * n + image) * columns + column),
  );
  return g.reshape(rows, [n, c, h, w]);
}

/** Rows of so many numbers in the order that has that name. */
export function moved(g: Lowering, x: Value, row: number, name: string, values: () => number[]): Value {
  const indices = g.graph.value(name) ?? g.indices(values(), name);
  return g.op('Gather', [g.reshape(x, [elementCount(x.dims as number[]) / row, row]), indices], {axis: 0});
}
