/**
 * Decoding that is not exact: a JPEG is transformed at fewer samples a block, down to the size that is wanted. Ours reads baseline
 * files; of the others (progressive, mostly) sharp's decoder shrinks those of a camera's size by 2, 4 or 8, and the rest is exact. sharp
 * gains nothing on a small JPEG: most of the cost is the entropy code, which must be read in any case, and half a millisecond a call.
 */
import {decodeImage, openImage, toRgb} from './image.js';
import {imageKind, jpegFrame} from './image-kind.js';
import {decodeScaled, eighthsFor} from './jpeg/decode.js';
import {type Geometry, neededPart} from './preprocess.js';
import type {Image, Size} from './resample.js';

export async function decodeFast(bytes: Uint8Array, geometry: Geometry): Promise<Image> {
  const isJpeg = imageKind(bytes) === 'jpeg';
  const scaled = isJpeg ? decodeScaled(bytes, (size) => scaleFor(size, geometry)) : undefined;
  return scaled ?? ((isJpeg && (await shrunk(bytes, geometry))) || decodeImage(bytes, (size) => neededPart(size, geometry)));
}

function scaleFor(size: Size, geometry: Geometry) {
  const eighths = geometry.resize === undefined ? 8 : eighthsFor(size, geometry.resize);
  return {eighths, box: neededPart(size, geometry, eighths)};
}

/** The short side after shrinking is at least the wanted one: the rest of the way is a proper resize, never an enlargement. */
function shrinkFor(shortSide: number, wanted: number): 1 | 2 | 4 | 8 {
  for (const factor of [8, 4, 2] as const) if (shortSide >= wanted * factor) return factor;
  return 1;
}

async function shrunk(bytes: Uint8Array, {resize}: Geometry): Promise<Image | undefined> {
  const frame = jpegFrame(bytes);
  const factor =
    frame && resize !== undefined && frame.components !== 4 ? shrinkFor(Math.min(frame.width, frame.height), resize) : 1;
  if (!frame || factor === 1) return undefined;
  const {pipeline} = await openImage(bytes);
  // rounded down, or sharp would not ask the decoder for the whole factor; a last row or column that libjpeg adds is scaled away
  const size = {width: Math.floor(frame.width / factor), height: Math.floor(frame.height / factor)};
  const resized = pipeline.resize({...size, fit: 'fill', kernel: 'linear', fastShrinkOnLoad: true});
  try {
    const {data, info} = await resized.raw().toBuffer({resolveWithObject: true});
    return toRgb(data, info);
  } catch {
    return undefined; // the exact decoder says what is wrong
  }
}
