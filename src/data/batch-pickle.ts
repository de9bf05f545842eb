/**
 * Batches of images as Python pickles: a dict with an array of pixels and lists of labels, as CIFAR's authors and many after them wrote it.
 * The machine and its checks are those of checkpoints. Other here: bytes that Python 2 wrote as a string, 30 MB at once, stay bytes; and of names
 * only those of numpy's arrays are known. Nothing is imported or called.
 */
import {lookUpGlobal} from '../checkpoint/pickle-globals.js';
import {PickleMachine} from '../checkpoint/pickle-machine.js';
import {type Opcode, opcodes} from '../checkpoint/pickle-opcodes.js';
import {isKind, isMap, type PlainData} from '../checkpoint/plain-data.js';
import {decodeUtf8} from '../checkpoint/utf8.js';
import {ByteReader} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {costs, MemoryBudget} from '../core/memory-budget.js';

/** An array of numpy: a dict to the machine, so that nothing but BUILD below can fill it. */
export class PickledArray extends Map<PlainData, PlainData> {
  shape: readonly number[] = [];
  /** Of one number: `u1`, `i8`. */
  dtype = '';
  bytes: Uint8Array = new Uint8Array(0);
}

/** Names, file names: text. Longer strings are bytes. */
const MAX_TEXT = 4096;

/** What the rows of a batch are made of, by their module and name. */
const known = {
  ndarray: /^numpy ndarray$/,
  dtype: /^numpy dtype$/,
  reconstruct: /^numpy\.(core|_core)\.multiarray _reconstruct$/,
  fromBuffer: /^numpy\.(core|_core)\.numeric _frombuffer$/,
  encode: /^_codecs encode$/,
  bytes: /^(__builtin__|builtins) bytes$/,
} as const;

const meaningOf = (value: PlainData): keyof typeof known | undefined => {
  if (!isKind(value, 'global')) return undefined;
  const text = `${value.module} ${value.name}`;
  return (Object.keys(known) as (keyof typeof known)[]).find((meaning) => known[meaning].test(text));
};

function nameOf(m: PickleMachine, module: string, name: string): PlainData {
  const found: PlainData = {kind: 'global', module, name};
  return meaningOf(found) ? found : lookUpGlobal(m, module, name); // which refuses it, with what it is
}

function line(m: PickleMachine): string {
  const {bytes, offset} = m.reader;
  const end = bytes.indexOf(0x0a, offset);
  if (end < 0 || end - offset > 256) throw m.invalid('a name without an end');
  const text = new TextDecoder('latin1').decode(m.reader.take(end - offset));
  m.reader.u8();
  return text;
}

/** Text where it is short; else a view of the file. */
function stringOf(m: PickleMachine, length: number): PlainData {
  const view = m.reader.take(length);
  m.spend(costs.record + Math.min(length, 2 * MAX_TEXT));
  if (length > MAX_TEXT) return view;
  return decodeUtf8(view) ?? new TextDecoder('latin1').decode(view);
}

function reduce(m: PickleMachine): void {
  const {items} = m.popTuple('the argument list');
  const meaning = meaningOf(m.pop());
  if (meaning === 'reconstruct') m.pushNew(new PickledArray());
  else if (meaning === 'dtype') m.pushNew({kind: 'inert', type: 'numpy.dtype', text: String(items[0])});
  else if (meaning === 'encode') m.pushNew(encoded(m, items[0]));
  else if (meaning === 'bytes' && items.length === 0) m.pushNew('');
  else if (meaning === 'fromBuffer')
    m.pushNew(filled(m, new PickledArray(), {data: items[0], dtype: items[1], shape: items[2], fortran: items[3] === 'F'}));
  else throw m.invalid('it calls something that no batch of images needs');
}

/** `_codecs.encode(text, 'latin1')`: how protocol 2 writes bytes. The text lies in the file as UTF-8, two bytes for each from 128 on. */
function encoded(m: PickleMachine, text: PlainData | undefined): PlainData {
  if (typeof text === 'string') return text;
  if (!(text instanceof Uint8Array)) throw m.invalid('it encodes what is no text');
  m.spend(text.length);
  const out = new Uint8Array(text.length);
  let length = 0;
  for (let i = 0; i < text.length; ) {
    const byte = text[i++]!;
    const next = byte < 0x80 ? byte : ((byte & 3) << 6) | (text[i++]! & 0x3f);
    if (byte >= 0x80 && (byte & 0xfc) !== 0xc0) throw m.invalid('its bytes are not those of a latin1 text');
    out[length++] = next;
  }
  return out.subarray(0, length);
}

