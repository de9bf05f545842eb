/**
 * THE allow-list: every (module, name) pair that a pickle may mention, and the plain data it stands for. Lookup is by the exact
 * pair in a fixed table, as in torch/_weights_only_unpickler.py; no name is ever resolved, so a dotted one reaches nothing.
 * `gpd convert --list-allowed` prints this table.
 */

import {costs} from '../core/memory-budget.js';
import type {DType} from '../core/tensor.js';
import type {PickleMachine} from './pickle-machine.js';
import {
  type GlobalName,
  type Inert,
  isKind,
  isMap,
  isTensor,
  keyText,
  namespace,
  OrderedDict,
  type PlainData,
  tuple,
  typeName,
} from './plain-data.js';

/**
 * Arguments → plain data. Pure: the machine is there to report problems with their place, and to be told of copies: an argument may
 * come from the memo, and making a set of one long list again and again would multiply memory and time.
 */
type Builder = (args: readonly PlainData[], machine: PickleMachine) => PlainData;

export interface AllowedGlobal {
  readonly module: string;
  readonly name: string;
  /** What becomes of it here, in a few words. */
  readonly becomes: string;
  /** What REDUCE makes of it. Absent: it may be mentioned, not called. */
  readonly call?: Builder;
  /** What NEWOBJ makes of it. */
  readonly create?: Builder;
}

/** Storage classes → dtype. Those without one are known, and refused by name where a tensor uses them. */
export const storageDtypes: ReadonlyMap<string, DType | undefined> = new Map<string, DType | undefined>([
  ['DoubleStorage', 'float64'],
  ['FloatStorage', 'float32'],
  ['HalfStorage', 'float16'],
  ['BFloat16Storage', 'bfloat16'],
  ['LongStorage', 'int64'],
  ['IntStorage', 'int32'],
  ['ShortStorage', 'int16'],
  ['CharStorage', 'int8'],
  ['ByteStorage', 'uint8'],
  ['BoolStorage', 'bool'],
  ['ComplexFloatStorage', undefined],
  ['ComplexDoubleStorage', undefined],
  ['QInt8Storage', undefined],
  ['QUInt8Storage', undefined],
  ['QInt32Storage', undefined],
  ['QUInt4x2Storage', undefined],
  ['QUInt2x4Storage', undefined],
]);

