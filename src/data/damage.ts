/**
 * Why an image cannot be decoded, read from its bytes. libvips keeps its messages for the whole process: with several images under way
 * one takes or clears what another left, so that the same file fails for another reason in each run, or for none ("Unknown error").
 */
import {crc32} from '../checkpoint/crc32.js';
import {type ImageKind, jpegFrame, MAX_PIXELS} from './image-kind.js';

const ENDS = 'the file ends before its image does: copy or download it again';
const u16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!;
const u32 = (bytes: Uint8Array, at: number) => u16(bytes, at) * 65536 + u16(bytes, at + 2);
const text = (bytes: Uint8Array, at: number, length: number) => String.fromCharCode(...bytes.subarray(at, at + length));

const EOI = 0xd9;
const SOS = 0xda;
/** Start-of-frame markers: all of 0xc0 to 0xcf but DHT, JPG and DAC. */
const isFrame = (marker: number) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
const standsAlone = (marker: number) => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
/** Baseline, extended and progressive, with Huffman codes: what photographs are. */
const USUAL_FRAMES = [0xc0, 0xc1, 0xc2];

/** After a start of scan: where the next marker is that is neither a stuffed byte nor a restart. */
function endOfScan(bytes: Uint8Array, from: number): number {
  for (let at = from; at + 1 < bytes.length; at++) {
    const next = bytes[at + 1]!;
    if (bytes[at] === 0xff && next !== 0 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) return at;
  }
  return bytes.length;
}

/** ITU T.81, annex B: markers, and segments with their length behind them. */
function damageOfJpeg(bytes: Uint8Array): string | undefined {
  let hasFrame = false;
  for (let at = 2; at + 1 < bytes.length; ) {
    const marker = bytes[at + 1]!;
    if (bytes[at] !== 0xff)
      at++; // stray bytes, which decoders skip
    else if (marker === 0xff) at++;
    else if (marker === EOI) return hasFrame ? undefined : 'it has no image, only headers';
    else if (standsAlone(marker)) at += 2;
    else {
      if (at + 4 > bytes.length || at + 2 + u16(bytes, at + 2) > bytes.length) return ENDS;
      if (isFrame(marker)) {
        hasFrame = true;
        const unusual = whatIsUnusual(marker, bytes.subarray(at + 4));
        if (unusual) return unusual;
      }
      at += 2 + u16(bytes, at + 2);
      if (marker === SOS) at = endOfScan(bytes, at);
    }
  }
  return ENDS;
}

function whatIsUnusual(marker: number, frame: Uint8Array): string | undefined {
  const [precision = 0, , , , , components = 0] = frame;
  if (precision !== 8) return `a JPEG of ${precision} bits is not read, only 8`;
  if (!USUAL_FRAMES.includes(marker)) return `a JPEG of the rare kind SOF${marker - 0xc0} is not read`;
  return [1, 3, 4].includes(components) ? undefined : `a JPEG of ${components} components is not read`;
}

/** Chunks: length, type, data, CRC-32 of type and data. */
function damageOfPng(bytes: Uint8Array): string | undefined {
  for (let at = 8; at < bytes.length; ) {
    if (at + 12 > bytes.length) return ENDS;
    const end = at + 8 + u32(bytes, at);
    if (end + 4 > bytes.length) return ENDS;
    const type = text(bytes, at + 4, 4);
    if (crc32(bytes.subarray(at + 4, end)) !== u32(bytes, end)) return `its part ${type} is damaged: the checksum does not fit`;
    if (type === 'IEND') return undefined;
    at = end + 4;
  }
  return ENDS;
}

/** RIFF: the length of what follows its first 8 bytes, little-endian. */
function damageOfWebp(bytes: Uint8Array): string | undefined {
  const length =
    bytes.length < 8 ? Number.POSITIVE_INFINITY : new DataView(bytes.buffer, bytes.byteOffset, 8).getUint32(4, true);
  return length + 8 > bytes.length ? ENDS : undefined;
}

const looks: Partial<Record<ImageKind, (bytes: Uint8Array) => string | undefined>> = {
  jpeg: damageOfJpeg,
  png: damageOfPng,
  webp: damageOfWebp,
};

/** As the header has it; 0 where the kind is rarely so large. */
function pixelsOf(bytes: Uint8Array, kind: ImageKind): number {
  if (kind === 'png' && bytes.length >= 24) return u32(bytes, 16) * u32(bytes, 20);
  const frame = kind === 'jpeg' ? jpegFrame(bytes) : undefined;
  return frame ? frame.width * frame.height : 0;
}

/** The reason for people; `error` is what the decoder said. */
export function whyUndecodable(bytes: Uint8Array, kind: ImageKind, error: unknown): string {
  const tooLarge = pixelsOf(bytes, kind) > MAX_PIXELS || /pixel limit/.test((error as Error).message);
  if (tooLarge) return `it has more than ${MAX_PIXELS} pixels, as no photograph has`;
  const look = looks[kind];
  return look ? (look(bytes) ?? 'its data are damaged') : `it is damaged, or a ${kind.toUpperCase()} of a rare kind`;
}
