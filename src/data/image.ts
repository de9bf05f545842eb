/**
 * An image file's bytes to RGB, as `PIL.Image.open(…).convert('RGB')` decodes them: embedded colour profiles and the EXIF
 * orientation are ignored (but that of a TIFF), alpha is dropped, of an animation the first frame is taken.
 */
import type {Sharp, SharpOptions} from 'sharp';
import {decodeBmp} from './bmp.js';
import {whyUndecodable} from './damage.js';
import {decodeGif} from './gif.js';
import {describeBytes, hasTooManyParts, type ImageKind, imageKind, isGray16Png, jpegFrame, MAX_PIXELS} from './image-kind.js';
import {decodePpm} from './ppm.js';
import type {Box, Image, Size} from './resample.js';
import {isGray16Tiff, isRareTiff, PHOTOMETRIC, tiffFacts, turned} from './tiff.js';

type SharpModule = typeof import('sharp').default;
let loaded: Promise<SharpModule> | undefined;

async function load(): Promise<SharpModule> {
  const module = await import('sharp');
  const sharp = module.default;
  sharp.concurrency(1); // images are decoded side by side instead
  sharp.cache(false); // no image comes twice
  return sharp;
}

/** `failOn: 'error'` is PIL's strictness: truncated files are refused, stray bytes between JPEG segments are not. */
const options: SharpOptions = {ignoreIcc: true, failOn: 'error', limitInputPixels: MAX_PIXELS};

/** Kinds that sharp does not read, or reads otherwise than PIL. */
const ownDecoders: Partial<Record<ImageKind, (bytes: Uint8Array, maxPixels: number) => Image>> = {
  ppm: decodePpm,
  bmp: decodeBmp,
  gif: decodeGif,
};

/** sharp on a file's bytes, after a look at what they are. Its errors and ours are plain: the caller knows the path. */
export async function openImage(bytes: Uint8Array): Promise<{pipeline: Sharp; kind: ImageKind}> {
  const kind = imageKind(bytes);
  if (!kind) throw new Error(describeBytes(bytes));
  if (hasTooManyParts(bytes, kind)) throw new Error('it has more parts than any photograph');
  loaded ??= load();
  const sharp = await loaded;
  const own = ownDecoders[kind];
  if (!own) return {pipeline: sharp(bytes, options), kind};
  const {width, height, data} = own(bytes, MAX_PIXELS);
  return {pipeline: sharp(data, {raw: {width, height, channels: 3}}), kind};
}

/** `needed` says which part of a photograph of a given size is enough: what lies beyond is not always decoded. */
export async function decodeImage(bytes: Uint8Array, needed?: (size: Size) => Box): Promise<Image> {
  const kind = imageKind(bytes);
  const own = kind && ownDecoders[kind];
  if (own) return own(bytes, MAX_PIXELS);
  const opened = await openImage(bytes);
  try {
    return await decodeOpened(bytes, opened, needed);
  } catch (error) {
    if (error instanceof RareKind) throw error;
    throw new Error(whyUndecodable(bytes, opened.kind, error), {cause: error});
  }
}

async function decodeOpened(
  bytes: Uint8Array,
  {pipeline, kind}: {pipeline: Sharp; kind: ImageKind},
  needed: ((size: Size) => Box) | undefined,
): Promise<Image> {
  const frame = kind === 'jpeg' ? jpegFrame(bytes) : undefined;
  if (frame?.components === 4) return decodeCmyk(pipeline);
  if (frame && needed && isComplete(bytes)) return decodePart(pipeline, frame, needed(frame));
  if (kind === 'png' && isGray16Png(bytes)) return decodeGray16(pipeline);
  if (kind === 'tiff') return decodeTiff(bytes, pipeline);
  const {data, info} = await pipeline.raw().toBuffer({resolveWithObject: true});
  return toRgb(data, info);
}

/** A file that is whole, and is not read. */
class RareKind extends Error {}

async function decodeTiff(bytes: Uint8Array, pipeline: Sharp): Promise<Image> {
  const facts = tiffFacts(bytes);
  if (facts && isRareTiff(facts)) throw new RareKind('a TIFF with its colours in this form is not read; convert it to PNG');
  if (facts?.photometric === PHOTOMETRIC.cmyk) return turned(await decodeCmyk(pipeline), facts.orientation);
  if (facts && isGray16Tiff(facts)) return turned(await decodeGray16(pipeline), facts.orientation);
  const {data, info} = await pipeline.raw().toBuffer({resolveWithObject: true});
  return turned(toRgb(data, info), facts?.orientation ?? 1);
}

/** A file that was cut off must fail as a whole, even where the part that is needed came before the cut: PIL refuses it too. */
const isComplete = (bytes: Uint8Array): boolean => bytes.at(-2) === 0xff && bytes.at(-1) === 0xd9;

/** The decoder stops after the last row that is asked for, and fewer pixels are copied: a fifth less for a square crop of 4:3. */
async function decodePart(pipeline: Sharp, of: Size, {left, top, width, height}: Box): Promise<Image> {
  const {data, info} = await pipeline.extract({left, top, width, height}).raw().toBuffer({resolveWithObject: true});
  return {...toRgb(data, info), part: {left, top, of: {width: of.width, height: of.height}}};
}

interface RawInfo {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

export function toRgb(data: Uint8Array, {width, height, channels}: RawInfo): Image {
  if (channels === 3) return {width, height, data};
  const pixels = width * height;
  const rgb = new Uint8Array(pixels * 3);
  const [green, blue] = channels > 3 ? [1, 2] : [0, 0]; // two channels are gray and alpha
  for (let i = 0, from = 0, to = 0; i < pixels; i++, from += channels, to += 3) {
    rgb[to] = data[from]!;
    rgb[to + 1] = data[from + green]!;
    rgb[to + 2] = data[from + blue]!;
  }
  return {width, height, data: rgb};
}

/** (1 - K) - C·(1 - K) in bytes, products rounded: Pillow, Convert.c, cmyk2rgb. libvips alone would go through colour profiles. */
async function decodeCmyk(pipeline: Sharp): Promise<Image> {
  const {data, info} = await pipeline
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw()
    .toBuffer({resolveWithObject: true});
  const rgb = new Uint8Array(info.width * info.height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    const light = 255 - data[from + 3]!;
    for (let c = 0; c < 3; c++) {
      const product = data[from + c]! * light + 128;
      rgb[to + c] = Math.max(0, light - (((product >> 8) + product) >> 8));
    }
  }
  return {width: info.width, height: info.height, data: rgb};
}

/** Pillow reads 16-bit gray as mode I, whose conversion to RGB clips: everything above 255 is white. */
async function decodeGray16(pipeline: Sharp): Promise<Image> {
  const {data, info} = await pipeline.toColourspace('grey16').raw({depth: 'ushort'}).toBuffer({resolveWithObject: true});
  const samples = new Uint16Array(Uint8Array.from(data).buffer);
  const clipped = Uint8Array.from(samples, (v) => Math.min(v, 255));
  return toRgb(clipped, info);
}
