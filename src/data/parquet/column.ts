/** A column of a group of rows, page by page: what is in memory is one page, and the dictionary where there is one. */
import {GpdError} from '../../core/error.js';
import {MemoryBudget} from '../../core/memory-budget.js';
import {unpackPage} from './codecs.js';
import {type Chunk, type Column, encodingNames, type ParquetFile, parquetProblem} from './footer.js';
import {numberAt, readThrift, structAt, ThriftEnd, type ThriftStruct} from './thrift.js';
import {type CellValue, readHybrid, readPlain, spreadOut} from './values.js';

/** A header is small, unless the writer put statistics of long values into it. */
const HEADER_BYTES = [4096, 1 << 20];
/** What a page may unpack to beyond its own size. Images hardly shrink. */
const PAGE_ALLOWANCE = 16 << 20;

const PAGE = {data: 0, index: 1, dictionary: 2, data2: 3} as const;
const ENCODING = {plain: 0, plainDictionary: 2, rleDictionary: 8} as const;

interface Page {
  readonly header: ThriftStruct;
  readonly packed: Uint8Array;
  readonly size: number;
  readonly end: number;
}

/** The values of each page in turn, `rows` in all. Throws DATASET_INVALID. */
export async function* columnPages(file: ParquetFile, column: Column, group: number): AsyncGenerator<CellValue[]> {
  const {rows, chunks} = file.groups[group]!;
  const chunk = chunks[column.index];
  if (!chunk || chunk.codec < 0) throw parquetProblem(file.span.name, `the column '${column.name}' lies in another file`);
  let dictionary: CellValue[] | undefined;
  let done = 0;
  for (let at = chunk.offset; done < rows && at < chunk.offset + chunk.size; ) {
    const page = await readPage(file, chunk, at);
    at = page.end;
    const values = readOne(file, () => valuesOf(page, {column, chunk, dictionary, most: rows - done}));
    if (values === 'skipped') continue;
    if (isDictionary(page)) dictionary = values;
    else {
      done += values.length;
      yield values;
    }
  }
  if (done < rows) throw parquetProblem(file.span.name, `the column '${column.name}' has ${done} values for ${rows} rows`);
}

const isDictionary = ({header}: Page) => numberAt(header, 1, -1) === PAGE.dictionary;

function readOne<T>({span}: ParquetFile, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof GpdError ? error : parquetProblem(span.name, (error as Error).message);
  }
}

async function readPage(file: ParquetFile, chunk: Chunk, at: number): Promise<Page> {
  const {span} = file;
  const left = chunk.offset + chunk.size - at;
  const {value: header, end} = await readHeader(file, at, left);
  const [size, packedSize] = [numberAt(header, 2, -1), numberAt(header, 3, -1)];
  if (size < 0 || packedSize < 0 || end + packedSize > left)
    throw parquetProblem(span.name, 'a page is longer than its column');
  if (size > packedSize + PAGE_ALLOWANCE) {
    throw new GpdError('LIMIT_EXCEEDED', `${span.name}: a page of ${packedSize} bytes unpacks to ${size}`, {
      at: span.name,
      hint: 'no set of images does that; if it is one, write the images into class folders',
    });
  }
  const packed = await span.file.read(span.offset + at + end, packedSize);
  return {header, packed, size, end: at + end + packedSize};
}

async function readHeader(file: ParquetFile, at: number, left: number): Promise<{value: ThriftStruct; end: number}> {
  const {span} = file;
  for (const most of HEADER_BYTES) {
    const bytes = await span.file.read(span.offset + at, Math.min(most, left));
    try {
      return readThrift(bytes, 0, new MemoryBudget(span.name, bytes.length));
    } catch (error) {
      if (error instanceof GpdError) throw error;
      const isCut = error instanceof ThriftEnd && bytes.length === most;
      if (!isCut || most === HEADER_BYTES.at(-1)) throw parquetProblem(span.name, (error as Error).message);
    }
  }
  throw new Error('unreachable');
}