function build(m: PickleMachine): void {
  const state = m.pop();
  const target = m.top();
  if (isKind(target, 'inert')) return; // a dtype: single bytes have no order, and larger numbers are checked where they are read
  if (!(target instanceof PickledArray) || !isKind(state, 'tuple')) throw m.invalid('it fills something that is no array');
  const [, shape, dtype, fortran, data] = state.items;
  filled(m, target, {data, dtype, shape, fortran: fortran === true});
}

interface State {
  readonly data: PlainData | undefined;
  readonly dtype: PlainData | undefined;
  readonly shape: PlainData | undefined;
  readonly fortran: boolean;
}

function filled(m: PickleMachine, array: PickledArray, {data, dtype, shape, fortran}: State): PickledArray {
  const sizes = shape !== undefined && isKind(shape, 'tuple') ? shape.items : [];
  if (!sizes.every((n) => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0)) throw m.invalid('an array has no shape');
  if (fortran && sizes.length > 1) throw m.unsupported('an array in the order of Fortran', 'save it in C order');
  const code = dtype !== undefined && isKind(dtype, 'inert') ? dtype.text : '';
  const width = Number(/^[iub]([1248])$/.exec(code)?.[1]);
  const bytes = typeof data === 'string' ? Uint8Array.from(data, (c) => c.charCodeAt(0)) : data;
  const length = (sizes as number[]).reduce((a, b) => a * b, 1) * width;
  if (!(bytes instanceof Uint8Array) || bytes.length !== length)
    throw m.invalid('an array has other bytes than its shape and its type say');
  return Object.assign(array, {bytes, dtype: code, shape: sizes as number[]});
}

const stringWith = (name: string, length: (m: PickleMachine) => number): Opcode => ({
  name,
  run: (m) => m.push(stringOf(m, length(m))),
});
const u8 = (m: PickleMachine) => m.reader.u8();
const u32 = (m: PickleMachine) => m.reader.u32();
const u64 = (m: PickleMachine) => m.longLength();

/** The opcodes of checkpoints, with those that make strings, arrays and names as described above. */
const table: Readonly<Record<number, Opcode>> = {
  ...opcodes,
  84: stringWith('BINSTRING', u32),
  85: stringWith('SHORT_BINSTRING', u8),
  88: stringWith('BINUNICODE', u32),
  140: stringWith('SHORT_BINUNICODE', u8),
  141: stringWith('BINUNICODE8', u64),
  66: stringWith('BINBYTES', u32),
  67: stringWith('SHORT_BINBYTES', u8),
  142: stringWith('BINBYTES8', u64),
  99: {name: 'GLOBAL', run: (m) => m.push(nameOf(m, line(m), line(m)))},
  147: {name: 'STACK_GLOBAL', run: stackGlobal},
  82: {name: 'REDUCE', run: reduce},
  98: {name: 'BUILD', run: build},
};

function stackGlobal(m: PickleMachine): void {
  const name = m.pop();
  const module = m.pop();
  if (typeof module !== 'string' || typeof name !== 'string') throw m.invalid('module and name are not both strings');
  m.push(nameOf(m, module, name));
}

/** The dict of a pickle, by the texts of its keys. Throws DATASET_INVALID. */
export function readBatchPickle(name: string, bytes: Uint8Array): ReadonlyMap<string, PlainData> {
  const noObjects = () => {
    throw new GpdError('DATASET_INVALID', `${name}: holds objects of another program`, {at: name, hint: HINT});
  };
  const machine = new PickleMachine(new ByteReader(bytes, name), noObjects, new MemoryBudget(name, bytes.length));
  try {
    while (!machine.finished) step(machine);
  } catch (error) {
    throw asDataset(name, error);
  }
  const {result} = machine;
  if (result === undefined || !isMap(result))
    throw new GpdError('DATASET_INVALID', `${name}: is a pickle, but of no dict`, {at: name, hint: HINT});
  return new Map([...result].map(([key, value]) => [String(key), value]));
}

const HINT = 'download it again from its own page; other pickles are not read as sets of images';

function step(machine: PickleMachine): void {
  const at = machine.reader.offset;
  const byte = machine.reader.u8();
  const opcode = table[byte];
  machine.begin(opcode?.name ?? 'no opcode', at);
  if (!opcode || (at === 0) !== (byte === 128)) throw machine.invalid(`byte ${byte} is no opcode that a batch of images needs`);
  opcode.run(machine);
}

function asDataset(name: string, error: unknown): unknown {
  if (!(error instanceof GpdError) || !/^(PICKLE|CHECKPOINT)_/.test(error.code)) return error;
  return new GpdError('DATASET_INVALID', error.message, {at: error.at ?? name, hint: HINT, cause: error});
}
