/**
 * The first frame of a GIF, with the colours that transparent pixels have in the palette: sharp makes them black, PIL does not.
 * Format: www.w3.org/Graphics/GIF/spec-gif89a.txt.
 */
import type {Image, Size} from './resample.js';

const CUT = 'the file ends before its image does: copy or download it again';
const DAMAGED = 'its data are damaged';
const MAX_CODES = 4096;

interface Frame {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly isInterlaced: boolean;
  readonly palette: Uint8Array;
  readonly transparent: number;
  /** Where the compressed data begin. */
  readonly dataAt: number;
}

/** Throws plain errors. */
export function decodeGif(bytes: Uint8Array, maxPixels: number): Image {
  const {frame, screen} = firstFrame(bytes);
  const width = Math.max(screen.width, frame.left + frame.width);
  const height = Math.max(screen.height, frame.top + frame.height);
  if (width * height > maxPixels) throw new Error(`it has more than ${maxPixels} pixels, as no photograph has`);
  if (frame.width * frame.height === 0) throw new Error('it has no pixels');
  const indices = unpackLzw(bytes, frame);
  const canvas = new Uint8Array(width * height).fill(frame.transparent);
  for (const [row, y] of rowOrder(frame).entries()) {
    const from = row * frame.width;
    canvas.set(indices.subarray(from, from + frame.width), (frame.top + y) * width + frame.left);
  }
  const data = new Uint8Array(3 * canvas.length);
  for (let i = 0, to = 0; i < canvas.length; i++, to += 3)
    data.set(frame.palette.subarray(3 * canvas[i]!, 3 * canvas[i]! + 3), to);
  return {width, height, data};
}

function firstFrame(bytes: Uint8Array): {frame: Frame; screen: Size} {
  const u8 = (at: number) => {
    const byte = bytes[at];
    if (byte === undefined) throw new Error(CUT);
    return byte;
  };
  const u16 = (at: number) => u8(at) + u8(at + 1) * 256;
  const screen = {width: u16(6), height: u16(8)};
  let at = 13;
  let palette = grays();
  if (u8(10) & 0x80) {
    palette = paletteAt(bytes, at, u8(10));
    at += 3 * 2 ** ((u8(10) & 7) + 1);
  }
  let transparent = 0;
  for (;;) {
    const block = u8(at++);
    if (block === 0x3b) throw new Error('it has no image, only headers');
    if (block === 0x21) {
      const isControl = u8(at++) === 0xf9;
      if (isControl && u8(at) >= 4 && u8(at + 1) & 1) transparent = u8(at + 4);
      while (u8(at) !== 0) at += 1 + u8(at);
      at++;
    } else if (block === 0x2c) {
      const flags = u8(at + 8);
      const place = {
        left: u16(at),
        top: u16(at + 2),
        width: u16(at + 4),
        height: u16(at + 6),
        isInterlaced: (flags & 0x40) !== 0,
      };
      at += 9;
      if (flags & 0x80) {
        palette = paletteAt(bytes, at, flags);
        at += 3 * 2 ** ((flags & 7) + 1);
      }
      return {frame: {...place, palette, transparent, dataAt: at}, screen};
    }
  }
}

/** Colours that the file does not have are gray, by their number. */
const grays = (): Uint8Array => Uint8Array.from({length: 256 * 3}, (_, i) => Math.floor(i / 3));

function paletteAt(bytes: Uint8Array, at: number, flags: number): Uint8Array {
  const palette = grays();
  const length = 3 * 2 ** ((flags & 7) + 1);
  if (at + length > bytes.length) throw new Error(CUT);
  palette.set(bytes.subarray(at, at + length));
  return palette;
}

/** Interlaced rows come every eighth, then those between, then those between. */
function rowOrder({height, isInterlaced}: Frame): number[] {
  const passes = isInterlaced
    ? [
        [0, 8],
        [4, 8],
        [2, 4],
        [1, 2],
      ]
    : [[0, 1]];
  return passes.flatMap(([first, step]) => {
    const rows: number[] = [];
    for (let y = first!; y < height; y += step!) rows.push(y);
    return rows;
  });
}

/** The contents of the blocks that follow each other, up to an empty one. */
function joinBlocks(bytes: Uint8Array, from: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = from; at < bytes.length && bytes[at] !== 0; at += 1 + bytes[at]!)
    parts.push(bytes.subarray(at + 1, at + 1 + bytes[at]!));
  return Buffer.concat(parts);
}

/** Codes of growing length, the lowest bits first; each new one is the one before and a pixel more. */
function unpackLzw(bytes: Uint8Array, {width, height, dataAt}: Frame): Uint8Array {
  const least = bytes[dataAt] ?? 0;
  if (least < 1 || least > 8) throw new Error(DAMAGED);
  const [clear, end] = [2 ** least, 2 ** least + 1];
  const input = joinBlocks(bytes, dataAt + 1);
  const out = new Uint8Array(width * height);
  const prefix = new Uint16Array(MAX_CODES);
  const last = new Uint8Array(MAX_CODES);
  const lengths = new Uint32Array(MAX_CODES).fill(1, 0, clear);
  for (let i = 0; i < clear; i++) last[i] = i;
  let [next, size, previous, filled] = [end + 1, least + 1, -1, 0];
  for (let at = 0, held = 0, count = 0; filled < out.length; ) {
    while (count < size) {
      if (at >= input.length) throw new Error(CUT);
      held |= input[at++]! << count;
      count += 8;
    }
    const code = held & (2 ** size - 1);
    held >>>= size;
    count -= size;
    if (code === end) throw new Error(CUT);
    if (code === clear) {
      [next, size, previous] = [end + 1, least + 1, -1];
      continue;
    }
    if (code > next || (code === next && previous < 0) || (code > end && code >= next && previous < 0))
      throw new Error(DAMAGED);
    const known = code < next ? code : previous;
    const first = write(known);
    if (code === next && filled < out.length) out[filled++] = first;
    if (previous >= 0 && next < MAX_CODES) {
      prefix[next] = previous;
      last[next] = first;
      lengths[next] = lengths[previous]! + 1;
      next++;
      if (next === 2 ** size && size < 12) size++;
    }
    previous = code;
  }
  return out;

  /** From its last pixel to the first; what lies behind the end of the image is left away. */
  function write(from: number): number {
    const length = lengths[from]!;
    let code = from;
    for (let i = length - 1; i > 0; i--) {
      if (filled + i < out.length) out[filled + i] = last[code]!;
      code = prefix[code]!;
    }
    if (filled < out.length) out[filled] = last[code]!;
    filled += length;
    return last[code]!;
  }
}
