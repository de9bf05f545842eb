/** Random erasing (Zhong et al. 2020, arXiv 1708.04896) as timm 0.6.13 draws it: on normalised numbers, after everything else. */
import type {Random} from '../../core/random.js';
import {between} from './crop.js';

export interface Erasing {
  readonly probability: number;
  /** What fills a rectangle: noise of N(0, 1), one such colour, or zeros. */
  readonly mode: 'pixel' | 'rand' | 'const';
  /** Most rectangles. */
  readonly count: number;
}

const [MIN_AREA, MAX_AREA] = [0.02, 1 / 3];
const MIN_ASPECT = 0.3;
const TRIES = 10;

/** `planes` is [3, side, side] and is changed. */
export function erase(r: Random, planes: Float32Array, side: number, {probability, mode, count}: Erasing): void {
  if (r.uniform() > probability) return;
  const rectangles = count > 1 ? 1 + r.integer(count) : count;
  for (let i = 0; i < rectangles; i++) {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const area = (between(r, MIN_AREA, MAX_AREA) * side * side) / rectangles;
      const aspect = Math.exp(between(r, Math.log(MIN_ASPECT), -Math.log(MIN_ASPECT)));
      const [height, width] = [Math.round(Math.sqrt(area * aspect)), Math.round(Math.sqrt(area / aspect))];
      if (width >= side || height >= side) continue;
      const [top, left] = [r.integer(side - height + 1), r.integer(side - width + 1)];
      fill(r, planes, side, {top, left, width, height}, mode);
      break;
    }
  }
}

function fill(
  r: Random,
  planes: Float32Array,
  side: number,
  box: {top: number; left: number; width: number; height: number},
  mode: Erasing['mode'],
): void {
  for (let c = 0; c < 3; c++) {
    const colour = mode === 'rand' ? r.normal() : 0;
    for (let y = box.top; y < box.top + box.height; y++) {
      const from = (c * side + y) * side + box.left;
      for (let x = from; x < from + box.width; x++) planes[x] = mode === 'pixel' ? r.normal() : colour;
    }
  }
}
