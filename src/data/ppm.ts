/**
 * PBM, PGM and PPM, as text and binary, which sharp does not read: torchvision accepts them, and sets whose pixels lie bare hand them out this way.
 * Numbers become bytes as in Pillow: v / maximum · 255, rounded, ties to even; gray of more than 255 levels is clipped at 255.
 * Format: netpbm.sourceforge.net/doc/ppm.html, pgm.html, pbm.html.
 */
import type {Image, Size} from './resample.js';

export function encodePpm({width, height, data}: Image): Uint8Array {
  const header = new TextEncoder().encode(`P6\n${width} ${height}\n255\n`);
  const bytes = new Uint8Array(header.length + data.length);
  bytes.set(header);
  bytes.set(data, header.length);
  return bytes;
}

/** Number of the kind → samples a pixel, and whether they are text. */
const kinds: Readonly<Record<string, {readonly samples: number; readonly isText: boolean; readonly isBitmap: boolean}>> = {
  1: {samples: 1, isText: true, isBitmap: true},
  2: {samples: 1, isText: true, isBitmap: false},
  3: {samples: 3, isText: true, isBitmap: false},
  4: {samples: 1, isText: false, isBitmap: true},
  5: {samples: 1, isText: false, isBitmap: false},
  6: {samples: 3, isText: false, isBitmap: false},
};

const isSpace = (byte: number | undefined) => byte === 32 || (byte !== undefined && byte >= 9 && byte <= 13);
const isLineEnd = (byte: number | undefined) => byte === 10 || byte === 13;
const HASH = 0x23;
const MAX_DIGITS = 10;

/** Words between blanks; a comment, from # to the end of its line, is not there at all. */
class Words {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {}

  /** The next byte that is in no comment, or undefined at the end. */
  private next(): number | undefined {
    while (this.bytes[this.at] === HASH) {
      while (this.at < this.bytes.length && !isLineEnd(this.bytes[this.at])) this.at++;
      this.at++;
    }
    return this.bytes[this.at++];
  }

  number(): number {
    let value = 0;
    let digits = 0;
    for (let byte = this.next(); ; byte = this.next()) {
      if (byte === undefined || isSpace(byte)) {
        if (digits > 0) return value;
        if (byte === undefined) throw new Error('it ends before its pixels do: copy or download it again');
        continue;
      }
      if (byte < 0x30 || byte > 0x39 || ++digits > MAX_DIGITS) throw new Error('a number in it is none');
      value = value * 10 + byte - 0x30;
    }
  }

  /** '0' or '1', with blanks between them or none. */
  bit(): number {
    let byte = this.next();
    while (isSpace(byte)) byte = this.next();
    if (byte === undefined) throw new Error('it ends before its pixels do: copy or download it again');
    if (byte !== 0x30 && byte !== 0x31) throw new Error('a number in it is none');
    return byte - 0x30;
  }
}

interface Header extends Size {
  readonly samples: number;
  readonly isText: boolean;
  readonly isBitmap: boolean;
  readonly maximum: number;
  readonly words: Words;
}

function headerOf(bytes: Uint8Array): Header {
  const kind = kinds[String.fromCharCode(bytes[1] ?? 0)];
  if (!kind || !isSpace(bytes[2])) throw new Error('its PPM header is not understood');
  const words = new Words(bytes, 3);
  const [width, height] = [words.number(), words.number()];
  const maximum = kind.isBitmap ? 1 : words.number();
  if (maximum < 1 || maximum > 65535) throw new Error(`a PPM with a maximum of ${maximum} is none`);
  return {...kind, width, height, maximum, words};
}

/** Rounded to the nearest, of two equally near ones to the even one, as Python does. */
function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/** What each sample becomes. */
function scaleOf({samples, maximum}: Header): Uint8Array {
  const isClipped = samples === 1 && maximum > 255; // mode I in Pillow: 0 to 65535, whose conversion to RGB clips
  const most = isClipped ? 65535 : 255;
  return Uint8Array.from({length: 65536}, (_, v) => Math.min(255, roundHalfEven((v / maximum) * most)));
}

/** Throws plain errors. */
export function decodePpm(bytes: Uint8Array, maxPixels = Number.POSITIVE_INFINITY): Image {
  const header = headerOf(bytes);
  const {width, height, samples} = header;
  const pixels = width * height;
  if (pixels > maxPixels) throw new Error(`it has more than ${maxPixels} pixels, as no photograph has`);
  const least = header.isText ? pixels * samples : sizeOf(header); // a digit each, or none between bits
  const left = bytes.length - header.words.at;
  if (pixels === 0 || left < least) throw new Error(`${width}x${height} pixels need ${least} bytes, the file has ${left}`);
  const data = header.isBitmap ? bitmap(bytes, header) : values(bytes, header);
  return {width, height, data: samples === 3 ? data : threeOf(data)};
}

const sizeOf = ({width, height, samples, isBitmap, maximum}: Header): number =>
  isBitmap ? Math.ceil(width / 8) * height : width * height * samples * (maximum > 255 ? 2 : 1);

/** 1 is black. */
function bitmap(bytes: Uint8Array, {width, height, isText, words}: Header): Uint8Array {
  const data = new Uint8Array(width * height);
  if (isText) {
    for (let i = 0; i < data.length; i++) data[i] = words.bit() ? 0 : 255;
    return data;
  }
  const stride = Math.ceil(width / 8);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) {
      const byte = bytes[words.at + y * stride + (x >> 3)]!;
      data[i] = (byte >> (7 - (x & 7))) & 1 ? 0 : 255;
    }
  return data;
}

function values(bytes: Uint8Array, header: Header): Uint8Array {
  const {width, height, samples, isText, maximum, words} = header;
  const count = width * height * samples;
  if (!isText && maximum === 255) return bytes.subarray(words.at, words.at + count);
  const scale = scaleOf(header);
  const data = new Uint8Array(count);
  for (let i = 0, at = words.at; i < count; i++) {
    const wide = maximum > 255;
    const value = isText ? words.number() : wide ? bytes[at]! * 256 + bytes[at + 1]! : bytes[at]!;
    at += wide ? 2 : 1;
    if (isText && value > maximum) throw new Error(`a sample of ${value} is above the maximum of ${maximum}`);
    data[i] = scale[value]!;
  }
  return data;
}

const threeOf = (gray: Uint8Array): Uint8Array => {
  const data = new Uint8Array(gray.length * 3);
  for (let i = 0, to = 0; i < gray.length; i++) {
    data[to++] = gray[i]!;
    data[to++] = gray[i]!;
    data[to++] = gray[i]!;
  }
  return data;
};
