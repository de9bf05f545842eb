/**
 * Winograd's F(4, 3): along one axis, four results of a filter of three taps take six products instead of twelve. What the six points of a
 * tile of x and of the filter are, are sums with fixed weights, and so are the results of their products. Winograd, "Arithmetic complexity of
 * computations", 1980; Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, whose points 0, ±1, ±2, ∞ these
 * are, and whose names: input, filter and output transform.
 */
import type {Span, Windows} from './window.js';

export const TAPS = 3;
/** Results of a tile. */
const TILE = 4;
/** [points, numbers of x under a tile] */
const inputTransform = [
  [4, 0, -5, 0, 1, 0],
  [0, -4, -4, 1, 1, 0],
  [0, 4, -4, -1, 1, 0],
  [0, -2, -1, 2, 1, 0],
  [0, 2, -1, -2, 1, 0],
  [0, 4, 0, -5, 0, 1],
] as const;
/** [points, taps] */
export const filterTransform = [
  [1 / 4, 0, 0],
  [-1 / 6, -1 / 6, -1 / 6],
  [-1 / 6, 1 / 6, -1 / 6],
  [1 / 24, 1 / 12, 1 / 6],
  [1 / 24, -1 / 12, 1 / 6],
  [0, 0, 1],
] as const;
/** [results of a tile, points] */
const outputTransform = [
  [1, 1, 1, 1, 1, 0],
  [0, 1, -1, 2, -2, 0],
  [0, 1, 1, 4, 4, 0],
  [0, 1, -1, 8, -8, 1],
] as const;
export const POINTS = inputTransform.length;

export const tilesOf = (results: number): number => Math.ceil(results / TILE);

/** The part that the number in place `at` of x, `before` zeros in front of x, has in a point of a tile. */
export const inputWeight = (point: number, tile: number, at: number, before: number): number =>
  inputTransform[point]![at + before - tile * TILE] ?? 0;

/** The part that a point of a tile has in the result in place `at`. */
export const outputWeight = (at: number, point: number, tile: number): number =>
  Math.floor(at / TILE) === tile ? outputTransform[at % TILE]![point]! : 0;

/** Tiles that reach far beyond the map cost what they save. */
const WORTH = 0.6;
/** Whether it saves anything along an axis with so many results. */
export const savesAlong = ({spans}: Windows, {kernel}: Span, results: number): boolean =>
  kernel === TAPS &&
  spans.every(({stride, dilation}) => stride === 1 && dilation === 1) &&
  tilesOf(results) * POINTS <= WORTH * results * TAPS;