interface PageContext {
  readonly column: Column;
  readonly chunk: Chunk;
  readonly dictionary: readonly CellValue[] | undefined;
  /** Rows that are left in the group. */
  readonly most: number;
}

function valuesOf(page: Page, context: PageContext): CellValue[] | 'skipped' {
  const {header, packed, size} = page;
  const {column, chunk, most} = context;
  const type = numberAt(header, 1, -1);
  if (type === PAGE.data) return dataPage(unpackPage(packed, size, chunk.codec), header, context);
  if (type === PAGE.data2) return dataPage2(page, context);
  if (type !== PAGE.dictionary) return 'skipped';
  const count = numberAt(structAt(header, 7) ?? new Map(), 1, -1);
  const bytes = unpackPage(packed, size, chunk.codec);
  if (count < 0 || count > Math.max(most, bytes.length)) throw new Error('a dictionary has no number of values');
  return readPlain(bytes, column, count);
}

/** Version 1: levels with their length in front, all of it compressed. */
function dataPage(bytes: Uint8Array, header: ThriftStruct, context: PageContext): CellValue[] {
  const own = structAt(header, 5) ?? new Map();
  const count = countOf(own, context);
  const {optional} = context.column;
  if (optional === 0) return decoded(bytes, numberAt(own, 2, -1), count, context);
  if (bytes.length < 4) throw new Error('a page ends too early');
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  if (length > bytes.length - 4) throw new Error('a page ends too early');
  const levels = readHybrid(bytes.subarray(4, 4 + length), widthOf(optional), count);
  return withNulls(bytes.subarray(4 + length), numberAt(own, 2, -1), levels, context);
}

/** Version 2: levels are not compressed, and their length is in the header. */
function dataPage2({header, packed, size}: Page, context: PageContext): CellValue[] {
  const own = structAt(header, 8) ?? new Map();
  const count = countOf(own, context);
  const {optional} = context.column;
  const [levelBytes, repeatBytes] = [numberAt(own, 5, -1), numberAt(own, 6, -1)];
  if (repeatBytes !== 0 || levelBytes < 0 || levelBytes > Math.min(packed.length, size))
    throw new Error('a page has other levels than it says');
  const codec = own.get(7) === false ? 0 : context.chunk.codec;
  const rest = packed.subarray(levelBytes);
  const bytes = size === levelBytes ? new Uint8Array(0) : unpackPage(rest, size - levelBytes, codec);
  const encoding = numberAt(own, 4, -1);
  if (optional === 0) return decoded(bytes, encoding, count, context);
  return withNulls(bytes, encoding, readHybrid(packed.subarray(0, levelBytes), widthOf(optional), count), context);
}

const widthOf = (optional: number): number => 32 - Math.clz32(optional);

function countOf(header: ThriftStruct, {most, column}: PageContext): number {
  const count = numberAt(header, 1, -1);
  if (count < 0 || count > most) throw new Error(`a page of '${column.name}' has ${count} values where ${most} rows are left`);
  return count;
}

function withNulls(bytes: Uint8Array, encoding: number, levels: Uint32Array, context: PageContext): CellValue[] {
  const {optional} = context.column;
  const present = levels.reduce((sum, level) => sum + Number(level === optional), 0);
  const found = present === 0 ? [] : decoded(bytes, encoding, present, context);
  return spreadOut(found, levels, optional);
}

function decoded(bytes: Uint8Array, encoding: number, count: number, {column, dictionary}: PageContext): CellValue[] {
  if (encoding === ENCODING.plain) return readPlain(bytes, column, count);
  if (encoding !== ENCODING.plainDictionary && encoding !== ENCODING.rleDictionary) {
    throw new Error(`the column '${column.name}' is written as ${encodingNames[encoding] ?? encoding}, which is not read here`);
  }
  if (!dictionary) throw new Error(`the column '${column.name}' has no dictionary`);
  const places = readHybrid(bytes.subarray(1), bytes[0] ?? 0, count);
  return Array.from(places, (place) => {
    if (place >= dictionary.length) throw new Error(`a value of '${column.name}' is not in its dictionary`);
    return dictionary[place];
  });
}
