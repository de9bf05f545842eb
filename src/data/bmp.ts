/**
 * Windows and OS/2 bitmaps, which sharp does not read: palettes, 16 to 32 bits with Pillow's layouts of bits, run lengths.
 * Format: learn.microsoft.com, "Bitmap Storage" and "Bitmap Compression"; where readers differ, Pillow's way.
 */
import type {Image, Size} from './resample.js';

interface Header extends Size {
  readonly bits: number;
  readonly compression: number;
  /** The first row in the file is the top one. */
  readonly isTopDown: boolean;
  readonly palette: Uint8Array;
  /** Where red, green and blue are found in a pixel of 16 bits and more. */
  readonly layout: Layout;
  readonly pixelsAt: number;
}
type Layout = '555' | '565' | readonly [red: number, green: number, blue: number];

const COMPRESSION = {none: 0, rle8: 1, rle4: 2, bitfields: 3} as const;
/** Of 12 bytes: OS/2. The others differ in what comes after 40 bytes. */
const HEADER_SIZES = [12, 40, 52, 56, 64, 108, 124];
const DAMAGED = 'it is damaged, or a BMP of a rare kind';
const CUT = 'the file ends before its image does: copy or download it again';

/** Throws plain errors. */
export function decodeBmp(bytes: Uint8Array, maxPixels: number): Image {
  if (bytes.length < 30) throw new Error(CUT);
  const header = headerOf(bytes);
  const {width, height, bits} = header;
  if (width * height > maxPixels) throw new Error(`it has more than ${maxPixels} pixels, as no photograph has`);
  if (width === 0 || height === 0) throw new Error('it has no pixels');
  const data = bits <= 8 ? ofPalette(indicesOf(bytes, header), header) : direct(bytes, header);
  return {width, height, data};
}

function headerOf(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(14, true);
  if (!HEADER_SIZES.includes(size) || 14 + size > bytes.length) throw new Error(DAMAGED);
  const isOld = size === 12;
  const width = isOld ? view.getUint16(18, true) : view.getUint32(18, true);
  const stored = isOld ? view.getUint16(20, true) : view.getInt32(22, true);
  const bits = view.getUint16(isOld ? 24 : 28, true);
  const compression = isOld ? 0 : view.getUint32(30, true);
  if (![1, 4, 8, 16, 24, 32].includes(bits)) throw new Error(`a BMP of ${bits} bits a pixel is not read`);
  if (compression > COMPRESSION.bitfields) throw new Error(`a BMP of the compression ${compression} is not read`);
  const colours = (isOld ? 0 : view.getUint32(46, true)) || 2 ** Math.min(bits, 16);
  const wordsAt = 14 + size; // of masks that stand behind a short header, and then of the palette
  const isMasked = compression === COMPRESSION.bitfields;
  const paletteAt = isMasked && size < 52 ? wordsAt + 12 : wordsAt;
  const palette = bits <= 8 ? paletteOf(bytes, {at: paletteAt, colours, each: isOld ? 3 : 4}) : new Uint8Array(0);
  const said = view.getUint32(10, true);
  const pixelsAt =
    said === wordsAt && bits <= 8 ? said + 4 * colours : said || paletteAt + (bits <= 8 ? (isOld ? 3 : 4) * colours : 0);
  const layout = layoutOf(view, bits, isMasked ? {at: size < 52 ? wordsAt : 54, hasAlpha: size >= 56} : undefined);
  return {width, height: Math.abs(stored), bits, compression, isTopDown: stored < 0, palette, layout, pixelsAt};
}

/** Colours that the file does not have are gray, by their number. */
function paletteOf(bytes: Uint8Array, {at, colours, each}: {at: number; colours: number; each: number}): Uint8Array {
  if (colours > 65536) throw new Error(DAMAGED);
  const palette = Uint8Array.from({length: 256 * 3}, (_, i) => Math.floor(i / 3));
  for (let i = 0; i < Math.min(colours, 256) && at + each * i + 3 <= bytes.length; i++)
    for (let c = 0; c < 3; c++) palette[3 * i + c] = bytes[at + each * i + 2 - c]!;
  return palette;
}

/** Masks that Pillow knows, by bits: red, green, blue, alpha. */
const masks: Readonly<Record<string, Layout>> = {
  '16 f800 7e0 1f': '565',
  '16 7c00 3e0 1f': '555',
  '24 ff0000 ff00 ff': [2, 1, 0],
  '32 ff0000 ff00 ff 0': [2, 1, 0],
  '32 ff000000 ff0000 ff00 0': [3, 2, 1],
  '32 ff000000 ff0000 ff00 ff': [3, 2, 1],
  '32 ff ff00 ff0000 ff000000': [0, 1, 2],
  '32 ff0000 ff00 ff ff000000': [2, 1, 0],
  '32 0 0 0 0': [2, 1, 0],
};

