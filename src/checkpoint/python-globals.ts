/** What a pickle may say of Python itself: containers become plain data, everything else a text or a stub. */
import {costs} from '../core/memory-budget.js';
import {type AllowedGlobal, inertArguments, inertText, type MakePlain, objectStub} from './allowed-global.js';
import {describeValue} from './describe-tree.js';
import type {PickleMachine} from './pickle-machine.js';
import {type Inert, isKind, isMap, namespace, OrderedDict, type PlainData, typeName} from './plain-data.js';

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

function plainSet([items]: readonly PlainData[], m: PickleMachine): PlainData {
  if (items !== undefined && !Array.isArray(items)) throw m.invalid('set takes a list');
  m.spend(costs.item * (items?.length ?? 0));
  return {kind: 'set', items: items?.slice() ?? []};
}

const SEPARATORS: Readonly<Record<string, string>> = {WindowsPath: '\\', PureWindowsPath: '\\'};

/** A path from its parts: nothing looks whether there is one. */
function path(args: readonly PlainData[], m: PickleMachine, type: string): Inert {
  const separator = SEPARATORS[type.slice(type.lastIndexOf('.') + 1)] ?? '/';
  const parts = args.slice(0, MAX_PARTS).map((part) => (typeof part === 'string' ? part.slice(0, MAX_PARTS) : typeName(part)));
  return inertText(
    type,
    parts.map((part, i) => (i === 0 || parts[i - 1]!.endsWith(separator) ? part : separator + part)).join(''),
    m,
  );
}
const MAX_PARTS = 256;

const two = (n: number): string => String(n).padStart(2, '0');

/** `datetime(bytes of year, month, day, hour, minute, second, microsecond)`; a date has the first four, a time the last six. */
function moment([bytes]: readonly PlainData[], m: PickleMachine, type: string): Inert {
  if (!(bytes instanceof Uint8Array)) return inertText(type, typeName(bytes ?? null), m);
  const day = bytes.length === 6 ? [] : [[(bytes[0]! << 8) | bytes[1]!, two(bytes[2]! & 0x7f), two(bytes[3]!)].join('-')];
  const clock = bytes.length === 4 ? [] : [[...bytes.slice(-6, -3)].map(two).join(':')];
  return inertText(type, bytes.length < 4 ? `${bytes.length} bytes` : [...day, ...clock].join(' '), m);
}

/** Everything whose arguments say what it is: `range(0, 3, 1)`. */
const written: MakePlain = (args, m, type) => inertText(type, `(${inertArguments(args)})`, m);
const firstArgument: MakePlain = ([first], m, type) =>
  inertText(type, typeof first === 'string' ? first : describeValue(first ?? null), m);

function complex([re = 0, im = 0]: readonly PlainData[], m: PickleMachine, type: string): Inert {
  if (typeof re !== 'number' || typeof im !== 'number') throw m.invalid('a complex number of other things than numbers');
  return inertText(type, `${re}${im < 0 ? '-' : '+'}${Math.abs(im)}j`, m);
}

/**
 * `getattr(class, name)`: how protocol 2 writes a member of an enum, a nested class, a method. A name is joined to a name, and nothing is
 * looked up: what comes of it has a dot in its name, and no row of the list has.
 */
function member([of, name]: readonly PlainData[], m: PickleMachine, type: string): PlainData {
  if (of === undefined || typeof name !== 'string') throw m.invalid('getattr takes an object and a name');
  if (!isKind(of, 'global')) return inertText('method', `${typeName(of)}.${name}`, m);
  m.spend(costs.record + 2 * (of.name.length + name.length));
  if (of.name.length + name.length > MAX_MEMBER) throw m.invalid(`a name of more than ${MAX_MEMBER} characters (${type})`);
  return {kind: 'global', module: of.module, name: `${of.name}.${name}`};
}
const MAX_MEMBER = 512;

/** `_reconstructor(class, base, state)` and `__newobj__(class, …)`: an object of a class. */
function ofClass([of, ...args]: readonly PlainData[], m: PickleMachine): PlainData {
  if (!isKind(of, 'global')) throw m.invalid('an object of no class');
  return objectStub(args, m, `${of.module}.${of.name}`);
}

