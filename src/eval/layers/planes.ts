/** A pair of values on a few images, laid out alike: channel by channel, for tests of what could make them differ. */
import type {ValueLayout} from './fingerprint.js';
import type {SeenValue} from './watch.js';

/** Both values of one image: numbers of channel c from c · pixels on. */
export interface Plane {
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/** The reference's x and the y under test, image by image. */
export interface Planes {
  readonly channels: number;
  /** Numbers of a channel: height times width, tokens. */
  readonly pixels: number;
  /** Where the pixels are a picture. */
  readonly picture: readonly [height: number, width: number] | undefined;
  readonly images: readonly Plane[];
  /** Largest |x| and, as a root mean square, y − x. */
  readonly largest: number;
  readonly difference: number;
}

/** [S, C] → [C, S] */
function turned(data: Float32Array, channels: number): Float32Array {
  const pixels = data.length / channels;
  const out = new Float32Array(data.length);
  for (let p = 0; p < pixels; p++) for (let c = 0; c < channels; c++) out[c * pixels + p] = data[p * channels + c]!;
  return out;
}

/** Both as the numbers of the reference lie, whichever has its channels last. */
export function inOrderOf(want: SeenValue, got: SeenValue, layout: ValueLayout): {x: Float32Array; y: Float32Array} {
  return {
    x: layout === 'reference-last' ? turned(want.data, want.dims.at(-1)!) : want.data,
    y: layout === 'actual-last' ? turned(got.data, got.dims.at(-1)!) : got.data,
  };
}

/** `channelsLast`: of the reference, where both lie alike: tokens have them there, feature maps do not. */
export function planesOf(seen: readonly {x: SeenValue; y: SeenValue}[], layout: ValueLayout, channelsLast: boolean): Planes {
  const {dims} = seen[0]!.x;
  const last = layout === 'reference-last' || (layout === 'same' && channelsLast && dims.length > 1);
  const channels = (last ? dims.at(-1) : dims[0]) ?? 1;
  const both = last && layout === 'same';
  const images = seen.map(({x, y}) => ({
    x: last ? turned(x.data, channels) : x.data,
    y: layout === 'actual-last' || both ? turned(y.data, channels) : y.data,
  }));
  const spatial = last ? dims.slice(0, -1) : dims.slice(1);
  const picture = spatial.length === 2 ? ([spatial[0]!, spatial[1]!] as const) : undefined;
  return {channels, pixels: images[0]!.x.length / channels, picture, images, ...sizesOf(images)};
}

function sizesOf(images: readonly Plane[]): {largest: number; difference: number} {
  let [largest, squares, count] = [0, 0, 0];
  for (const {x, y} of images)
    for (let i = 0; i < x.length; i++) {
      largest = Math.max(largest, Math.abs(x[i]!));
      squares += (y[i]! - x[i]!) ** 2;
      count++;
    }
  return {largest, difference: Math.sqrt(squares / count)};
}

/** y ≈ scale · x + offset, channel by channel. */
export interface ChannelFit {
  readonly scales: Float64Array;
  readonly offsets: Float64Array;
  /** Root mean square of what remains. */
  readonly residual: number;
}

interface FitOptions {
  /** Which images; default all. */
  readonly images?: readonly Plane[];
  /** Only an offset: the scale is 1. */
  readonly offsetOnly?: boolean;
  /** One scale and one offset for all channels. */
  readonly together?: boolean;
  /** Without the numbers that an activation has cut off. */
  readonly cut?: boolean;
}

interface Sums {
  n: number;
  x: number;
  y: number;
  xx: number;
  xy: number;
}

/** Least squares in float64. */
export function fitChannels(planes: Planes, {images = planes.images, offsetOnly, together, cut}: FitOptions = {}): ChannelFit {
  const {channels, pixels} = planes;
  const sums = Array.from({length: together ? 1 : channels}, (): Sums => ({n: 0, x: 0, y: 0, xx: 0, xy: 0}));
  const each = (use: (group: number, x: number, y: number) => void) => {
    for (const {x, y} of images)
      for (let i = 0; i < x.length; i++)
        if (!cut || (x[i] !== 0 && y[i] !== 0)) use(together ? 0 : Math.floor(i / pixels), x[i]!, y[i]!);
  };
  each((group, x, y) => {
    const s = sums[group]!;
    s.n++;
    s.x += x;
    s.y += y;
    s.xx += x * x;
    s.xy += x * y;
  });
  const lines = sums.map((s) => lineOf(s, offsetOnly));
  let [squares, count] = [0, 0];
  each((group, x, y) => {
    const {scale, offset} = lines[group]!;
    squares += (y - scale * x - offset) ** 2;
    count++;
  });
  const of = (pick: (line: (typeof lines)[number]) => number) =>
    Float64Array.from({length: channels}, (_, c) => pick(lines[together ? 0 : c]!));
  return {scales: of(({scale}) => scale), offsets: of(({offset}) => offset), residual: Math.sqrt(squares / Math.max(1, count))};
}

function lineOf({n, x, y, xx, xy}: Sums, offsetOnly = false): {scale: number; offset: number} {
  const spread = n * xx - x * x;
  const scale = offsetOnly || !(spread > 1e-12 * n * xx) ? 1 : (n * xy - x * y) / spread;
  return {scale, offset: n === 0 ? 0 : (y - scale * x) / n};
}
