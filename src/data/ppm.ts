/**
 * PPM and PGM (P6, P5), which sharp does not read: torchvision accepts them, and the CIFAR reader hands its pixels out this way.
 * Format: netpbm.sourceforge.net/doc/ppm.html.
 */
import type {Image} from './resample.js';

const HEADER_BYTES = 256; // comments longer than that do not occur

export function encodePpm({width, height, data}: Image): Uint8Array {
  const header = new TextEncoder().encode(`P6\n${width} ${height}\n255\n`);
  const bytes = new Uint8Array(header.length + data.length);
  bytes.set(header);
  bytes.set(data, header.length);
  return bytes;
}

export function decodePpm(bytes: Uint8Array): Image {
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, HEADER_BYTES));
  const gap = '(?:\\s|#[^\\n]*\\n)+';
  const match = new RegExp(`^P([56])${gap}(\\d{1,9})${gap}(\\d{1,9})${gap}(\\d{1,5})\\s`).exec(head);
  if (!match) throw new Error('its PPM header is not understood');
  const [header, type, width, height, maximum] = [match[0], match[1], ...match.slice(2).map(Number)] as [
    string,
    string,
    number,
    number,
    number,
  ];
  if (maximum !== 255) throw new Error(`PPM images with a maximum of ${maximum} are not read, only 255`);
  const channels = type === '6' ? 3 : 1;
  const length = width * height * channels;
  if (length === 0 || bytes.length - header.length < length) {
    throw new Error(`${width}x${height} pixels need ${length} bytes, the file has ${bytes.length - header.length}`);
  }
  const data = bytes.subarray(header.length, header.length + length);
  return {
    width,
    height,
    data: channels === 3 ? data : Uint8Array.from({length: length * 3}, (_, i) => data[Math.floor(i / 3)]!),
  };
}
