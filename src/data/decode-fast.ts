/**
 * Decoding with the JPEG decoder's own shrinking by 2, 4 or 8 (fewer frequencies are transformed back). The result is not what PIL
 * gives: a box filter came first. It pays for photographs of a camera's size (12 megapixels: 2.4 times as fast as exact); most of
 * a small JPEG's cost is its entropy code, which must be read in any case: ImageNet's 500x375 gain nothing and are decoded exactly.
 */
import {decodeImage, openImage, toRgb} from './image.js';
import {imageKind, jpegFrame} from './image-kind.js';
import type {Image} from './resample.js';

/** The short side after shrinking is at least the wanted one: the rest of the way is a proper resize, never an enlargement. */
function shrinkFor(shortSide: number, wanted: number): 1 | 2 | 4 | 8 {
  for (const factor of [8, 4, 2] as const) if (shortSide >= wanted * factor) return factor;
  return 1;
}

export async function decodeFast(bytes: Uint8Array, wanted: number | undefined): Promise<Image> {
  const frame = imageKind(bytes) === 'jpeg' ? jpegFrame(bytes) : undefined;
  const factor =
    frame && wanted !== undefined && frame.components !== 4 ? shrinkFor(Math.min(frame.width, frame.height), wanted) : 1;
  if (!frame || factor === 1) return decodeImage(bytes);
  const {pipeline} = await openImage(bytes);
  // rounded down, or sharp would not ask the decoder for the whole factor; a last row or column that libjpeg adds is scaled away
  const size = {width: Math.floor(frame.width / factor), height: Math.floor(frame.height / factor)};
  const shrunk = pipeline.resize({...size, fit: 'fill', kernel: 'linear', fastShrinkOnLoad: true});
  const {data, info} = await shrunk.raw().toBuffer({resolveWithObject: true});
  return toRgb(data, info);
}
