/** A small JPEG of an image, for reports. */
import {decodeImage, openImage} from './image.js';
import {imageKind, jpegFrame} from './image-kind.js';
import {encodePpm} from './ppm.js';

const QUALITY = 75;

/** Fits into a square of `side` pixels; small images are not enlarged. */
export async function thumbnail(bytes: Uint8Array, side: number): Promise<Uint8Array> {
  const kind = imageKind(bytes);
  const isOurs = kind === 'tiff' || (kind === 'jpeg' && jpegFrame(bytes)?.components === 4);
  const {pipeline} = isOurs ? await openImage(await asPpm(bytes)) : await openImage(bytes);
  const resized = pipeline.resize({width: side, height: side, fit: 'inside', withoutEnlargement: true});
  return new Uint8Array(await resized.flatten().jpeg({quality: QUALITY}).toBuffer());
}

/** What sharp would show otherwise goes through our own conversion, so that the report shows what the network saw. */
const asPpm = async (bytes: Uint8Array): Promise<Uint8Array> => encodePpm(await decodeImage(bytes));