function layoutOf(view: DataView, bits: number, masked: {at: number; hasAlpha: boolean} | undefined): Layout {
  if (!masked) return bits === 16 ? '555' : [2, 1, 0];
  const at = (i: number) =>
    masked.at + 4 * i + 4 <= view.byteLength ? view.getUint32(masked.at + 4 * i, true).toString(16) : '';
  const alpha = bits === 32 ? [masked.hasAlpha ? at(3) : '0'] : [];
  const layout = masks[[bits, at(0), at(1), at(2), ...alpha].join(' ')];
  if (!layout) throw new Error('a BMP with its colours in unusual bits is not read');
  return layout;
}

/** Rows are filled up to four bytes; the last one need not be. */
function rowsOf(bytes: Uint8Array, {width, height, bits, pixelsAt, isTopDown}: Header): (y: number) => number {
  const stride = Math.floor((width * bits + 31) / 32) * 4;
  if (pixelsAt + stride * (height - 1) + Math.ceil((width * bits) / 8) > bytes.length) throw new Error(CUT);
  return (y) => pixelsAt + stride * (isTopDown ? y : height - 1 - y);
}

function direct(bytes: Uint8Array, header: Header): Uint8Array {
  const {width, height, bits, layout, compression} = header;
  if (compression === COMPRESSION.rle8 || compression === COMPRESSION.rle4) throw new Error(DAMAGED);
  const rowAt = rowsOf(bytes, header);
  const data = new Uint8Array(3 * width * height);
  const step = bits / 8;
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0, at = rowAt(y); x < width; x++, at += step, to += 3) {
      if (typeof layout === 'string') sixteen(bytes[at]! + bytes[at + 1]! * 256, layout, data, to);
      else for (let c = 0; c < 3; c++) data[to + c] = bytes[at + layout[c as 0 | 1 | 2]!]!;
    }
  }
  return data;
}

/** Five bits, or six for green, to eight: v · 255 / 31, rounded down. */
function sixteen(pixel: number, layout: '555' | '565', data: Uint8Array, to: number): void {
  const green = layout === '565' ? 63 : 31;
  data[to] = Math.floor((((pixel >> (layout === '565' ? 11 : 10)) & 31) * 255) / 31);
  data[to + 1] = Math.floor((((pixel >> 5) & green) * 255) / green);
  data[to + 2] = Math.floor(((pixel & 31) * 255) / 31);
}

function ofPalette(indices: Uint8Array, {palette}: Header): Uint8Array {
  const data = new Uint8Array(3 * indices.length);
  for (let i = 0, to = 0; i < indices.length; i++, to += 3) {
    const from = 3 * indices[i]!;
    data[to] = palette[from]!;
    data[to + 1] = palette[from + 1]!;
    data[to + 2] = palette[from + 2]!;
  }
  return data;
}

function indicesOf(bytes: Uint8Array, header: Header): Uint8Array {
  const {width, height, bits, compression} = header;
  if (compression === COMPRESSION.rle8 || compression === COMPRESSION.rle4) return upright(unpackRuns(bytes, header), header);
  const rowAt = rowsOf(bytes, header);
  const indices = new Uint8Array(width * height);
  const [each, mask] = [8 / bits, 2 ** bits - 1];
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0, at = rowAt(y); x < width; x++, to++)
      indices[to] = (bytes[at + Math.floor(x / each)]! >> (8 - bits - (x % each) * bits)) & mask;
  return indices;
}

/** Pixels that are passed over, and those behind the end of a row, have colour 0. */
function unpackRuns(bytes: Uint8Array, {width, height, compression, pixelsAt}: Header): Uint8Array {
  const isNibbles = compression === COMPRESSION.rle4;
  const out = new Uint8Array(width * height);
  let filled = 0;
  let x = 0;
  const put = (value: number) => {
    if (filled < out.length) out[filled] = value;
    filled++;
  };
  let at = pixelsAt;
  while (filled < out.length && at + 2 <= bytes.length) {
    const [count, value] = [bytes[at]!, bytes[at + 1]!];
    at += 2;
    if (count > 0) {
      const taken = Math.max(0, Math.min(count, width - x));
      for (let i = 0; i < taken; i++) put(isNibbles ? (i % 2 === 0 ? value >> 4 : value & 15) : value);
      x += taken;
    } else if (value === 0) {
      filled = Math.ceil(filled / width) * width;
      x = 0;
    } else if (value === 1) break;
    else if (value === 2) {
      if (at + 4 > bytes.length) break;
      filled += bytes[at + 2]! + bytes[at + 3]! * width; // Pillow passes over two bytes more than the format has
      at += 4;
      x = filled % width;
    } else {
      const length = isNibbles ? value >> 1 : value;
      for (let i = 0; i < length && at + i < bytes.length; i++) {
        const byte = bytes[at + i]!;
        if (isNibbles) put(byte >> 4);
        put(isNibbles ? byte & 15 : byte);
      }
      if (at + length > bytes.length) break;
      at += length + ((at + length) % 2);
      x += value;
    }
  }
  if (filled < out.length) throw new Error(CUT);
  return out;
}

function upright(rows: Uint8Array, {width, height, isTopDown}: Header): Uint8Array {
  if (isTopDown) return rows;
  const out = new Uint8Array(rows.length);
  for (let y = 0; y < height; y++) out.set(rows.subarray(y * width, (y + 1) * width), (height - 1 - y) * width);
  return out;
}
