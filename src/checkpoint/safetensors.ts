/**
 * safetensors: an 8-byte length, a JSON header, the numbers. Rules as in the reference reader (huggingface/safetensors,
 * safetensors/src/tensor.rs): no duplicate keys, no holes, no overlaps, every byte accounted for.
 */

import {ByteReader, type ByteSource} from '../core/bytes.js';
import {type ErrorCode, GpdError} from '../core/error.js';
import {costs, type MemoryBudget} from '../core/memory-budget.js';
import {isRecord} from '../core/schema.js';
import {type DType, dtypes, formatShape, type Shape, stridesOf, type TensorSource} from '../core/tensor.js';
import {scanJson} from './json-scan.js';
import {MAX_TORCH_RANK} from './lazy-tensor.js';
import {readStrided} from './strided.js';
import {decodeUtf8} from './utf8.js';

export const safetensorsDtypes: Readonly<Record<string, DType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
};

/** The reference reader allows 100 MB. 40,000 tensors fit in this, and a header costs up to ten times its size in memory. */
export const MAX_HEADER = 4 << 20;
/** header → tensor → shape */
const MAX_DEPTH = 3;
/** Its name and three of its description: paid while the text is scanned. */
const KEYS_OF_A_TENSOR = 4;
const METADATA = '__metadata__';

export interface SafetensorsFile {
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
  readonly metadata: ReadonlyMap<string, string>;
}

interface Entry {
  readonly key: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

type Fail = (problem: string, details?: {code?: ErrorCode; at?: number}) => GpdError;

export function readSafetensors(source: ByteSource, budget: MemoryBudget): SafetensorsFile {
  const fail: Fail = (problem, {code = 'CHECKPOINT_CORRUPT', at = 0} = {}) =>
    new GpdError(code, `${source.name}: ${problem}`, {
      at: `${source.name}@${at}`,
      hint: 'the file is damaged or was written by a faulty tool: get it again, or save it again with safetensors',
    });
  const {header, dataOffset} = readHeader(source, budget, fail);
  const entries: Entry[] = [];
  const metadata = new Map<string, string>();
  for (const [key, value] of Object.entries(header)) {
    if (key === METADATA) for (const [k, v] of readMetadata(value, budget, fail)) metadata.set(k, v);
    else {
      budget.spend(costs.tensor - KEYS_OF_A_TENSOR * costs.key);
      entries.push(readEntry(key, value, fail));
    }
  }
  checkCoverage(entries, source.size - dataOffset, fail);
  return {tensors: new Map(entries.map((entry) => [entry.key, sourceOfEntry(source, entry, dataOffset)])), metadata};
}

function readHeader(source: ByteSource, budget: MemoryBudget, fail: Fail): {header: object; dataOffset: number} {
  const length = new ByteReader(source.read(0, 8), source.name).u64();
  if (length > BigInt(MAX_HEADER))
    throw fail(`a header of ${length} bytes; up to ${MAX_HEADER} are read`, {code: 'LIMIT_EXCEEDED'});
  const text = decodeUtf8(source.read(8, Number(length)));
  if (text === undefined) throw fail('the header is not valid UTF-8', {at: 8});
  if (!text.startsWith('{')) throw fail("the header does not begin with '{'", {at: 8});
  const problem = scanJson(text, {maxDepth: MAX_DEPTH, onKey: () => budget.spend(costs.key)});
  if (problem) throw fail(`the header ${problem.problem}`, {at: 8 + problem.at});
  try {
    return {header: JSON.parse(text) as object, dataOffset: 8 + Number(length)};
  } catch (error) {
    throw fail(`the header is not JSON (${(error as Error).message.slice(0, 80)})`, {at: 8});
  }
}

function readMetadata(value: unknown, budget: MemoryBudget, fail: Fail): [string, string][] {
  if (!isRecord(value)) throw fail(`${METADATA} is not an object`);
  for (const [key, text] of Object.entries(value)) {
    budget.spend(costs.key + costs.reported); // beyond the scan: they are kept, and shown
    if (typeof text !== 'string') throw fail(`${METADATA} '${key}' is not a string`);
  }
  return Object.entries(value) as [string, string][];
}

const isNatural = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function readEntry(key: string, value: unknown, fail: Fail): Entry {
  const bad = (problem: string, code: ErrorCode = 'CHECKPOINT_CORRUPT') => fail(`tensor '${key}' ${problem}`, {code});
  if (!isRecord(value)) throw bad('is not described by an object');
  const {dtype: name, shape, data_offsets: offsets} = value;
  if (typeof name !== 'string') throw bad('has no dtype');
  const dtype = Object.hasOwn(safetensorsDtypes, name) ? safetensorsDtypes[name] : undefined;
  if (!dtype) throw bad(`has dtype ${name}, which is not read here`, 'DTYPE_UNSUPPORTED');
  if (!Array.isArray(shape) || !shape.every(isNatural)) throw bad('has a shape that is not a list of natural numbers');
  if (shape.length > MAX_TORCH_RANK)
    throw bad(`has ${shape.length} dimensions; up to ${MAX_TORCH_RANK} are read`, 'LIMIT_EXCEEDED');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isNatural)) throw bad('has no pair of data offsets');
  const [begin, end] = offsets as [number, number];
  const length = dtypes[dtype].bytes * countOf(shape);
  if (!Number.isSafeInteger(length) || end - begin !== length) {
    throw bad(`of shape ${formatShape(shape)} and dtype ${name} has ${end - begin} bytes, not ${length}`);
  }
  return {key, dtype, shape, begin, end};
}

/** Infinite where a product on the way overflows: a 0 behind it does not undo that for readers that multiply integers. */
const countOf = (shape: Shape): number =>
  shape.reduce((n, d) => (Number.isSafeInteger(n * d) ? n * d : Number.POSITIVE_INFINITY), 1);

/** In the order of their offsets the tensors must follow each other without hole or overlap, to the last byte of the file. */
function checkCoverage(entries: readonly Entry[], dataLength: number, fail: Fail): void {
  let at = 0;
  for (const {key, begin, end} of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at) throw fail(`tensor '${key}' begins at ${begin}, the one before it ends at ${at}`);
    if (end > dataLength) throw fail(`tensor '${key}' ends at byte ${end} of ${dataLength}`, {code: 'CHECKPOINT_TRUNCATED'});
    at = end;
  }
  if (at !== dataLength) throw fail(`${dataLength - at} bytes follow the last tensor`);
}

function sourceOfEntry(source: ByteSource, {dtype, shape, begin}: Entry, dataOffset: number): TensorSource {
  const layout = {dtype, shape, stride: stridesOf(shape), byteOffset: dataOffset + begin};
  return {dtype, shape, read: (leading) => readStrided(source, layout, leading)};
}
