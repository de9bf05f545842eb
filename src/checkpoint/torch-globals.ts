/** What a pickle may say of PyTorch: tensors become views of storages, and nothing else is needed of it. */
import {costs} from '../core/memory-budget.js';
import type {DType} from '../core/tensor.js';
import {type AllowedGlobal, inertText, objectStub} from './allowed-global.js';
import type {PickleMachine} from './pickle-machine.js';
import {type Inert, isKind, isMap, isTensor, keyText, type PlainData, tuple, typeName} from './plain-data.js';

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
  ...['uint16', 'uint32', 'uint64', 'complex32', 'cfloat', 'cdouble', 'float8_e4m3fn', 'float8_e5m2'],
];
/** Layouts, memory formats and classes that options mention. */
const otherNames = [
  ...['strided', 'sparse_coo', 'contiguous_format', 'channels_last', 'channels_last_3d', 'preserve_format'],
  ...['per_tensor_affine', 'per_channel_affine', 'per_tensor_symmetric', 'per_channel_symmetric'],
  ...['Tensor', 'FloatTensor', 'LongTensor', 'ByteTensor', 'HalfTensor', 'DoubleTensor', 'Generator', 'dtype'],
];

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
  if (!isTensor(data) && !isKind(data, 'array')) throw m.invalid('a Parameter without a tensor');
  return data;
}

/**
 * `_rebuild_from_type_v2(function, class, arguments, attributes)`: a tensor of a class of its own, or with attributes. One of PyTorch's own
 * classes is its tensor; what another class means by its numbers is not known here, and whoever needs the tensor refuses the stub.
 */
function tensorOfType(args: readonly PlainData[], m: PickleMachine, type: string): PlainData {
  const [rebuild, of, inner] = args;
  if (!isKind(rebuild, 'global') || !isKind(of, 'global') || !isKind(inner, 'tuple')) throw m.invalid('a tensor of no class');
  const isPlain = plainTensorClasses.has(`${of.module} ${of.name}`);
  const build = isPlain ? torchGlobals.find(({module, name}) => module === rebuild.module && name === rebuild.name) : undefined;
  return build?.call ? build.call(inner.items, m, type) : objectStub(args, m, `${of.module}.${of.name}`);
}
const plainTensorClasses = new Set([
  'torch Tensor',
  'torch._tensor Tensor',
  'torch.nn.parameter Parameter',
  'torch.nn.parameter Buffer',
]);

function device(args: readonly PlainData[], m: PickleMachine): Inert {
  const [type, index] = args;
  if (typeof type !== 'string') throw m.invalid('torch.device takes a string');
  return inertText('torch.device', typeof index === 'number' ? `${type}:${index}` : type, m);
}

function size([items]: readonly PlainData[], m: PickleMachine): PlainData {
  if (!isKind(items, 'tuple') && !Array.isArray(items)) throw m.invalid('torch.Size takes a tuple');
  if (Array.isArray(items)) m.spend(costs.item * items.length);
  return Array.isArray(items) ? tuple(items.slice()) : items;
}

export const torchGlobals: readonly AllowedGlobal[] = [
  {module: 'torch._utils', name: '_rebuild_tensor_v2', becomes: 'a lazy tensor over a storage', call: tensorRef},
  {module: 'torch._utils', name: '_rebuild_tensor', becomes: 'a lazy tensor over a storage', call: tensorRef},
  {module: 'torch._utils', name: '_rebuild_parameter', becomes: 'its tensor', call: parameter},
  {module: 'torch._utils', name: '_rebuild_parameter_with_state', becomes: 'its tensor', call: parameter},
  {module: 'torch._utils', name: '_rebuild_device_tensor_from_numpy', becomes: 'its numpy array', call: parameter},
  {module: 'torch._tensor', name: '_rebuild_from_type_v2', becomes: 'its tensor, or a stub', call: tensorOfType},
  ...[...storageDtypes].map(([name, dtype]) => ({
    module: 'torch',
    name,
    becomes: dtype ? `the name of a storage of ${dtype}` : 'a name; tensors over it are refused',
  })),
  ...dtypeNames.map((name) => ({module: 'torch', name, becomes: 'the name of a dtype'})),
  ...otherNames.map((name) => ({module: 'torch', name, becomes: 'a name'})),
  {module: 'torch', name: 'device', becomes: 'its text, such as cuda:0', call: device},
  {module: 'torch', name: 'Size', becomes: 'a tuple', call: size, create: size},
  ...['_VariableFunctionsClass', '_VariableFunctions', '_TensorBase'].map((name) => ({
    module: 'torch._C',
    name,
    becomes: 'a name; options may mention a function of it',
  })),
  {module: 'torch.serialization', name: '_get_layout', becomes: 'a stub', call: objectStub},
];
