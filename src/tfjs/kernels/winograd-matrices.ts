/**
 * Winograd's F(4, 3): along one axis, four results of a filter of three taps take six products instead of twelve. Polynomials are multiplied at
 * six points: what those of a tile of x and of the filter are, are sums with fixed weights, and so are the results of their products. Winograd,
 * "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, whose
 * names these are: input, filter and output transform.
 */
import type {Span, Windows} from './window.js';

export const TAPS = 3;
/** Results of a tile. */
const TILE = 4;
/**
 * The finite points; the sixth is infinity. Any serve, and rounding depends on them: with the usual 0, ±1, ±2 it is twice as large along both axes,
 * and four times at worst.
 */
const FINITE = [0, 2 / 3, -2 / 3, 3 / 2, -3 / 2];
export const POINTS = FINITE.length + 1;

/** Coefficients of the polynomial with these zeros, the constant first. */
const withZeros = (zeros: readonly number[]): number[] =>
  zeros.reduce<number[]>((c, zero) => Array.from({length: c.length + 1}, (_, i) => (c[i - 1] ?? 0) - zero * (c[i] ?? 0)), [1]);
const but = (point: number): number[] => FINITE.filter((other) => other !== point);

/** [points, numbers of x under a tile] */
const inputTransform = [...FINITE.map((point) => withZeros(but(point))), withZeros(FINITE)];
/** [points, taps] */
export const filterTransform = [
  ...FINITE.map((point) => {
    const scale = but(point).reduce((product, other) => product * (point - other), 1);
    return [1, point, point ** 2].map((power) => power / scale);
  }),
  [0, 0, 1],
];
/** [results of a tile, points] */
const outputTransform = Array.from({length: TILE}, (_, i) => [...FINITE.map((point) => point ** i), i === TILE - 1 ? 1 : 0]);

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
