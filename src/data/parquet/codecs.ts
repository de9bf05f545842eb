/** Pages of a parquet file, unpacked to exactly the size that their header says: never more is made. */
import {brotliDecompressSync, gunzipSync} from 'node:zlib';
import {decompress as unzstd} from 'fzstd';

type Unpack = (packed: Uint8Array, size: number) => Uint8Array;

/** THE table: the numbers of parquet.thrift's CompressionCodec. */
const codecs: Readonly<Record<number, {readonly name: string; readonly unpack?: Unpack}>> = {
  0: {name: 'none', unpack: (packed) => packed},
  1: {name: 'Snappy', unpack: unsnappy},
  2: {name: 'gzip', unpack: (packed, size) => gunzipSync(packed, {maxOutputLength: Math.max(1, size)})},
  3: {name: 'LZO'},
  4: {name: 'Brotli', unpack: (packed, size) => brotliDecompressSync(packed, {maxOutputLength: Math.max(1, size)})},
  5: {name: 'LZ4'},
  6: {name: 'Zstandard', unpack: (packed, size) => unzstd(packed, new Uint8Array(size))},
  7: {name: 'LZ4_RAW'},
};

/** Throws plain errors. */
export function unpackPage(packed: Uint8Array, size: number, codec: number): Uint8Array {
  const {name, unpack} = codecs[codec] ?? {name: `number ${codec}`};
  if (!unpack) throw new Error(`its pages are compressed with ${name}, which is not read here`);
  let bytes: Uint8Array;
  try {
    bytes = unpack(packed, size);
  } catch (error) {
    throw new Error(`a page is damaged (${name})`, {cause: error});
  }
  if (bytes.length !== size) throw new Error(`a page unpacks to ${bytes.length} bytes and not to ${size}`);
  return bytes;
}

/** Format: github.com/google/snappy, format_description.txt. */
function unsnappy(packed: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size);
  let at = 0;
  while (packed[at++]! >= 0x80); // the length once more
  let filled = 0;
  const number = (bytes: number) => {
    let value = 0;
    for (let i = 0; i < bytes; i++) value += packed[at++]! * 256 ** i;
    return value;
  };
  while (at < packed.length) {
    const tag = packed[at++]!;
    const kind = tag & 3;
    if (kind === 0) {
      const short = tag >> 2;
      const length = (short < 60 ? short : number(short - 59)) + 1;
      if (!(at + length <= packed.length && filled + length <= size)) throw new Error('a literal that is too long');
      out.set(packed.subarray(at, at + length), filled);
      at += length;
      filled += length;
      continue;
    }
    const length = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const offset = kind === 1 ? (tag >> 5) * 256 + number(1) : number(kind === 2 ? 2 : 4);
    if (!(offset > 0 && offset <= filled && filled + length <= size)) throw new Error('a copy from outside');
    for (let i = 0; i < length; i++, filled++) out[filled] = out[filled - offset]!;
  }
  return out.subarray(0, filled);
}
