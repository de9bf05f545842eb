/** Parquet files made by hand, so that a test can lie in any place: Thrift's compact protocol, and pages of plain values or of a dictionary. */
import {brotliCompressSync, gzipSync} from 'node:zlib';

/** A field of a Thrift struct: its type is that of the value. */
export type Thrift = number | boolean | string | Thrift[] | ThriftFields;
export interface ThriftFields {
  readonly [id: number]: Thrift;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}
const zigzag = (n: number) => varint(n < 0 ? -2 * n - 1 : 2 * n);
const typeOf = (value: Thrift): number =>
  typeof value === 'number'
    ? 6
    : typeof value === 'boolean'
      ? value
        ? 1
        : 2
      : typeof value === 'string'
        ? 8
        : Array.isArray(value)
          ? 9
          : 12;

function element(value: Thrift): Buffer {
  if (typeof value === 'number') return zigzag(value);
  if (typeof value === 'boolean') return Buffer.alloc(0);
  if (typeof value === 'string') return Buffer.concat([varint(Buffer.byteLength(value)), Buffer.from(value)]);
  if (!Array.isArray(value)) return thriftOf(value);
  const [size, type] = [value.length, value.length > 0 ? typeOf(value[0]!) : 6];
  const head = size < 15 ? Buffer.of((size << 4) | type) : Buffer.concat([Buffer.of(0xf0 | type), varint(size)]);
  return Buffer.concat([head, ...value.map(element)]);
}

/** Fields in the order of their numbers. */
export function thriftOf(fields: ThriftFields): Buffer {
  let last = 0;
  const parts = Object.entries(fields).map(([id, value]) => {
    const head = Buffer.of(((Number(id) - last) << 4) | typeOf(value));
    last = Number(id);
    return Buffer.concat([head, element(value)]);
  });
  return Buffer.concat([...parts, Buffer.of(0)]);
}

const u32 = (n: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(n);
  return bytes;
};

/** One literal; one raw block. */
const snappy = (bytes: Buffer) =>
  bytes.length === 0
    ? Buffer.of(0)
    : Buffer.concat([varint(bytes.length), Buffer.of(0xf4), u32(bytes.length - 1).subarray(0, 2), bytes]);
const zstd = (bytes: Buffer) =>
  Buffer.concat([Buffer.from('28b52ffda0', 'hex'), u32(bytes.length), u32((bytes.length << 3) | 1).subarray(0, 3), bytes]);
const codecs: Readonly<Record<string, readonly [number, (bytes: Buffer) => Buffer]>> = {
  none: [0, (bytes) => bytes],
  snappy: [1, snappy],
  gzip: [2, gzipSync],
  brotli: [4, brotliCompressSync],
  zstd: [6, zstd],
  lz4: [7, (bytes) => bytes],
};

export type Cell = Uint8Array | string | number | null;
export interface WrittenColumn {
  /** `image.bytes` is in a struct that may be null. */
  readonly name: string;
  readonly values: readonly Cell[];
  /** 1 int32, 2 int64, 6 bytes. */
  readonly type: number;
  readonly isText?: boolean;
}
export interface ParquetLies {
  readonly codec?: string;
  readonly groupSize?: number;
  readonly pageSize?: number;
  readonly dictionary?: boolean;
  readonly version?: 1 | 2;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Rows of a group that its description has, in place of the true ones. */
  readonly rows?: number;
  /** What a page unpacks to, in place of the truth. */
  readonly unpacked?: number;
  readonly encoding?: number;
}

const plain = (value: Cell, type: number): Buffer => {
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(type === 2 ? 8 : 4);
    if (type === 2) bytes.writeBigInt64LE(BigInt(value));
    else bytes.writeInt32LE(value);
    return bytes;
  }
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u32(bytes.length), bytes]);
};

/** How many at a time: at least one, whatever a fuzzer makes of the number. */
const step = (asked: number | undefined, all: number): number => Math.max(1, Math.floor(asked ?? all) || 1);

/** A run of each value. */
const runs = (values: readonly number[], width: number) =>
  Buffer.concat(values.map((value) => Buffer.concat([varint(2), u32(value).subarray(0, Math.ceil(width / 8))])));