/** `_codecs.encode(text, 'latin1')`: how protocol 2 writes bytes. */
function encode([text, encoding]: readonly PlainData[], m: PickleMachine): PlainData {
  if (typeof text !== 'string' || (encoding !== 'latin1' && encoding !== 'latin-1'))
    throw m.unsupported('_codecs.encode is allowed for latin1 only');
  m.spend(costs.record + text.length);
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/** `bytearray(text, 'latin-1')`, `bytearray(bytes)`, and `bytes()` for none. */
function byteArray(args: readonly PlainData[], m: PickleMachine): PlainData {
  const [data] = args;
  if (data === undefined) return new Uint8Array(0);
  if (data instanceof Uint8Array) return data;
  return encode(args, m);
}

function list([items]: readonly PlainData[], m: PickleMachine): PlainData {
  const given = isKind(items, 'tuple') || isKind(items, 'set') ? items.items : Array.isArray(items) ? items : [];
  m.spend(costs.item * given.length);
  return given.slice();
}

function record(module: string, name: string, becomes: string): AllowedGlobal[] {
  return [{module, name, becomes, call: () => namespace(), create: () => namespace()}];
}

const inert = true;
const stub = (module: string, names: readonly string[]): AllowedGlobal[] =>
  names.map((name) => ({module, name, becomes: 'a stub', call: objectStub, create: objectStub, inert}));
const text = (modules: readonly string[], names: readonly string[], call: MakePlain): AllowedGlobal[] =>
  modules.flatMap((module) => names.map((name) => ({module, name, becomes: 'its text', call, create: call, inert}) as const));
const mention = (module: string, names: readonly string[]): AllowedGlobal[] =>
  names.map((name) => ({module, name, becomes: 'the name of a type'}));

const BUILTINS = ['builtins', '__builtin__'];
const exceptions = [
  ...['BaseException', 'Exception', 'ArithmeticError', 'AssertionError', 'AttributeError', 'EOFError', 'FileNotFoundError'],
  ...['FloatingPointError', 'ImportError', 'IndexError', 'KeyError', 'KeyboardInterrupt', 'LookupError', 'MemoryError'],
  ...['NameError', 'NotImplementedError', 'OSError', 'OverflowError', 'RuntimeError', 'StopIteration', 'TypeError'],
  ...['UnicodeDecodeError', 'UserWarning', 'ValueError', 'Warning', 'ZeroDivisionError'],
];

/** The rows that are the same in Python 2's `__builtin__` and Python 3's `builtins`. */
const builtinsOf = (module: string): AllowedGlobal[] => [
  {module, name: 'set', becomes: 'a set', call: plainSet},
  {module, name: 'frozenset', becomes: 'a set', call: plainSet},
  {module, name: 'list', becomes: 'a list', call: list, create: list},
  {module, name: 'dict', becomes: 'a map', call: () => new Map(), create: () => new Map()},
  {module, name: 'bytearray', becomes: 'bytes', call: byteArray},
  {module, name: 'bytes', becomes: 'bytes', call: byteArray},
  ...text([module], ['complex'], complex),
  ...text([module], ['slice', 'range', 'xrange', 'type'], written),
  {module, name: 'getattr', becomes: 'a name with a dot: the member of an enum, or a method', call: member},
  ...mention(module, ['tuple', 'int', 'long', 'float', 'str', 'unicode', 'bool', 'Ellipsis', 'NotImplemented']),
  ...stub(module, ['object', ...exceptions]),
];

/** Of Python's own modules these names, and no others. */
export const pythonGlobals: readonly AllowedGlobal[] = [
  {module: 'collections', name: 'OrderedDict', becomes: 'a map; a state dict is one', call: orderedDict, create: orderedDict},
  {module: 'collections', name: 'Counter', becomes: 'a map', call: counter},
  {module: 'collections', name: 'defaultdict', becomes: 'a map', call: () => new Map(), create: () => new Map(), inert},
  {module: 'collections', name: 'deque', becomes: 'a list', call: list, create: list, inert},
  ...stub('collections', ['UserDict', 'UserList', 'UserString', 'ChainMap']),
  ...record('argparse', 'Namespace', 'a record of the training options'),
  ...record('types', 'SimpleNamespace', 'a record'),
  ...BUILTINS.flatMap(builtinsOf),
  ...stub('exceptions', exceptions),
  {module: '_codecs', name: 'encode', becomes: 'bytes', call: encode},
  ...['copyreg', 'copy_reg'].flatMap((module) =>
    ['_reconstructor', '__newobj__'].map((name) => ({module, name, becomes: 'a stub', call: ofClass, inert}) as const),
  ),
  ...text(
    ['pathlib', 'pathlib._local'],
    ['PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath', 'Path', 'PurePath'],
    path,
  ),
  ...text(['datetime'], ['datetime', 'date', 'time'], moment),
  ...text(['datetime'], ['timedelta', 'timezone'], written),
  ...text(['decimal', '_pydecimal'], ['Decimal'], firstArgument),
  ...text(['fractions'], ['Fraction'], written),
  ...text(['re', 'sre_compile'], ['_compile', 'compile'], firstArgument),
  ...text(['logging'], ['getLogger'], firstArgument),
  ...text(['operator', '_operator'], ['getitem', 'itemgetter', 'attrgetter', 'or_', 'and_', 'add'], written),
  ...text(['itertools'], ['count', 'cycle', 'repeat', 'chain'], written),
  ...text(['time'], ['struct_time'], written),
  ...stub('functools', ['partial']),
  ...stub('random', ['Random']),
  ...stub('uuid', ['UUID', 'SafeUUID']),
  ...stub('array', ['array', '_array_reconstructor']),
  ...stub('io', ['BytesIO', 'StringIO']),
  ...stub('_io', ['BytesIO', 'StringIO']),
  ...stub('logging', ['Logger', 'StreamHandler', 'FileHandler', 'Formatter']),
  ...stub('configparser', ['ConfigParser', 'RawConfigParser', 'SectionProxy']),
  ...stub('ipaddress', ['IPv4Address', 'IPv6Address']),
  ...stub('enum', ['auto']),
  ...mention('zoneinfo', ['ZoneInfo']),
  ...mention('typing', ['Any', 'Dict', 'List', 'Tuple', 'Set', 'Union', 'Optional', 'Callable', 'Sequence', 'Mapping', 'Type']),
  ...mention('dataclasses', ['_HAS_DEFAULT_FACTORY_CLASS', 'MISSING', '_MISSING_TYPE', 'Field']),
  ...mention('abc', ['ABC', 'ABCMeta']),
];