const dtypeNames = [
  ...['float64', 'float32', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool'],
  ...['double', 'float', 'half', 'long', 'int', 'short', 'complex64', 'complex128', 'quint8', 'qint8', 'qint32'],
];

/** OrderedDict() or, from Python 2, OrderedDict([[key, value], ...]). */
function orderedDict(args: readonly PlainData[], m: PickleMachine): PlainData {
  const dict = new OrderedDict();
  if (args.length === 0) return dict;
  const [pairs] = args;
  if (args.length > 1 || !Array.isArray(pairs)) throw m.invalid('OrderedDict takes a list of pairs');
  m.spend(costs.entry * pairs.length);
  for (const pair of pairs) {
    const items = Array.isArray(pair) ? pair : isKind(pair, 'tuple') ? pair.items : [];
    const [key, value] = items;
    if (items.length !== 2 || typeof key !== 'string')
      throw m.invalid('OrderedDict takes a list of pairs of a string and a value');
    dict.set(key, value!);
  }
  return dict;
}

/** A learning-rate schedule keeps its milestones in a Counter. */
function counter([counts, ...more]: readonly PlainData[], m: PickleMachine): PlainData {
  if (counts === undefined) return new Map();
  if (!isMap(counts) || more.length > 0) throw m.invalid('Counter takes a dict');
  return counts;
}

/** `_rebuild_tensor(storage, offset, size, stride)`; v2 adds requires_grad, hooks and, since PyTorch 2, metadata (conj, neg). */
function tensorRef(args: readonly PlainData[], m: PickleMachine): PlainData {
  const [storage, storageOffset, size, stride] = args;
  const metadata = args[6];
  if (args.length < 4 || args.length > 7) throw m.invalid(`${args.length} arguments for a tensor`);
  if (!isKind(storage, 'storage')) throw m.invalid(`a tensor over a ${typeName(storage!)}, not a storage`);
  if (!isKind(size, 'tuple') || !isKind(stride, 'tuple')) throw m.invalid('size and stride of a tensor are not tuples');
  if (isMap(metadata) && metadata.size > 0)
    throw m.unsupported(`a tensor with ${[...metadata.keys()].map(keyText).join(', ')} set`);
  return {kind: 'tensor', storage, storageOffset: storageOffset!, size: size.items, stride: stride.items};
}

/** `_rebuild_parameter(data, requires_grad, hooks)`: a Parameter is its tensor. */
function parameter([data]: readonly PlainData[], m: PickleMachine): PlainData {
  if (!isTensor(data)) throw m.invalid('a Parameter without a tensor');
  return data;
}

function device(args: readonly PlainData[], m: PickleMachine): Inert {
  const [type, index] = args;
  if (typeof type !== 'string') throw m.invalid('torch.device takes a string');
  return {kind: 'inert', type: 'torch.device', text: typeof index === 'number' ? `${type}:${index}` : type};
}

function size([items]: readonly PlainData[], m: PickleMachine): PlainData {
  if (!isKind(items, 'tuple') && !Array.isArray(items)) throw m.invalid('torch.Size takes a tuple');
  if (Array.isArray(items)) m.spend(costs.item * items.length);
  return Array.isArray(items) ? tuple(items.slice()) : items;
}

function plainSet([items]: readonly PlainData[], m: PickleMachine): PlainData {
  if (items !== undefined && !Array.isArray(items)) throw m.invalid('set takes a list');
  m.spend(costs.item * (items?.length ?? 0));
  return {kind: 'set', items: items?.slice() ?? []};
}

/** A numpy scalar has at most 32 bytes; a longer string is not one, and copying it again and again would multiply memory. */
const MAX_ENCODED = 64;

/** `_codecs.encode(text, 'latin1')`: how protocol 2 writes bytes. */
function encode([text, encoding]: readonly PlainData[], m: PickleMachine): PlainData {
  if (typeof text !== 'string' || encoding !== 'latin1') throw m.unsupported('_codecs.encode is allowed for latin1 only');
  if (text.length > MAX_ENCODED)
    throw m.unsupported(`_codecs.encode of ${text.length} characters; a numpy scalar has up to ${MAX_ENCODED}`);
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

const numpyReaders: Readonly<Record<string, (view: DataView) => number | bigint | boolean>> = {
  f8: (v) => v.getFloat64(0, true),
  f4: (v) => v.getFloat32(0, true),
  i8: (v) => v.getBigInt64(0, true),
  i4: (v) => v.getInt32(0, true),
  i2: (v) => v.getInt16(0, true),
  i1: (v) => v.getInt8(0),
  u1: (v) => v.getUint8(0),
  b1: (v) => v.getUint8(0) !== 0,
};

function numpyDtype([code]: readonly PlainData[], m: PickleMachine): Inert {
  if (typeof code !== 'string' || !Object.hasOwn(numpyReaders, code))
    throw m.unsupported(`numpy dtype ${typeof code === 'string' ? code : typeName(code ?? null)}`);
  return {kind: 'inert', type: 'numpy.dtype', text: code};
}

function numpyScalar([dtype, bytes]: readonly PlainData[], m: PickleMachine): PlainData {
  if (!isKind(dtype, 'inert') || dtype.type !== 'numpy.dtype' || !(bytes instanceof Uint8Array)) {
    throw m.invalid('a numpy scalar takes a dtype and bytes');
  }
  if (bytes.length !== Number(dtype.text.slice(1))) throw m.invalid(`${bytes.length} bytes for a numpy ${dtype.text}`);
  const value = numpyReaders[dtype.text]!(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

const table: readonly AllowedGlobal[] = [
  {module: 'collections', name: 'OrderedDict', becomes: 'a map; a state dict is one', call: orderedDict, create: orderedDict},
  {module: 'collections', name: 'Counter', becomes: 'a map', call: counter},
  {module: 'torch._utils', name: '_rebuild_tensor_v2', becomes: 'a lazy tensor over a storage', call: tensorRef},
  {module: 'torch._utils', name: '_rebuild_tensor', becomes: 'a lazy tensor over a storage', call: tensorRef},
  {module: 'torch._utils', name: '_rebuild_parameter', becomes: 'its tensor', call: parameter},
  ...[...storageDtypes].map(([name, dtype]) => ({
    module: 'torch',
    name,
    becomes: dtype ? `the name of a storage of ${dtype}` : 'a name; tensors over it are refused',
  })),
  ...dtypeNames.map((name) => ({module: 'torch', name, becomes: 'the name of a dtype'})),
  {module: 'torch', name: 'device', becomes: 'its text, such as cuda:0', call: device},
  {module: 'torch', name: 'Size', becomes: 'a tuple', call: size, create: size},
  {
    module: 'argparse',
    name: 'Namespace',
    becomes: 'a record of the training options',
    call: () => namespace(),
    create: () => namespace(),
  },
  {module: 'numpy.core.multiarray', name: 'scalar', becomes: 'a number', call: numpyScalar},
  {module: 'numpy._core.multiarray', name: 'scalar', becomes: 'a number', call: numpyScalar},
  {module: 'numpy', name: 'dtype', becomes: 'its code, such as f8', call: numpyDtype},
  {module: '_codecs', name: 'encode', becomes: `up to ${MAX_ENCODED} bytes`, call: encode},
  {module: '__builtin__', name: 'set', becomes: 'a set', call: plainSet},
  {module: 'builtins', name: 'set', becomes: 'a set', call: plainSet},
];

/** `module name` → entry. No entry contains a second blank, so a pair that is not listed cannot spell one that is. */
export const allowedGlobals: ReadonlyMap<string, AllowedGlobal> = new Map(table.map((g) => [`${g.module} ${g.name}`, g]));

const names: ReadonlyMap<string, GlobalName> = new Map(
  table.map(({module, name}) => [`${module} ${name}`, Object.freeze({kind: 'global', module, name} as const)]),
);

/** Why some well-known names are not on the list: pattern on `module name` → what the file is, what to do. */
const refusals: readonly [pattern: RegExp, problem: string, hint: string][] = [
  [/^torch\._utils _rebuild_q/, 'a quantised tensor', 'convert the float checkpoint; gpd quantises by itself'],
  [/^torch\._utils _rebuild_.*sparse/, 'a sparse tensor', 'save it with to_dense() first'],
  [
    /^torch\._utils _rebuild_tensor_v3|UntypedStorage/,
    'a tensor of a dtype that only newer PyTorch knows',
    'save it as float32 first',
  ],
  [
    /^(torch\.nn\.modules|torchvision\.models|timm\.|models?\b|__main__)/,
    'a whole model saved with its code',
    'save model.state_dict() instead, and convert that',
  ],
  [/^__torch__/, 'a TorchScript module', 'save the state_dict() of the original module instead'],
  [
    /^numpy\.core\.multiarray _reconstruct|^numpy\._core\.multiarray _reconstruct/,
    'a numpy array',
    'save torch tensors instead, or drop that entry',
  ],
];

export function lookUpGlobal(m: PickleMachine, module: string, name: string): GlobalName {
  const pair = `${module} ${name}`;
  const found = names.get(pair);
  if (found) return found;
  const shown = JSON.stringify(`${module}.${name}`);
  const known = refusals.find(([pattern]) => pattern.test(pair));
  if (known) throw m.unsupported(`holds ${known[1]} (${shown})`, known[2]);
  throw m.unsupported(
    `asks for ${shown}, which is not on the list of names a state dict needs; nothing was executed`,
    'do not load this file with other tools unless you trust its source; if you do, save model.state_dict() alone',
  );
}
