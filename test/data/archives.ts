/** Tar archives made by hand, so that a test can say every byte. */

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
