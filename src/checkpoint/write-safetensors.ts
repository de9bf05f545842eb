/** safetensors files: the header in the order of the state dict, the numbers widest dtype first so that each is aligned. Streamed. */
import {byteLength, bytesOf, type DType, dtypes, type StateDict} from '../core/tensor.js';
import {ByteWriter, type Sink} from './byte-writer.js';
import {safetensorsDtypes} from './safetensors.js';

const names = new Map<DType, string>(Object.entries(safetensorsDtypes).map(([name, dtype]) => [dtype, name]));
const ALIGNMENT = 8; // the header is padded with blanks, as by the reference writer

/** Writes tensors in the safetensors format, piece by piece. */
export function writeSafetensors(stateDict: StateDict, sink: Sink, metadata: Readonly<Record<string, string>> = {}): void {
  const byWidth = [...stateDict].sort(([, a], [, b]) => dtypes[b.dtype].bytes - dtypes[a.dtype].bytes); // stable
  const offsets = new Map<string, [begin: number, end: number]>();
  let at = 0;
  for (const [key, tensor] of byWidth) {
    offsets.set(key, [at, at + byteLength(tensor)]);
    at += byteLength(tensor);
  }
  sink(header(stateDict, offsets, metadata));
  for (const [, tensor] of byWidth) sink(bytesOf(tensor.read()));
}

function header(
  stateDict: StateDict,
  offsets: ReadonlyMap<string, [number, number]>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [['__metadata__', metadata]] : [];
  for (const [key, {dtype, shape}] of stateDict) {
    if (key === '__metadata__') throw new Error(`a tensor may not be called '${key}'`);
    entries.push([key, {dtype: names.get(dtype), shape, data_offsets: offsets.get(key)}]);
  }
  // by hand, not from an object: integer-like keys would come first and `__proto__` would vanish
  const json = `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
  const text = new TextEncoder().encode(json);
  const padding = (ALIGNMENT - (text.length % ALIGNMENT)) % ALIGNMENT;
  return new ByteWriter()
    .u64(text.length + padding)
    .raw(text)
    .ascii(' '.repeat(padding))
    .take();
}
