/**
 * Resizing and cropping as torchvision does it on PIL images, to the bit: horizontal pass, then vertical, each rounded to 8 bits,
 * with Pillow's fixed-point weights (`coefficients.ts`). Only the pixels of the window that is wanted are computed.
 */
import {type Axis, type Coefficients, coefficients, type FilterName} from './coefficients.js';
import {BLOCK, ROW_GROUP, roundUp, withKernels} from './kernels.js';

/** 8-bit RGB, row-major, without padding. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array; // [height, width, 3]
  /** Where these pixels lie in the photograph, when only a part of it was decoded, or at fewer eighths of its size than 8. */
  readonly part?: {readonly left: number; readonly top: number; readonly of: Size; readonly eighths?: number};
}
export interface Size {
  readonly width: number;
  readonly height: number;
}
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}
export interface ResampleOptions {
  /** The part of the source to resize, as if it had been cut out before: no pixel beyond it is used. Default: all. */
  readonly box?: Box;
  /** What the source, or its box, becomes. */
  readonly size: {readonly width: number; readonly height: number};
  readonly filter: FilterName;
  /** The part of the result to compute. Default: all. */
  readonly window?: Box;
}

/** Of the whole photograph. */
export const imageSize = (image: Image): Size => image.part?.of ?? image;
/** The photograph's size in pixels of that scale; where it is no whole number, the last pixel lies over the edge. */
export const scaledSize = ({width, height}: Size, eighths: number): Size => ({
  width: (width * eighths) / 8,
  height: (height * eighths) / 8,
});
const whole = ({width, height}: Size): Box => ({left: 0, top: 0, width, height});
const inside = (box: Box, {width, height}: Size) =>
  box.left >= 0 &&
  box.top >= 0 &&
  box.width > 0 &&
  box.height > 0 &&
  box.left + box.width <= width &&
  box.top + box.height <= height;

export function resample(image: Image, options: ResampleOptions): Image {
  const full = scaledSize(imageSize(image), image.part?.eighths ?? 8);
  const {box = whole(full), size, window = whole(size)} = options;
  if (!inside(box, full) || !inside(window, size)) {
    throw new Error(
      `resample: ${JSON.stringify({box, window})} exceeds ${full.width}x${full.height} → ${size.width}x${size.height}`,
    );
  }
  const {across, down} = axes(full, options);
  const {left, top} = image.part ?? {left: 0, top: 0};
  const from = {...box, left: box.left - left, top: box.top - top}; // in the pixels that are there
  return {width: window.width, height: window.height, data: twoPasses(image, from, across, down)};
}

function axes(full: Size, {box = whole(full), size, filter, window = whole(size)}: ResampleOptions) {
  const across: Axis = {input: box.width, output: size.width, from: window.left, length: window.width};
  const down: Axis = {input: box.height, output: size.height, from: window.top, length: window.height};
  return {across: coefficients(across, filter), down: coefficients(down, filter)};
}

/** The pixels of a photograph of that size that `resample` will look at. */
export function neededBox(full: Size, options: ResampleOptions): Box {
  const {left, top} = options.box ?? whole(full);
  const {across, down} = axes(full, options);
  const span = ({starts, counts}: Coefficients) => {
    const [first, last] = [starts[0]!, starts.length - 1];
    return [first, starts[last]! + counts[last]! - first] as const;
  };
  const [[column, width], [row, height]] = [span(across), span(down)];
  return {left: left + column, top: top + row, width, height};
}

/** Source rows are brought over in pieces of this size: they stay in the cache, and memory does not depend on the image's height. */
const PIECE_BYTES = 256 * 1024;

function twoPasses(image: Image, box: Box, across: Coefficients, down: Coefficients): Uint8Array<ArrayBuffer> {
  const columns = across.starts.length;
  const outRows = down.starts.length;
  const stride = roundUp(columns * 3 + 1, BLOCK); // + 1: a row's last pixel is stored as four bytes
  const firstRow = down.starts[0]!;
  const rows = down.starts[outRows - 1]! + down.counts[outRows - 1]! - firstRow;
  const sourceStride = image.width * 3;
  const pieceRows = Math.max(ROW_GROUP, roundUp(Math.floor(PIECE_BYTES / sourceStride), ROW_GROUP));
  const outBytes = outRows * columns * 3;
  const sizes = [
    pieceRows * sourceStride,
    roundUp(rows, ROW_GROUP) * stride,
    outBytes,
    ...[columns * 4, columns * 4, across.weights.byteLength, down.weights.byteLength],
  ];
  return withKernels(sizes, ({memory, horizontal, vertical}, offsets) => {
    const [source, middle, target, starts, counts, weights, downWeights] = offsets as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const bytes = new Uint8Array(memory.buffer);
    const put = (at: number, values: Int32Array) => new Int32Array(memory.buffer, at, values.length).set(values);
    put(
      starts,
      across.starts.map((start) => (box.left + start) * 3),
    );
    put(counts, across.counts);
    put(weights, across.weights);
    put(downWeights, down.weights);
    for (let done = 0; done < rows; done += pieceRows) {
      const from = box.top + firstRow + done;
      const here = Math.min(pieceRows, rows - done);
      bytes.set(image.data.subarray(from * sourceStride, (from + here) * sourceStride), source);
      for (let y = 0; y < here; y += ROW_GROUP) {
        const row = middle + (done + y) * stride;
        horizontal(source + y * sourceStride, sourceStride, row, stride, starts, counts, weights, across.taps * 4, columns);
      }
    }
    for (let y = 0; y < outRows; y++) {
      const first = middle + (down.starts[y]! - firstRow) * stride;
      vertical(first, stride, down.counts[y]!, downWeights + y * down.taps * 4, target + y * columns * 3, columns * 3);
    }
    return bytes.slice(target, target + outBytes) as Uint8Array<ArrayBuffer>;
  });
}
