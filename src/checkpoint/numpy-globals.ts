/** What a pickle may say of numpy: scalars become numbers, arrays become bytes with a dtype and a shape. */

import {halfToNumber} from '../core/half.js';
import {type AllowedGlobal, inertText, objectStub} from './allowed-global.js';
import type {PickleMachine} from './pickle-machine.js';
import {isKind, type NumpyArray, type NumpyDtype, type PlainData} from './plain-data.js';

type ReadNumber = (view: DataView, little: boolean) => number | bigint | boolean;
const numberReaders: Readonly<Record<string, ReadNumber>> = {
  f8: (v, little) => v.getFloat64(0, little),
  f4: (v, little) => v.getFloat32(0, little),
  f2: (v, little) => halfToNumber(v.getUint16(0, little)),
  i8: (v, little) => v.getBigInt64(0, little),
  i4: (v, little) => v.getInt32(0, little),
  i2: (v, little) => v.getInt16(0, little),
  i1: (v) => v.getInt8(0),
  u8: (v, little) => v.getBigUint64(0, little),
  u4: (v, little) => v.getUint32(0, little),
  u2: (v, little) => v.getUint16(0, little),
  u1: (v) => v.getUint8(0),
  b1: (v) => v.getUint8(0) !== 0,
};

/** The kinds of numpy: numbers, complex, bytes, texts, dates, records, objects; then the width in bytes (of texts in characters). */
const DTYPE = /^[biufcSUVMmO]\d{0,9}$/;

function numpyDtype([code]: readonly PlainData[], m: PickleMachine): NumpyDtype {
  if (typeof code !== 'string' || !DTYPE.test(code)) throw m.invalid('a numpy dtype that numpy does not have');
  return {kind: 'dtype', code, order: '|'};
}

/** State of a numpy dtype: (version, byte order, …). Order '|' is for single bytes, '=' never written. */
export function buildDtype(m: PickleMachine, dtype: NumpyDtype, state: PlainData): void {
  const order = isKind(state, 'tuple') ? state.items[1] : undefined;
  if (order !== '<' && order !== '>' && order !== '|') throw m.invalid('a numpy dtype of an unknown byte order');
  dtype.order = order;
}

function numpyScalar([dtype, value]: readonly PlainData[], m: PickleMachine, type: string): PlainData {
  if (!isKind(dtype, 'dtype')) throw m.invalid('a numpy scalar takes a dtype and bytes');
  const {code, order} = dtype;
  if (code.startsWith('O')) return value ?? null;
  if (!(value instanceof Uint8Array)) throw m.invalid('a numpy scalar takes a dtype and bytes');
  const read = Object.hasOwn(numberReaders, code) ? numberReaders[code] : undefined;
  if (!read) return code.startsWith('U') ? inertText('numpy.str_', textOf(value, order !== '>'), m) : inertText(type, code, m);
  if (value.length !== Number(code.slice(1))) throw m.invalid(`${value.length} bytes for a numpy ${code}`);
  const number = read(new DataView(value.buffer, value.byteOffset, value.byteLength), order !== '>');
  return typeof number === 'bigint' && Number.isSafeInteger(Number(number)) ? Number(number) : number;
}

const MAX_CHARACTERS = 1000;

/** numpy keeps texts in four bytes a character, filled up with zeros. */
function textOf(bytes: Uint8Array, little: boolean): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = '';
  for (let at = 0; at + 4 <= bytes.length && at < 4 * MAX_CHARACTERS; at += 4) {
    const point = view.getUint32(at, little);
    if (point === 0) break;
    text += point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd';
  }
  return text;
}

/** `_reconstruct(ndarray, (0,), b'b')`: an empty array, which BUILD fills. */
const emptyArray = (): NumpyArray => ({kind: 'array', dtype: undefined, size: [], fortran: false, bytes: undefined});

/** State of an array: (version, shape, dtype, is it in Fortran's order, bytes or a list of objects). */
export function buildArray(m: PickleMachine, array: NumpyArray, state: PlainData): void {
  const [, size, dtype, fortran, data] = isKind(state, 'tuple') ? state.items : [];
  if (!isKind(size, 'tuple') || !isKind(dtype, 'dtype') || typeof fortran !== 'boolean')
    throw m.invalid('a numpy array without shape, dtype and bytes');
  array.size = size.items;
  array.dtype = dtype;
  array.fortran = fortran;
  array.bytes = data instanceof Uint8Array ? data : undefined;
}

/** Protocol 5: `_frombuffer(bytes, dtype, shape, order)`. */
function fromBuffer([data, dtype, size, order]: readonly PlainData[], m: PickleMachine): NumpyArray {
  if (!(data instanceof Uint8Array) || !isKind(dtype, 'dtype') || !isKind(size, 'tuple'))
    throw m.invalid('a numpy array without bytes, dtype and shape');
  return {kind: 'array', dtype, size: size.items, fortran: order === 'F', bytes: data};
}

const scalarTypes = [
  ...['float64', 'float32', 'float16', 'int64', 'int32', 'int16', 'int8', 'uint64', 'uint32', 'uint16', 'uint8'],
  ...['bool_', 'bool', 'str_', 'bytes_', 'complex64', 'complex128', 'float_', 'int_', 'generic', 'number', 'longlong', 'intc'],
  ...['ndarray', 'matrix', 'memmap', 'recarray', 'record', 'longdouble', 'datetime64', 'timedelta64', 'object_', 'void', 'str'],
];

const inCore = (name: string, places: readonly string[], entry: Omit<AllowedGlobal, 'module' | 'name'>): AllowedGlobal[] =>
  places.map((module) => ({module, name, ...entry}));

export const numpyGlobals: readonly AllowedGlobal[] = [
  ...inCore('scalar', ['numpy.core.multiarray', 'numpy._core.multiarray'], {becomes: 'a number', call: numpyScalar}),
  ...inCore('_reconstruct', ['numpy.core.multiarray', 'numpy._core.multiarray'], {
    becomes: 'bytes with a dtype and a shape',
    call: emptyArray,
  }),
  ...inCore('_frombuffer', ['numpy.core.numeric', 'numpy._core.numeric'], {
    becomes: 'bytes with a dtype and a shape',
    call: fromBuffer,
  }),
  {module: 'numpy', name: 'dtype', becomes: 'its code, such as f8', call: numpyDtype},
  ...scalarTypes.map((name) => ({module: 'numpy', name, becomes: 'the name of a type'})),
  ...inCore('_ufunc_reconstruct', ['numpy.core', 'numpy._core'], {
    becomes: 'a stub of a function',
    call: objectStub,
    inert: true,
  }),
];
