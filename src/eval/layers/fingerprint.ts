/**
 * Samples of a value that tell whether two values are the same numbers, or correlate, without holding either. A value whose channels come
 * last is sampled in both orders, so that it is recognised in a model that has them first.
 */
import {random} from '../../core/random.js';
import type {SeenValue} from './watch.js';

const SAMPLES = 256;

/** How the numbers of one model lie in the other. */
export type ValueLayout = 'same' | 'reference-last' | 'actual-last';

interface Samples {
  /** In the order in which they lie. */
  readonly own: Float32Array;
  /** As if the last dimension came first. */
  readonly turned: Float32Array;
  readonly largest: number;
}

/** Samples of a value on every image. */
export interface Fingerprint {
  /** Of one image, without ones. */
  readonly dims: readonly number[];
  readonly size: number;
  /** For each image. */
  readonly images: readonly Samples[];
}

const positions = new Map<number, Uint32Array>();
/** The same for all values of one size. */
function positionsIn(size: number): Uint32Array {
  const known = positions.get(size);
  if (known) return known;
  const {integer} = random(`layers/${size}`);
  const made = Uint32Array.from({length: Math.min(size, SAMPLES)}, (_, i) => (size <= SAMPLES ? i : integer(size)));
  positions.set(size, made);
  return made;
}

function samplesOf({dims, data}: SeenValue): Samples {
  const at = positionsIn(data.length);
  const last = dims.at(-1) ?? 1;
  const rest = data.length / last;
  const own = Float32Array.from(at, (p) => data[p]!);
  const turned = dims.length < 2 ? own : Float32Array.from(at, (p) => data[(p % rest) * last + Math.floor(p / rest)]!);
  let largest = 0;
  for (const x of data) if (Math.abs(x) > largest) largest = Math.abs(x);
  return {own, turned, largest};
}

/** Undefined where it has no row for each image, or other dimensions for another image. */
export function fingerprint(seen: readonly (SeenValue | undefined)[]): Fingerprint | undefined {
  const [first] = seen;
  if (!first || seen.some((own) => own?.dims.join() !== first.dims.join())) return undefined;
  return {dims: first.dims, size: first.data.length, images: seen.map((own) => samplesOf(own!))};
}

/** In what ways the numbers of b can be those of a. */
export function layoutsBetween(a: Pick<Fingerprint, 'dims' | 'size'>, b: Pick<Fingerprint, 'dims' | 'size'>): ValueLayout[] {
  if (a.size !== b.size) return [];
  const last = (f: typeof a) => f.dims.at(-1);
  const turned: ValueLayout[] = [];
  if (a.dims.length > 1 && b.dims.length > 1) {
    if (a.dims[0] === last(b)) turned.push('actual-last');
    if (b.dims[0] === last(a)) turned.push('reference-last');
  }
  return a.dims.join() === b.dims.join() || turned.length === 0 ? ['same', ...turned] : [...turned, 'same'];
}

const inLayout = ({own, turned}: Samples, isTurned: boolean): Float32Array => (isTurned ? turned : own);
function* pairsOfSamples(a: Fingerprint, b: Fingerprint, layout: ValueLayout) {
  for (const [i, own] of a.images.entries())
    yield {
      x: inLayout(own, layout === 'reference-last'),
      y: inLayout(b.images[i]!, layout === 'actual-last'),
      largest: own.largest,
    };
}

/** Largest |Δ| over the largest number of the reference, of the worst image, as far as samples tell. */
export function distanceBetween(
  a: Fingerprint,
  b: Fingerprint,
  layout: ValueLayout,
  giveUp = Number.POSITIVE_INFINITY,
): number {
  let worst = 0;
  for (const {x, y, largest} of pairsOfSamples(a, b, layout))
    for (let i = 0; i < x.length; i++) {
      const relative = Math.abs(x[i]! - y[i]!) / Math.max(largest, Number.MIN_VALUE);
      if (!(relative <= worst)) worst = x[i] === y[i] ? worst : Number.isNaN(relative) ? Number.POSITIVE_INFINITY : relative;
      if (worst > giveUp) return worst;
    }
  return worst;
}

/** Pearson's correlation, the mean over the images. 0 where a value does not vary. */
export function correlationBetween(a: Fingerprint, b: Fingerprint, layout: ValueLayout): number {
  let sum = 0;
  for (const {x, y} of pairsOfSamples(a, b, layout)) sum += pearson(x, y);
  return sum / a.images.length;
}

/** Pearson's correlation in float64; 0 where either does not vary. */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const n = x.length;
  let [mx, my] = [0, 0];
  for (let i = 0; i < n; i++) {
    mx += x[i]! / n;
    my += y[i]! / n;
  }
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [p, q] = [x[i]! - mx, y[i]! - my];
    xx += p * p;
    yy += q * q;
    xy += p * q;
  }
  const r = xy / Math.sqrt(xx * yy);
  return Number.isFinite(r) ? r : 0;
}

/** Numbers that are all the same, or nearly, are equal to too much to be recognised by them. */
export function varies({images}: Fingerprint): boolean {
  return images.some(({own, largest}) => {
    const [low, high] = own.reduce(
      ([l, h], v) => [Math.min(l, v), Math.max(h, v)],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    );
    const distinct = new Set(own.map((v) => Math.fround(v))).size;
    return high - low > 1e-3 * largest && distinct >= Math.min(MIN_DISTINCT, own.length);
  });
}
const MIN_DISTINCT = 4;
