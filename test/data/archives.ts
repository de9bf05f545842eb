/** Archives made by hand, so that a test can say every byte. */
import {deflateRawSync} from 'node:zlib';
import {crc32} from '../../src/checkpoint/crc32.js';

const BLOCK = 512;
export interface Part {
  name: string;
  content?: Uint8Array | string;
  type?: string;
  /** What the header says, where it is not the truth. */
  size?: number;
  prefix?: string;
  link?: string;
}

const utf8 = new TextEncoder();
const toBytes = (content: Uint8Array | string) => (typeof content === 'string' ? utf8.encode(content) : content);

export function tarPart({name, content = '', type = '0', size, prefix = '', link = ''}: Part): Uint8Array {
  const body = toBytes(content);
  const out = new Uint8Array(BLOCK + Math.ceil(body.length / BLOCK) * BLOCK);
  const put = (at: number, text: string) => out.set(utf8.encode(text), at);
  put(0, name);
  put(100, '0000644\0');
  put(124, `${(size ?? body.length).toString(8).padStart(11, '0')}\0`);
  put(148, '        ');
  put(156, type);
  put(157, link);
  put(257, 'ustar\x0000');
  put(345, prefix);
  out.set(body, BLOCK);
  const sum = out.subarray(0, BLOCK).reduce((a, b) => a + b, 0);
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
  return out;
}

export const tarOf = (...parts: (Part | Uint8Array)[]): Uint8Array =>
  Buffer.concat([...parts.map((part) => (part instanceof Uint8Array ? part : tarPart(part))), new Uint8Array(2 * BLOCK)]);

export const paxRecord = (key: string, value: string): string => {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes;
  while (String(length).length + bytes !== length) length = String(length).length + bytes;
  return `${length}${rest}`;
};

/** A zip archive, its entries deflated or stored. */
export function zipOf(entries: Readonly<Record<string, Uint8Array | string>>, {deflate = true} = {}): Uint8Array {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, content] of Object.entries(entries)) {
    const bytes = toBytes(content);
    const packed = deflate ? deflateRawSync(bytes) : bytes;
    const fields = Buffer.alloc(26); // what both headers have: from the version to the length of the extra field
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(0x0800, 2); // names in UTF-8
    fields.writeUInt16LE(deflate ? 8 : 0, 4);
    for (const [i, n] of [crc32(bytes), packed.length, bytes.length].entries()) fields.writeUInt32LE(n, 10 + 4 * i);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const offset = Buffer.alloc(4);
    offset.writeUInt32LE(at);
    directory.push(Buffer.from('PK\x01\x02\x14\0', 'latin1'), fields, Buffer.alloc(10), offset, Buffer.from(name));
    const own = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), fields, Buffer.from(name), packed]);
    parts.push(own);
    at += own.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  for (const place of [8, 10]) end.writeUInt16LE(Object.keys(entries).length, place);
  end.writeUInt32LE(listed.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, listed, end]);
}
