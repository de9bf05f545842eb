/** Where training images are cut. Facts: torchvision 0.14, transforms.py (RandomResizedCrop, RandomCrop); timm 0.6.13 draws the same. */
import type {Random} from '../../core/random.js';
import type {Box, Image, Size} from '../resample.js';

const TRIES = 10;
const [MIN_ASPECT, MAX_ASPECT] = [3 / 4, 4 / 3];

export const between = (r: Random, low: number, high: number): number => low + (high - low) * r.uniform();

/** A part of random area and aspect; after ten that do not fit, the largest from the middle that is neither too wide nor too high. */
export function drawResizedCrop(r: Random, {width, height}: Size, [least, most]: readonly [number, number]): Box {
  for (let i = 0; i < TRIES; i++) {
    const area = between(r, least, most) * width * height;
    const aspect = Math.exp(between(r, Math.log(MIN_ASPECT), Math.log(MAX_ASPECT)));
    const size = {width: Math.round(Math.sqrt(area * aspect)), height: Math.round(Math.sqrt(area / aspect))};
    if (size.width > 0 && size.width <= width && size.height > 0 && size.height <= height)
      return {...size, top: r.integer(height - size.height + 1), left: r.integer(width - size.width + 1)};
  }
  return middle({width, height});
}

function middle({width, height}: Size): Box {
  const aspect = width / height;
  const w = aspect > MAX_ASPECT ? Math.round(height * MAX_ASPECT) : width;
  const h = aspect < MIN_ASPECT ? Math.round(width / MIN_ASPECT) : height;
  return {left: (width - w) >> 1, top: (height - h) >> 1, width: w, height: h};
}

const PADDING = 4;

/** A square from a random place of the image, around which there are four black pixels. */
export function paddedCrop(r: Random, image: Image, side: number): Image {
  const room = (size: number) => {
    if (size + 2 * PADDING >= side) return size + 2 * PADDING - side + 1;
    throw new Error(`it is ${image.width}x${image.height}, too small to be padded by ${PADDING} and cut to ${side}`);
  };
  const [top, left] = [r.integer(room(image.height)) - PADDING, r.integer(room(image.width)) - PADDING];
  const data = new Uint8Array(side * side * 3);
  const [from, to] = [Math.max(0, left), Math.min(image.width, left + side)];
  for (let y = Math.max(0, -top); y < side && top + y < image.height; y++) {
    const row = (top + y) * image.width;
    data.set(image.data.subarray((row + from) * 3, (row + to) * 3), (y * side + from - left) * 3);
  }
  return {width: side, height: side, data};
}

export function flipped({width, height, data}: Image): Image {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [to, from] = [(y * width + x) * 3, (y * width + width - 1 - x) * 3];
      out[to] = data[from]!;
      out[to + 1] = data[from + 1]!;
      out[to + 2] = data[from + 2]!;
    }
  }
  return {width, height, data: out};
}
