/** Pickles of image batches, opcode by opcode, as Python 2 and Python 3 write them. */
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const u32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(n);
  return bytes;
};

/** How bytes are written: a string of Python 2, a text that is encoded (Python 3, protocol 2), or bytes. */
export type BytesAs = 'BINSTRING' | 'encode' | 'BINBYTES';

const bytesOf = (bytes: Uint8Array, as: BytesAs): Buffer => {
  if (as === 'BINSTRING') return Buffer.concat([latin1('T'), u32(bytes.length), bytes]);
  if (as === 'BINBYTES') return Buffer.concat([latin1('B'), u32(bytes.length), bytes]);
  const text = Buffer.from(latin1(Buffer.from(bytes).toString('latin1')).toString('latin1'), 'utf8');
  return Buffer.concat([latin1('c_codecs\nencode\nX'), u32(text.length), text, latin1('X\x06\0\0\0latin1\x86R')]);
};
const text = (value: string): Buffer => Buffer.concat([latin1('X'), u32(Buffer.byteLength(value)), Buffer.from(value)]);
const int = (n: number): Buffer => Buffer.concat([latin1('J'), u32(n)]);

export interface PixelArray {
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  readonly dtype?: string;
}
export type Pickled = string | readonly number[] | readonly string[] | PixelArray;

function valueBytes(value: Pickled, as: BytesAs): Buffer {
  if (typeof value === 'string') return text(value);
  if (!('shape' in value)) {
    const items = value.map((item: number | string) => (typeof item === 'number' ? int(item) : text(item)));
    return Buffer.concat([latin1(']('), ...items, latin1('e')]);
  }
  const {shape, bytes, dtype = 'u1'} = value;
  const empty = latin1('cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R');
  const ofType = [
    latin1('cnumpy\ndtype\n'),
    text(dtype),
    latin1('K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb'),
  ];
  const state = [
    latin1('(K\x01('),
    ...shape.map(int),
    latin1('t'),
    ...ofType,
    latin1('\x89'),
    bytesOf(bytes, as),
    latin1('tb'),
  ];
  return Buffer.concat([empty, ...state]);
}

/** A dict of texts, lists and arrays. */
export function pickleOf(fields: Readonly<Record<string, Pickled>>, as: BytesAs = 'BINSTRING'): Uint8Array {
  const items = Object.entries(fields).flatMap(([key, value]) => [text(key), valueBytes(value, as)]);
  return Buffer.concat([latin1('\x80\x02}('), ...items, latin1('u.')]);
}
