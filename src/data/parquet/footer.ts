/**
 * What a parquet file has: its columns, its groups of rows, and where each column of a group lies. Only columns without lists are listed.
 * Format: github.com/apache/parquet-format, README.md and src/main/thrift/parquet.thrift; the numbers of fields are from there.
 */
import {GpdError} from '../../core/error.js';
import {MemoryBudget} from '../../core/memory-budget.js';
import {type FileSpan, indexed} from '../data-file.js';
import {numberAt, readThrift, structAt, structsAt, type ThriftStruct, textAt} from './thrift.js';

export type ColumnType = 'int32' | 'int64' | 'bytes' | 'other';

export interface Column {
  /** `image.bytes` of a struct. */
  readonly name: string;
  readonly type: ColumnType;
  /** A text in UTF-8. */
  readonly isText: boolean;
  /** Which of a group's columns it is. */
  readonly index: number;
  /** How many of its parts may be null: it itself, and the structs around it. */
  readonly optional: number;
}

/** A column of a group. */
export interface Chunk {
  readonly offset: number;
  readonly size: number;
  readonly codec: number;
}
export interface RowGroup {
  readonly rows: number;
  readonly chunks: readonly Chunk[];
}

export interface ParquetFile {
  readonly span: FileSpan;
  readonly columns: readonly Column[];
  readonly groups: readonly RowGroup[];
  readonly rows: number;
  /** Texts that the writer left, by their keys. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly budget: MemoryBudget;
}

const MAGIC = 'PAR1';
/** What a row costs here: a sample, its label, its place. */
const ROW_BYTES = 200;

export const parquetProblem = (name: string, problem: string): GpdError => {
  const isOther = problem.includes(NOT_READ);
  return new GpdError('DATASET_INVALID', `${name}: ${problem}`, {
    at: name,
    hint: isOther
      ? 'write it again as pyarrow does by default (version 1 pages, Snappy), or write its images into class folders'
      : 'the file is damaged or incomplete: download or make it again',
  });
};
/** How problems end that are of this reader and not of the file. */
export const NOT_READ = 'which is not read here';

/** Throws DATASET_INVALID for what is no parquet file, LIMIT_EXCEEDED for one that describes more than its size explains. */
export function readFooter(span: FileSpan): ParquetFile {
  const {name, size} = span;
  const tail = indexed(span, (source) => source.read(Math.max(0, size - 8), Math.min(8, size)));
  const magic = String.fromCharCode(...tail.subarray(4));
  if (magic === 'PARE') throw parquetProblem(name, 'is encrypted');
  if (size < 12 || magic !== MAGIC) throw parquetProblem(name, 'is not a complete parquet file');
  const length = new DataView(tail.buffer, tail.byteOffset, 8).getUint32(0, true);
  if (length > size - 12) throw parquetProblem(name, 'is shorter than its description');
  const budget = new MemoryBudget(name, size);
  const bytes = indexed(span, (source) => source.read(size - 8 - length, length));
  try {
    return fileOf(span, readThrift(bytes, 0, budget).value, budget);
  } catch (error) {
    throw error instanceof GpdError ? error : parquetProblem(name, (error as Error).message);
  }
}

function fileOf(span: FileSpan, footer: ThriftStruct, budget: MemoryBudget): ParquetFile {
  const columns = columnsOf(structsAt(footer, 2));
  const groups = structsAt(footer, 4).map((group): RowGroup => {
    const rows = numberAt(group, 3, -1);
    if (rows < 0) throw new Error('a group of rows has no number of rows');
    budget.spend(rows * ROW_BYTES);
    return {rows, chunks: structsAt(group, 1).map((chunk) => chunkOf(chunk, span.size))};
  });
  const metadata = new Map(structsAt(footer, 5).map((pair) => [textAt(pair, 1), textAt(pair, 2)] as const));
  return {span, columns, groups, rows: groups.reduce((sum, {rows}) => sum + rows, 0), metadata, budget};
}

function chunkOf(chunk: ThriftStruct, fileSize: number): Chunk {
  const own = structAt(chunk, 3);
  if (!own || textAt(chunk, 1) !== '') return {offset: 0, size: 0, codec: -1}; // in another file
  const dictionary = numberAt(own, 11, 0);
  const data = numberAt(own, 9, 0);
  const offset = dictionary > 0 ? Math.min(dictionary, data) : data;
  const size = numberAt(own, 7, -1);
  if (offset < 0 || size < 0 || offset + size > fileSize) throw new Error('a column lies outside the file');
  return {offset, size, codec: numberAt(own, 4, -1)};
}

const types: readonly ColumnType[] = ['other', 'int32', 'int64', 'other', 'other', 'other', 'bytes', 'other'];
const REPETITION = {required: 0, optional: 1, repeated: 2} as const;

/** The schema is a tree in one list: an element says how many of the following are its children. */
function columnsOf(schema: readonly ThriftStruct[]): Column[] {
  const columns: Column[] = [];
  let at = 1; // after the root
  let leaves = 0;
  const visit = (path: readonly string[], optional: number, isList: boolean) => {
    const element = schema[at++];
    if (!element || path.length > 32) throw new Error('its schema is not complete');
    const repetition = numberAt(element, 3, 0);
    const name = [...path, textAt(element, 4)];
    const inside = optional + (repetition === REPETITION.required ? 0 : 1);
    const list = isList || repetition === REPETITION.repeated;
    const children = numberAt(element, 5, 0);
    for (let i = 0; i < children; i++) visit(name, inside, list);
    if (children > 0) return;
    const index = leaves++;
    const isText = numberAt(element, 6, -1) === 0 || structAt(element, 10)?.has(1) === true;
    if (!list)
      columns.push({name: name.join('.'), type: types[numberAt(element, 1, 0)] ?? 'other', isText, index, optional: inside});
  };
  while (at < schema.length) visit([], 0, false);
  return columns;
}

/** Names of the encodings that a page may have, for messages. */
export const encodingNames = [
  'PLAIN',
  '1',
  'PLAIN_DICTIONARY',
  'RLE',
  'BIT_PACKED',
  'DELTA_BINARY_PACKED',
  'DELTA_LENGTH_BYTE_ARRAY',
  'DELTA_BYTE_ARRAY',
  'RLE_DICTIONARY',
  'BYTE_STREAM_SPLIT',
];
