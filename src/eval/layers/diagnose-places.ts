/** Hypotheses about where numbers lie: only the borders differ, rows and columns or channels are exchanged. */
import type {Diagnosis, LayerEvidence} from './evidence.js';
import {mayRemain} from './explained.js';
import type {Planes} from './planes.js';

/** Padding of larger kernels than these is not looked for. */
const MAX_BORDER = 4;

/** Root mean square of Δ inside, and outside, of a border so many pixels wide. */
function differenceByPlace({images}: Planes, [height, width]: readonly [number, number], border: number): [number, number] {
  const [inner, outer] = [
    {squares: 0, count: 0},
    {squares: 0, count: 0},
  ];
  for (const {x, y} of images)
    for (let i = 0; i < x.length; i++) {
      const [row, column] = [Math.floor(i / width) % height, i % width];
      const at = Math.min(row, height - 1 - row, column, width - 1 - column) >= border ? inner : outer;
      at.squares += (y[i]! - x[i]!) ** 2;
      at.count++;
    }
  return [inner, outer].map(({squares, count}) => Math.sqrt(squares / Math.max(1, count))) as [number, number];
}

/** Whether only pixels at the borders differ. */
export function bordersLook({agreesTo}: LayerEvidence, planes: Planes): Diagnosis | undefined {
  const {picture} = planes;
  if (!picture) return undefined;
  const bound = Math.min(mayRemain(planes, agreesTo), 1e-2 * planes.difference + agreesTo * planes.largest);
  for (let border = 1; border <= MAX_BORDER && 2 * border + 2 <= Math.min(...picture); border++) {
    const [inner, outer] = differenceByPlace(planes, picture, border);
    if (inner <= bound && outer > planes.difference)
      return {
        kind: 'padding',
        text: `other padding: only the ${border === 1 ? 'outermost pixels differ' : `outermost ${border} pixels on each side differ`}`,
      };
  }
  return undefined;
}

/** Whether rows and columns are exchanged, or left and right. */
export function transposedLook({agreesTo}: LayerEvidence, planes: Planes): Diagnosis | undefined {
  const [height, width] = planes.picture ?? [0, 1];
  if (height !== width || height < 2) return undefined;
  const bound = mayRemain(planes, agreesTo);
  const turn = (i: number) => i - (i % (height * width)) + (i % width) * width + (Math.floor(i / width) % height);
  const flip = (i: number) => i - (i % width) + (width - 1 - (i % width));
  const off = (place: (i: number) => number): number => {
    let [squares, count] = [0, 0];
    for (const {x, y} of planes.images)
      for (let i = 0; i < x.length; i++) {
        squares += (y[i]! - x[place(i)]!) ** 2;
        count++;
      }
    return Math.sqrt(squares / count);
  };
  if (off(turn) <= bound) return {kind: 'transposed', text: 'rows and columns exchanged: the map is transposed'};
  if (off(flip) <= bound) return {kind: 'transposed', text: 'a map flipped from left to right'};
  return undefined;
}

const MIN_IMAGES = 2;

/** The channel of the reference with the same numbers as each of the other model; undefined where one has none. */
function orderOfChannels(planes: Planes, bound: number): number[] | undefined {
  const {channels, pixels, images} = planes;
  const mean = (side: 'x' | 'y', c: number) =>
    images.reduce((sum, image) => sum + image[side].subarray(c * pixels, (c + 1) * pixels).reduce((s, v) => s + v, 0), 0);
  const byMean = Array.from({length: channels}, (_, c) => ({c, mean: mean('x', c)})).sort((p, q) => p.mean - q.mean);
  const isSame = (p: number, q: number) =>
    images.every(({x, y}) => {
      for (let i = 0; i < pixels; i++) if (!(Math.abs(x[p * pixels + i]! - y[q * pixels + i]!) <= bound)) return false;
      return true;
    });
  const order: number[] = [];
  for (let c = 0; c < channels; c++) {
    const wanted = mean('y', c);
    const near = byMean.filter((own) => Math.abs(own.mean - wanted) <= bound * pixels * images.length);
    const found = near.find((own) => own.c === c && isSame(c, c)) ?? near.find((own) => isSame(own.c, c));
    if (!found) return undefined;
    order.push(found.c);
  }
  return order;
}

/** Whether channels are in another order. */
export function permutedLook({agreesTo, pair}: LayerEvidence, planes: Planes): Diagnosis | undefined {
  if (planes.channels < 2 || planes.images.length < MIN_IMAGES) return undefined;
  const order = orderOfChannels(planes, Math.max(2e-6, 2 * agreesTo) * planes.largest);
  const moved = order?.filter((from, c) => from !== c).length ?? 0;
  if (!order || moved === 0 || new Set(order).size < order.length) return undefined;
  const first = order.findIndex((from, c) => from !== c);
  const what = pair.actual.print?.dims.length === 1 ? 'classes' : 'channels';
  return {
    kind: 'channels-permuted',
    text: `${what} in another order: ${moved} of ${order.length} are elsewhere (${first} here is ${order[first]} of the reference)`,
  };
}
