/** A tiny assembler for pickles: opcodes by name, arguments spelled out, no checks. For writing what no honest tool would write. */

import type {Checkpoint} from '../../src/checkpoint/checkpoint.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {readPickle} from '../../src/checkpoint/pickle.js';
import type {PlainData} from '../../src/checkpoint/plain-data.js';
import {storageRegistry} from '../../src/checkpoint/torch-storage.js';
import {createZipWriter} from '../../src/checkpoint/write-zip.js';
import {ByteReader, bufferSource} from '../../src/core/bytes.js';
import {GpdError} from '../../src/core/error.js';

export const bytes = (...parts: (number | string | ArrayLike<number>)[]): Uint8Array =>
  Buffer.concat(
    parts.map((part) =>
      typeof part === 'number'
        ? Buffer.from([part])
        : typeof part === 'string'
          ? Buffer.from(part, 'latin1')
          : Uint8Array.from(part),
    ),
  );

export const u32 = (n: number): number[] => [n & 255, (n >>> 8) & 255, (n >>> 16) & 255, n >>> 24];
export const u64 = (n: bigint): number[] => Array.from({length: 8}, (_, i) => Number((n >> BigInt(8 * i)) & 255n));
export const str = (text: string): Uint8Array => bytes('X', u32(Buffer.byteLength(text)), Buffer.from(text));
export const global = (module: string, name: string): Uint8Array => bytes('c', module, '\n', name, '\n');
export const int = (n: number): Uint8Array => bytes('J', u32(n));
/** LONG1 of eight bytes. */
export const long = (n: bigint): Uint8Array => bytes(0x8a, 8, u64(n));
export const tuple = (...items: Uint8Array[]): Uint8Array => bytes('(', ...items, 't');
export const dict = (...items: Uint8Array[]): Uint8Array => bytes('}(', ...items, 'u');
export const pickle = (...parts: (number | string | ArrayLike<number>)[]): Uint8Array => bytes(0x80, 2, ...parts, '.');

export const storage = (key: string, count: Uint8Array, storageClass = 'FloatStorage'): Uint8Array =>
  bytes(tuple(str('storage'), global('torch', storageClass), str(key), str('cpu'), count), 'Q');
export interface View {
  offset?: Uint8Array;
  size: Uint8Array[];
  stride: Uint8Array[];
}
export const tensor = (over: Uint8Array, {offset = int(0), size, stride}: View): Uint8Array =>
  bytes(
    global('torch._utils', '_rebuild_tensor_v2'),
    tuple(over, offset, tuple(...size), tuple(...stride), bytes(0x89), bytes(global('collections', 'OrderedDict'), ')R')),
    'R',
  );

export const collect = (write: (sink: (bytes: Uint8Array) => void) => void): Uint8Array => {
  const parts: Uint8Array[] = [];
  write((part) => parts.push(part.slice()));
  return new Uint8Array(Buffer.concat(parts)); // a Buffer's slice would share its memory
};

/** A torch archive from its records. */
export const archive = (records: Record<string, Uint8Array>, folder = 'archive'): Uint8Array =>
  collect((sink) => {
    const zip = createZipWriter(sink);
    for (const [name, data] of Object.entries(records)) zip.add(`${folder}/${name}`, data);
    zip.finish();
  });

export const read = (data: Uint8Array): PlainData => readPickle(new ByteReader(data, 'test.pkl'), storageRegistry().load).root;
export const open = (data: Uint8Array): Checkpoint => openCheckpoint(bufferSource(data, 'test.pth'));

/** The error of an action that must refuse its input with all that an error owes the user. */
export function refusal(action: () => unknown): GpdError {
  try {
    action();
  } catch (error) {
    if (!(error instanceof GpdError)) throw error;
    expect(error.message.length).toBeGreaterThan(10);
    expect(error.at).toBeTruthy();
    expect(error.hint).toBeTruthy();
    return error;
  }
  throw new Error('the input was accepted');
}