function chunkOf({name, values, type}: WrittenColumn, at: number, lies: ParquetLies): {bytes: Buffer; meta: ThriftFields} {
  const [codec, pack] = codecs[lies.codec ?? 'none']!;
  const optional = name.includes('.') ? 2 : 1;
  const distinct = [...new Set(values.filter((value) => value !== null))];
  const page = (own: ThriftFields, body: Buffer, levels = Buffer.alloc(0)): Buffer => {
    const packed = Buffer.concat([levels, pack(body)]);
    const size = lies.unpacked ?? levels.length + body.length;
    return Buffer.concat([thriftOf({1: own[5] ? 0 : own[7] ? 2 : 3, 2: size, 3: packed.length, ...own}), packed]);
  };
  const pages: Buffer[] = [];
  if (lies.dictionary)
    pages.push(page({7: {1: distinct.length, 2: 0}}, Buffer.concat(distinct.map((value) => plain(value, type)))));
  const pageSize = step(lies.pageSize, values.length);
  for (let i = 0; i < values.length; i += pageSize) {
    const own = values.slice(i, i + pageSize);
    const there = own.filter((value) => value !== null);
    const body = lies.dictionary
      ? Buffer.concat([
          Buffer.of(8),
          runs(
            there.map((value) => distinct.indexOf(value)),
            8,
          ),
        ])
      : Buffer.concat(there.map((value) => plain(value, type)));
    const levels = runs(
      own.map((value) => (value === null ? 0 : optional)),
      1,
    );
    const encoding = lies.encoding ?? (lies.dictionary ? 8 : 0);
    if (lies.version === 2)
      pages.push(
        page(
          {8: {1: own.length, 2: own.length - there.length, 3: own.length, 4: encoding, 5: levels.length, 6: 0}},
          body,
          levels,
        ),
      );
    else pages.push(page({5: {1: own.length, 2: encoding, 3: 3, 4: 3}}, Buffer.concat([u32(levels.length), levels, body])));
  }
  const bytes = Buffer.concat(pages);
  const first = lies.dictionary ? pages[0]!.length : 0;
  const places: ThriftFields = lies.dictionary ? {9: at + first, 11: at} : {9: at};
  return {
    bytes,
    meta: {1: type, 2: [0], 3: name.split('.'), 4: codec, 5: values.length, 6: bytes.length, 7: bytes.length, ...places},
  };
}

/** A file of columns of equal length; a column whose name has a dot is alone in a struct. */
export function parquetOf(columns: readonly WrittenColumn[], lies: ParquetLies = {}): Uint8Array {
  const rows = columns[0]!.values.length;
  const size = step(lies.groupSize, rows);
  const parts: Buffer[] = [Buffer.from('PAR1')];
  let at = 4;
  const groups: ThriftFields[] = [];
  for (let i = 0; i < rows; i += size) {
    const chunks = columns.map((column) => {
      const {bytes, meta} = chunkOf({...column, values: column.values.slice(i, i + size)}, at, lies);
      parts.push(bytes);
      at += bytes.length;
      return {2: 0, 3: meta};
    });
    groups.push({1: chunks, 2: 0, 3: lies.rows ?? Math.min(size, rows - i)});
  }
  const leaf = ({type, isText}: WrittenColumn, name: string): ThriftFields => ({1: type, 3: 1, 4: name, ...(isText && {6: 0})});
  const schema = columns.flatMap((column): ThriftFields[] => {
    const [outer, inner] = column.name.split('.') as [string, string?];
    return inner === undefined ? [leaf(column, outer)] : [{3: 1, 4: outer, 5: 1}, leaf(column, inner)];
  });
  const metadata = Object.entries(lies.metadata ?? {}).map(([key, value]) => ({1: key, 2: value}));
  const footer = thriftOf({1: 1, 2: [{4: 'schema', 5: columns.length}, ...schema], 3: rows, 4: groups, 5: metadata});
  return Buffer.concat([...parts, footer, u32(footer.length), Buffer.from('PAR1')]);
}
