/** Zip archives as PyTorch's writer makes them: stored entries, data aligned to 64 bytes by an extra field, zip64 where sizes need it. */
import {ByteWriter, type Sink} from './byte-writer.js';
import {crc32} from './crc32.js';

const ALIGNMENT = 64; // caffe2/serialize/inline_container.cc: kFieldAlignment
const PADDING_ID = 0x4246; // 'FB', as PyTorch marks it
const DATE = 0x0021; // 1 January 1980, the first day that zip knows: the same input gives the same bytes

interface Written {
  readonly name: string;
  readonly crc: number;
  readonly size: number;
  readonly offset: number;
}

export interface ZipWriter {
  add(name: string, bytes: Uint8Array): void;
  /** Writes the central directory. */
  finish(): void;
}

/** `zip64From`: sizes, offsets and counts from here on use the wide fields. Smaller only in tests. */
export function createZipWriter(sink: Sink, zip64From = 0xffffffff): ZipWriter {
  const written: Written[] = [];
  let offset = 0;
  const emit = (bytes: Uint8Array) => {
    sink(bytes);
    offset += bytes.length;
  };
  return {
    add(name, bytes) {
      const entry = {name, crc: crc32(bytes), size: bytes.length, offset};
      emit(localHeader(entry, zip64From));
      emit(bytes);
      written.push(entry);
    },
    finish() {
      const start = offset;
      for (const entry of written) emit(centralHeader(entry, zip64From));
      emit(endRecords({start, size: offset - start, count: written.length}, zip64From));
    },
  };
}

/** Version needed, flags, method, time, date, CRC: the same in both headers. */
function common(out: ByteWriter, {crc}: Written, wide: boolean): ByteWriter {
  return out
    .u16(wide ? 45 : 20)
    .u16(0)
    .u16(0)
    .u16(0)
    .u16(DATE)
    .u32(crc);
}

function localHeader(entry: Written, zip64From: number): Uint8Array {
  const {name, size, offset} = entry;
  const wide = size >= zip64From;
  const zip64 = wide ? new ByteWriter().u16(1).u16(16).u64(size).u64(size).take() : new Uint8Array(0);
  const unpadded = offset + 30 + name.length + zip64.length + 4;
  const padding = (ALIGNMENT - (unpadded % ALIGNMENT)) % ALIGNMENT;
  const out = common(new ByteWriter().u32(0x04034b50), entry, wide);
  const narrow = wide ? 0xffffffff : size;
  out
    .u32(narrow)
    .u32(narrow)
    .u16(name.length)
    .u16(zip64.length + 4 + padding)
    .ascii(name)
    .raw(zip64);
  return out.u16(PADDING_ID).u16(padding).ascii('Z'.repeat(padding)).take();
}

function centralHeader(entry: Written, zip64From: number): Uint8Array {
  const {name, size, offset} = entry;
  const wideSize = size >= zip64From;
  const wideOffset = offset >= zip64From;
  const fields = [...(wideSize ? [size, size] : []), ...(wideOffset ? [offset] : [])];
  const zip64 = new ByteWriter();
  if (fields.length > 0) zip64.u16(1).u16(8 * fields.length);
  for (const field of fields) zip64.u64(field);
  const narrow = wideSize ? 0xffffffff : size;
  const out = common(new ByteWriter().u32(0x02014b50).u16(fields.length > 0 ? 45 : 20), entry, fields.length > 0);
  out.u32(narrow).u32(narrow).u16(name.length).u16(zip64.length).u16(0).u16(0).u16(0).u32(0);
  return out
    .u32(wideOffset ? 0xffffffff : offset)
    .ascii(name)
    .raw(zip64.take())
    .take();
}

function endRecords({start, size, count}: {start: number; size: number; count: number}, zip64From: number): Uint8Array {
  const out = new ByteWriter();
  const wide = start >= zip64From || size >= zip64From || count >= 0xffff;
  if (wide) {
    out.u32(0x06064b50).u64(44).u16(45).u16(45).u32(0).u32(0).u64(count).u64(count).u64(size).u64(start);
    out
      .u32(0x07064b50)
      .u32(0)
      .u64(start + size)
      .u32(1);
  }
  const narrow = (value: number, ones: number) => (wide ? ones : value);
  out.u32(0x06054b50).u16(0).u16(0).u16(narrow(count, 0xffff)).u16(narrow(count, 0xffff));
  return out.u32(narrow(size, 0xffffffff)).u32(narrow(start, 0xffffffff)).u16(0).take();
}
