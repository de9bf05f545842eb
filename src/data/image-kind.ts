/** What an image file is, from its first bytes: the extension says nothing about what a decoder would do with it. */

/** PIL refuses images above this as decompression bombs (twice Image.MAX_IMAGE_PIXELS). */
export const MAX_PIXELS = 178_956_970;

export type ImageKind = 'jpeg' | 'png' | 'webp' | 'tiff' | 'gif' | 'ppm' | 'bmp';

const startsWith = (bytes: Uint8Array, text: string, at = 0) =>
  [...text].every((character, i) => bytes[at + i] === character.charCodeAt(0));

/** Only what PIL reads too and is a photograph's format; an SVG in disguise, which sharp would render, is none. */
export function imageKind(bytes: Uint8Array): ImageKind | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return 'jpeg';
  if (startsWith(bytes, '\x89PNG\r\n\x1a\n')) return 'png';
  if (startsWith(bytes, 'RIFF') && startsWith(bytes, 'WEBP', 8)) return 'webp';
  if (['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].some((magic) => startsWith(bytes, magic))) return 'tiff';
  if (startsWith(bytes, 'GIF8')) return 'gif';
  if (bytes[0] === 0x50 && bytes[1]! >= 0x31 && bytes[1]! <= 0x36 && /\s/.test(String.fromCharCode(bytes[2] ?? 0)))
    return 'ppm';
  if (startsWith(bytes, 'BM')) return 'bmp';
  return undefined;
}

/** What unreadable bytes look like, for the message. */
export function describeBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'the file is empty';
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, 256)).trimStart().toLowerCase();
  if (text.startsWith('<')) return 'it is a text in XML, SVG or HTML, not a photograph';
  return 'it is none of JPEG, PNG, WebP, TIFF, GIF, BMP, PPM';
}

export interface JpegFrame {
  readonly width: number;
  readonly height: number;
  /** 1 gray, 3 colour, 4 CMYK. */
  readonly components: number;
}

/** The frame header of a JPEG (ITU T.81, B.2.2): marker, length, precision, height, width, number of components. */
export function jpegFrame(bytes: Uint8Array): JpegFrame | undefined {
  const u16 = (at: number) => (bytes[at]! << 8) | bytes[at + 1]!;
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1]!;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return {height: u16(at + 5), width: u16(at + 7), components: bytes[at + 9]!};
    const standsAlone = marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);
    at += marker === 0xff ? 1 : standsAlone ? 2 : 2 + u16(at + 2);
  }
  return undefined;
}

/** Of a photograph: some tens, with a large colour profile 255 more. */
export const MAX_SEGMENTS = 4096;

/**
 * Whether a JPEG has more segments than any photograph. Each takes memory in a decoder, however short it is: four bytes of the file a
 * hundred. Between scans they count as before the first one; what follows the end of the image does not.
 */
function hasTooManySegments(bytes: Uint8Array): boolean {
  let count = 0;
  for (let at = bytes.indexOf(0xff, 2); at >= 0 && at + 1 < bytes.length; at = bytes.indexOf(0xff, at)) {
    const marker = bytes[at + 1]!;
    if (marker === END_OF_IMAGE) return false;
    const standsAlone = marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8); // a stuffed zero, TEM, restarts, another start
    if (marker === 0xff || standsAlone) {
      at += marker === 0xff ? 1 : 2; // fill bytes
      continue;
    }
    if (++count > MAX_SEGMENTS) return true;
    at += 2 + Math.max(2, (bytes[at + 2]! << 8) | bytes[at + 3]!);
  }
  return false;
}
const END_OF_IMAGE = 0xd9;

/** The same of WebP's chunks, of which an animation has one for each frame. */
function hasTooManyChunks(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    if (++count > MAX_SEGMENTS) return true;
    const size = view.getUint32(at + 4, true);
    at += 8 + size + (size % 2);
  }
  return false;
}

/** Whether a decoder would make more of the file than its pixels and its bytes explain. */
export const hasTooManyParts = (bytes: Uint8Array, kind: ImageKind): boolean =>
  kind === 'jpeg' ? hasTooManySegments(bytes) : kind === 'webp' && hasTooManyChunks(bytes);

/** 16-bit gray PNGs: bit depth and colour type in the header chunk, which is always the first. */
export const isGray16Png = (bytes: Uint8Array): boolean => bytes[24] === 16 && bytes[25] === 0;
