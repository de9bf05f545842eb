/**
 * Decoding with the JPEG decoder's own shrinking by 2, 4 or 8 (fewer frequencies are transformed back). The result is not what PIL
 * gives: a box filter came first. Only where much more than the wanted size is left does it happen.
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
  const size = {width: Math.ceil(frame.width / factor), height: Math.ceil(frame.height / factor)}; // as libjpeg rounds: nothing is left to resize
  const shrunk = pipeline.resize({...size, fit: 'fill', kernel: 'nearest', fastShrinkOnLoad: true});
  const {data, info} = await shrunk.raw().toBuffer({resolveWithObject: true});
  return toRgb(data, info);
}
