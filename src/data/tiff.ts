/**
 * What a TIFF says of its first image, and what Pillow does with it where libvips does something else: orientation, CMYK, 16-bit gray.
 * Format: TIFF 6.0 (Adobe, 1992), sections 2 and 8; BigTIFF has the same fields, wider.
 */
import type {Image} from './resample.js';

export interface TiffFacts {
  /** 1 to 8: which way the first row lies. 1 where nothing is said. */
  readonly orientation: number;
  readonly photometric: number;
  readonly compression: number;
  readonly bits: number;
  readonly samples: number;
  /** 1: unsigned numbers. */
  readonly format: number;
  /** Each sample has a plane of its own. */
  readonly isPlanar: boolean;
}

export const PHOTOMETRIC = {white: 0, cmyk: 5, ycbcr: 6, lab: 8} as const;
const COMPRESSION = {oldJpeg: 6, jpeg: 7} as const;
const TAGS = {
  bits: 258,
  compression: 259,
  photometric: 262,
  orientation: 274,
  samples: 277,
  planar: 284,
  format: 339,
} as const;
const SHORT = 3;
const LONG = 4;
/** Real ones have some twenty. */
const MAX_TAGS = 4096;

/** Fields of the first image; those that are missing have the values that the format gives them. */
export function tiffFacts(bytes: Uint8Array): TiffFacts | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = bytes[0] === 0x49;
  if (bytes.length < 16 || view.getUint16(2, little) !== 42) return undefined;
  const at = view.getUint32(4, little);
  if (at + 2 > bytes.length) return undefined;
  const count = Math.min(view.getUint16(at, little), MAX_TAGS);
  const fields = new Map<number, number>();
  for (let i = 0, entry = at + 2; i < count && entry + 12 <= bytes.length; i++, entry += 12) {
    const [tag, type, length] = [
      view.getUint16(entry, little),
      view.getUint16(entry + 2, little),
      view.getUint32(entry + 4, little),
    ];
    const inPlace = length * (type === SHORT ? 2 : 4) <= 4;
    const place = inPlace ? entry + 8 : view.getUint32(entry + 8, little);
    const isThere = length > 0 && place + 4 <= bytes.length;
    if (isThere && type === SHORT) fields.set(tag, view.getUint16(place, little));
    if (isThere && type === LONG) fields.set(tag, view.getUint32(place, little));
  }
  const field = (tag: number, or: number) => fields.get(tag) ?? or;
  return {
    orientation: field(TAGS.orientation, 1),
    photometric: field(TAGS.photometric, 1),
    compression: field(TAGS.compression, 1),
    bits: field(TAGS.bits, 1),
    samples: field(TAGS.samples, 1),
    format: field(TAGS.format, 1),
    isPlanar: field(TAGS.planar, 1) === 2,
  };
}

/** Forms of which libvips and Pillow make different pixels, and which nobody photographs in. */
export function isRareTiff({photometric, compression, bits, format, samples, isPlanar}: TiffFacts): boolean {
  if (photometric === PHOTOMETRIC.lab) return true;
  if (photometric === PHOTOMETRIC.ycbcr) return compression !== COMPRESSION.jpeg && compression !== COMPRESSION.oldJpeg;
  if (photometric === PHOTOMETRIC.cmyk) return bits !== 8;
  if (bits === 16 && isPlanar && samples > 1) return true;
  return bits === 16 && samples === 1 && (format === 2 || photometric === PHOTOMETRIC.white);
}

/** Gray of 16 bits that are numbers from 0: Pillow's mode I;16, whose conversion clips. */
export const isGray16Tiff = ({bits, samples, format, photometric}: TiffFacts): boolean =>
  bits === 16 && samples === 1 && format === 1 && photometric === 1;

/** How the stored rows and columns lie, by orientation: swapped, columns from the right, rows from the bottom. */
const turns: readonly (readonly [swap: boolean, mirror: boolean, flip: boolean])[] = [
  [false, false, false],
  [false, true, false],
  [false, true, true],
  [false, false, true],
  [true, false, false],
  [true, false, true],
  [true, true, true],
  [true, true, false],
];

/** As it is to be seen. PIL turns a TIFF, and no other kind of file. */
export function turned({width, height, data}: Image, orientation: number): Image {
  const [swap, mirror, flip] = turns[orientation - 1] ?? turns[0]!;
  if (!swap && !mirror && !flip) return {width, height, data};
  const size = swap ? {width: height, height: width} : {width, height};
  const out = new Uint8Array(data.length);
  for (let y = 0, to = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++, to += 3) {
      const [column, row] = swap ? [y, x] : [x, y];
      const from = 3 * ((flip ? height - 1 - row : row) * width + (mirror ? width - 1 - column : column));
      out[to] = data[from]!;
      out[to + 1] = data[from + 1]!;
      out[to + 2] = data[from + 2]!;
    }
  }
  return {...size, data: out};
}
