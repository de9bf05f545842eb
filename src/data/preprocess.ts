/**
 * A decoded image to a network's input: torchvision's Resize and CenterCrop on bytes, then normalised floats.
 * Facts: torchvision 0.14, transforms/functional.py (resize, center_crop) and their use in both training codes.
 */
import {withKernels} from './kernels.js';
import type {Recipe} from './recipe.js';
import {type Box, type Image, imageSize, neededBox, resample, type Size, scaledSize} from './resample.js';

/** The part of a recipe that is about places, not values. */
export type Geometry = Pick<Recipe, 'resize' | 'crop' | 'interpolation'>;

/** Resize(int): the short side becomes `short`, the long one int(short · long / short side). */
export function resizedSize({width, height}: Size, short: number): Size {
  return width <= height
    ? {width: short, height: Math.trunc((short * height) / width)}
    : {width: Math.trunc((short * width) / height), height: short};
}

/** Python's round, of a number of halves. */
const halfRoundedToEven = (n: number) => (n % 2 === 0 ? n / 2 : 2 * Math.round(n / 4));
/** CenterCrop's offset, and where the image lies in the crop when it is smaller: padding is the floor of half, and black. */
const centre = (size: number, crop: number) =>
  size >= crop ? {from: halfRoundedToEven(size - crop), length: crop, at: 0} : {from: 0, length: size, at: (crop - size) >> 1};

/** What becomes of a photograph of that size: the size after resizing, the part of it that is kept, and where that lies in the crop. */
function plan(full: Size, {resize, crop, interpolation}: Geometry) {
  const size = resize === undefined ? full : resizedSize(full, resize);
  const x = centre(size.width, crop ?? size.width);
  const y = centre(size.height, crop ?? size.height);
  const window = {left: x.from, top: y.from, width: x.length, height: y.length};
  return {options: {size, filter: interpolation, window}, at: [x.at, y.at] as const};
}

/** The pixels that `preprocess` needs of a photograph of that size, decoded at so many eighths of it. */
export const neededPart = (full: Size, geometry: Geometry, eighths = 8): Box =>
  neededBox(scaledSize(full, eighths), plan(full, geometry).options);

export function preprocess(image: Image, geometry: Geometry): Image {
  const {crop} = geometry;
  const {options, at} = plan(imageSize(image), geometry);
  const {size, window} = options;
  const isWhole = [size, window].every(({width, height}) => width === image.width && height === image.height);
  const cut = isWhole && (image.part?.eighths ?? 8) === 8 ? image : resample(image, options);
  return crop === undefined || (cut.width === crop && cut.height === crop) ? cut : padded(cut, crop, ...at);
}

function padded(image: Image, side: number, left: number, top: number): Image {
  const data = new Uint8Array(side * side * 3);
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
    data.set(row, ((top + y) * side + left) * 3);
  }
  return {width: side, height: side, data};
}

/** What every byte becomes, per channel: (x - 255·mean) / (255·std), which is (x / 255 - mean) / std, rounded to float32 once. */
export function normaliser({
  mean,
  std,
  order,
}: Pick<Recipe, 'mean' | 'std' | 'order'>): (rgb: Uint8Array, target: Float32Array) => void {
  const tables = Float32Array.from(
    [0, 1, 2].flatMap((c) => Array.from({length: 256}, (_, x) => (x - 255 * mean[c]!) / (255 * std[c]!))),
  );
  return (rgb, target) =>
    withKernels([rgb.length, tables.length * 4, target.byteLength], (kernels, [source, table, planes]) => {
      const {buffer} = kernels.memory;
      new Uint8Array(buffer).set(rgb, source);
      new Float32Array(buffer, table, tables.length).set(tables);
      kernels.normalise(source!, source! + rgb.length, table!, planes!, target.byteLength / 3);
      const made = new Float32Array(buffer, planes, target.length); // [H, W, 3] → [3, H, W]
      const plane = target.length / 3;
      const places = order === 'bgr' ? [2, 1, 0] : [0, 1, 2];
      for (const [c, place] of places.entries()) target.set(made.subarray(place * plane, (place + 1) * plane), c * plane);
    });
}
