/**
 * Winograd's F(4, 3): along one axis, four results of a filter of three taps take six products instead of twelve. Polynomials are multiplied at
 * six points: what those of a tile of x and of the filter are, are sums with fixed weights, and so are the results of their products. Winograd,
 * "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, whose
 * names these are: input, filter and output transform.
 */
import {tabulate} from './table.js';
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
const inputWeight = (point: number, tile: number, at: number, before: number): number =>
  inputTransform[point]![at + before - tile * TILE] ?? 0;

/** The part that a point of a tile has in the result in place `at`. */
export const outputWeight = (at: number, point: number, tile: number): number =>
  Math.floor(at / TILE) === tile ? outputTransform[at % TILE]![point]! : 0;

/** What a transform does along one axis, or its adjoint. */
export interface Matrix {
  readonly name: string;
  readonly shape: readonly [number, number];
  at(i: number, j: number): number;
}

export const adjoint = ({name, shape: [rows, columns], at}: Matrix): Matrix => ({
  name: `adjoint of ${name}`,
  shape: [columns, rows],
  at: (i, j) => at(j, i),
});

/** [points·tiles, places of x] */
export function inputMatrix({size, before, out}: Pick<Span, 'size' | 'before' | 'out'>): Matrix {
  const tiles = tilesOf(out);
  const at = (row: number, place: number) => inputWeight(Math.floor(row / tiles), row % tiles, place, before);
  return {name: `winograd input ${size} ${before} ${out}`, shape: [POINTS * tiles, size], at};
}
/** [places of the result, points·tiles] */
export function outputMatrix({out}: Pick<Span, 'out'>): Matrix {
  const tiles = tilesOf(out);
  const at = (place: number, column: number) => outputWeight(place, Math.floor(column / tiles), column % tiles);
  return {name: `winograd output ${out}`, shape: [out, POINTS * tiles], at};
}

/** Row by row. */
export const numbersOf = ({shape: [rows, columns], at}: Matrix): number[] => tabulate([rows, columns, 1], (i, j) => at(i, j));

/** Tiles that reach far beyond the map cost what they save. */
const WORTH = 0.6;
/** Whether it saves anything along an axis with so many results. */
export const savesAlong = ({spans}: Windows, {kernel}: Span, results: number): boolean =>
  kernel === TAPS &&
  spans.every(({stride, dilation}) => stride === 1 && dilation === 1) &&
  tilesOf(results) * POINTS <= WORTH * results * TAPS;
