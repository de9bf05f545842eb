/** What an image file is, from its first bytes: the extension says nothing about what a decoder would do with it. */

/** PIL refuses images above this as decompression bombs (twice Image.MAX_IMAGE_PIXELS). */
export const MAX_PIXELS = 178_956_970;

export type ImageKind = 'jpeg' | 'png' | 'webp' | 'tiff' | 'gif' | 'ppm';

const startsWith = (bytes: Uint8Array, text: string, at = 0) =>
  [...text].every((character, i) => bytes[at + i] === character.charCodeAt(0));

/** Only what PIL reads too and is a photograph's format; an SVG in disguise, which sharp would render, is none. */
export function imageKind(bytes: Uint8Array): ImageKind | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return 'jpeg';
  if (startsWith(bytes, '\x89PNG\r\n\x1a\n')) return 'png';
  if (startsWith(bytes, 'RIFF') && startsWith(bytes, 'WEBP', 8)) return 'webp';
  if (startsWith(bytes, 'II*\0') || startsWith(bytes, 'MM\0*')) return 'tiff';
  if (startsWith(bytes, 'GIF8')) return 'gif';
  if (startsWith(bytes, 'P6') || startsWith(bytes, 'P5')) return 'ppm';
  return undefined;
}

/** What unreadable bytes look like, for the message. */
export function describeBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'the file is empty';
  if (startsWith(bytes, 'BM')) return 'BMP images are not read; convert it to PNG';
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, 256)).trimStart().toLowerCase();
  if (text.startsWith('<')) return 'it is a text in XML, SVG or HTML, not a photograph';
  return 'it is none of JPEG, PNG, WebP, TIFF, GIF, PPM';
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

/** 16-bit gray PNGs: bit depth and colour type in the header chunk, which is always the first. */
export const isGray16Png = (bytes: Uint8Array): boolean => bytes[24] === 16 && bytes[25] === 0;
