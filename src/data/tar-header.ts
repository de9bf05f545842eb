/**
 * Headers of tar archives: ustar, GNU long names, pax records. Nothing is extracted, so no name can lead out of a folder; archives
 * with names that try are refused nevertheless, because nobody makes such a set of images.
 * Format: POSIX.1-2008, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar manual, "Basic Tar Format".
 */

export const TAR_BLOCK_BYTES = 512;

export type EntryType =
  | 'file'
  | 'folder'
  | 'link'
  | 'device'
  | 'sparse'
  | 'gnu-name'
  | 'gnu-link'
  | 'pax'
  | 'pax-global'
  | 'other';
const types: Readonly<Record<string, EntryType>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file', // contiguous
  '1': 'link',
  '2': 'link',
  '3': 'device',
  '4': 'device',
  '5': 'folder',
  '6': 'device', // FIFO
  S: 'sparse',
  L: 'gnu-name',
  K: 'gnu-link',
  x: 'pax',
  g: 'pax-global',
};

export interface TarHeader {
  readonly name: string;
  readonly size: number;
  readonly type: EntryType;
}

const utf8 = new TextDecoder();

function text(block: Uint8Array, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return utf8.decode(end < 0 ? field : field.subarray(0, end));
}

/** Octal digits; or, GNU's way for sizes of 8 GiB and more, a big-endian number after a byte 0x80. */
function number(block: Uint8Array, at: number, length: number): number {
  if (block[at] === 0x80) {
    let value = 0;
    for (let i = at + 1; i < at + length; i++) value = value * 256 + block[i]!;
    return value;
  }
  const digits = text(block, at, length).trim();
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : digits === '' ? 0 : Number.NaN;
}

export const isEmptyBlock = (block: Uint8Array): boolean => block.every((byte) => byte === 0);

/** The sum of all bytes with the checksum's own as spaces. Old tars added signed bytes; both are accepted. */
function checksumMatches(block: Uint8Array): boolean {
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < TAR_BLOCK_BYTES; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : block[i]!;
    unsigned += byte;
    signed += (byte << 24) >> 24;
  }
  const stored = number(block, 148, 8);
  return stored === unsigned || stored === signed;
}

/** undefined: this is no header. */
export function parseTarHeader(block: Uint8Array): TarHeader | undefined {
  if (block.length < TAR_BLOCK_BYTES || !checksumMatches(block)) return undefined;
  const size = number(block, 124, 12);
  if (!Number.isSafeInteger(size)) return undefined;
  const isUstar = text(block, 257, 6) === 'ustar'; // GNU writes 'ustar ' and uses the prefix field for other things
  const prefix = isUstar ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  return {name: prefix ? `${prefix}/${name}` : name, size, type: types[String.fromCharCode(block[156]!)] ?? 'other'};
}

/** `LENGTH KEY=VALUE\n`, repeated; the length counts itself. undefined: not well formed. */
export function parsePax(bytes: Uint8Array): Map<string, string> | undefined {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    if (space < 0) return undefined;
    const digits = utf8.decode(bytes.subarray(at, space));
    const length = /^[0-9]{1,9}$/.test(digits) ? Number(digits) : 0;
    const record = bytes.subarray(space + 1, at + length);
    const equals = record.indexOf(0x3d);
    if (at + length > bytes.length || equals < 0 || record.at(-1) !== 0x0a) return undefined;
    records.set(utf8.decode(record.subarray(0, equals)), utf8.decode(record.subarray(equals + 1, -1)));
    at += length;
  }
  return records;
}

/** No file system has longer paths (PATH_MAX of Linux). */
const MAX_NAME = 4096;
/** Sets of images are a few folders deep; see also the limit for folders. */
const MAX_PARTS = 32;

/** Why a name is refused, or undefined. */
export function whyUnsafeName(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > MAX_NAME) return `has more than ${MAX_NAME} characters`;
  if (name.includes('\0')) return 'contains a NUL character';
  if (name.startsWith('/') || /^[A-Za-z]:[\\/]/.test(name)) return 'is an absolute path';
  const parts = name.split(/[\\/]/);
  if (parts.includes('..')) return "contains '..'";
  if (parts.length > MAX_PARTS) return `is more than ${MAX_PARTS} folders deep`;
  return undefined;
}
