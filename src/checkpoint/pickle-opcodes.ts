/**
 * THE table of pickle opcodes: byte → name and effect. Every operand is type-checked before it is used (PyTorch's own reader
 * once let SETITEM write into anything: CVE-2026-24747). What is known but not wanted is in `refusedOpcodes`, with the reason.
 */
import {costs} from '../core/memory-budget.js';
import {inertText} from './allowed-global.js';
import {buildArray, buildDtype} from './numpy-globals.js';
import {lookUpGlobal, makeObject} from './pickle-globals.js';
import type {PickleMachine} from './pickle-machine.js';
import {isKind, isMap, isScalar, type PlainData, type PlainMap, tuple, typeName} from './plain-data.js';

export interface Opcode {
  readonly name: string;
  run(machine: PickleMachine): void;
}

const PROTOCOLS = {first: 2, last: 5};

function protocol(m: PickleMachine): void {
  const version = m.reader.u8();
  if (version < PROTOCOLS.first || version > PROTOCOLS.last) {
    throw m.unsupported(`pickle protocol ${version}; ${PROTOCOLS.first} to ${PROTOCOLS.last} are read`);
  }
  if (m.protocol !== 0) throw m.invalid('a second PROTO');
  m.protocol = version;
}

function frame(m: PickleMachine): void {
  if (m.frameEnd !== undefined) throw m.invalid('a frame within a frame');
  const length = m.longLength();
  m.frameEnd = m.reader.offset + length;
}

function stop(m: PickleMachine): void {
  m.result = m.pop();
  if (m.stack.length > 0 || m.openMarks > 0) throw m.invalid('values are left on the stack');
  m.finished = true;
}

/** Little-endian two's complement. */
const long = (length: (m: PickleMachine) => number) => (m: PickleMachine) => {
  const bytes = m.reader.take(length(m));
  if (bytes.length > MAX_INTEGER) {
    m.push(inertText('int', `of ${bytes.length} bytes`, m));
    return;
  }
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  if (bytes.length > 0 && bytes.at(-1)! & 0x80) value -= 1n << BigInt(8 * bytes.length);
  const small = Number(value);
  m.push(Number.isSafeInteger(small) ? small : value);
};
/** Longer integers are no numbers of a network; making one takes time that grows with the square of its length. */
const MAX_INTEGER = 1024;

function topList(m: PickleMachine): PlainData[] {
  const list = m.top();
  if (isKind(list, 'object')) {
    if (!list.items) m.spend(costs.map);
    list.items ??= [];
    return list.items;
  }
  if (!Array.isArray(list)) throw m.invalid(`appends to a ${typeName(list)}`);
  return list;
}

/** A dict, or what an object holds that is a kind of dict. */
function topMap(m: PickleMachine): PlainMap {
  const target = m.top();
  if (isKind(target, 'object')) {
    if (!target.entries) m.spend(costs.map);
    target.entries ??= new Map();
    return target.entries;
  }
  if (!isMap(target)) throw m.invalid(`sets items of a ${typeName(target)}`);
  return target;
}

function append(m: PickleMachine): void {
  const value = m.pop();
  topList(m).push(value);
}

function appends(m: PickleMachine): void {
  const items = m.popMark();
  const list = topList(m);
  for (const item of items) list.push(item);
}

/** What Python could hash. A list or a dict as a key would raise TypeError there. */
const hashable = (key: PlainData): boolean =>
  isScalar(key) || key instanceof Uint8Array || hashableKinds.some((kind) => isKind(key, kind));
const hashableKinds = ['tuple', 'global', 'inert', 'object', 'set', 'dtype', 'tensor'] as const; // optimizers keep state by tensor

function setItems(m: PickleMachine, items: readonly PlainData[]): void {
  const target = topMap(m);
  if (items.length % 2 !== 0) throw m.invalid('a key without a value');
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i]!;
    if (!hashable(key)) throw m.invalid(`a ${typeName(key)} as a dict key`);
    m.spend(costs.entry);
    target.set(key, items[i + 1]!);
  }
}

function setItem(m: PickleMachine): void {
  const value = m.pop();
  const key = m.pop();
  setItems(m, [key, value]);
}

function addItems(m: PickleMachine): void {
  const items = m.popMark();
  const set = m.top();
  if (!isKind(set, 'set') && !isKind(set, 'object')) throw m.invalid(`adds items to a ${typeName(set)}`);
  const into = isKind(set, 'set') ? set.items : topList(m);
  for (const item of items) into.push(item);
}

const popTupleOf = (count: number) => (m: PickleMachine) => {
  const items = Array.from({length: count}, () => m.pop());
  m.pushNew(tuple(items.reverse()));
};

/**
 * STACK_GLOBAL takes its names from the stack. PyTorch's reader does not know it; here it goes through the same exact pairs as
 * GLOBAL, so it reaches nothing more, and files saved with `pickle_protocol=4` can be read. Dotted names are on no list.
 */
function stackGlobal(m: PickleMachine): void {
  const name = m.pop();
  const module = m.pop();
  if (typeof module !== 'string' || typeof name !== 'string') throw m.invalid('module and name are not both strings');
  m.push(lookUpGlobal(m, module, name));
}

/** REDUCE and NEWOBJ: a builder of plain data where the function or class is on the allow-list, a stub where it is not. */
const construct = (how: 'call' | 'create') => (m: PickleMachine) => {
  const args = m.popTuple('the argument list');
  const callee = m.pop();
  if (!isKind(callee, 'global')) throw m.invalid(`calls a ${typeName(callee)}`);
  m.pushNew(makeObject(m, callee, how, args.items));
};

/** NEWOBJ with named arguments, which nothing needs that is on the allow-list. */
function createWithNames(m: PickleMachine): void {
  const named = m.pop();
  if (!isMap(named)) throw m.invalid(`named arguments in a ${typeName(named)}`);
  construct('create')(m);
  const made = m.top();
  if (named.size > 0 && isKind(made, 'object')) made.state = named;
}

function frozenSet(m: PickleMachine): void {
  const items = m.popMark();
  m.pushNew({kind: 'set', items});
}

/** The state of an OrderedDict is its instance attributes: `_metadata` of a state dict, which nobody needs. */
function build(m: PickleMachine): void {
  const state = m.pop();
  const target = m.top();
  if (isKind(target, 'namespace')) {
    if (!isMap(state)) throw m.invalid(`fills a Namespace from a ${typeName(state)}`);
    m.spend(costs.entry * state.size); // the dict may come from the memo: copying it again and again would multiply memory and time
    for (const [key, value] of state) {
      if (typeof key !== 'string') throw m.invalid(`a Namespace field named by a ${typeName(key)}`);
      target.fields.set(key, value);
    }
  } else if (isKind(target, 'object')) {
    target.state = state;
  } else if (isKind(target, 'dtype')) {
    buildDtype(m, target, state);
  } else if (isKind(target, 'array')) {
    buildArray(m, target, state);
  } else if (!isKind(target, 'inert') && !(isMap(target) && isMap(state))) {
    throw m.invalid(`gives state to a ${typeName(target)}`);
  }
}

function persistentId(m: PickleMachine): void {
  const id = m.popTuple('a persistent id');
  m.pushNew(m.persistentLoad(id, m));
}

/** Bytes of the file, copied: a view would keep the whole pickle in memory. */
const bytes = (length: (m: PickleMachine) => number) => (m: PickleMachine) => {
  const view = m.reader.take(length(m));
  m.spend(costs.record + view.length);
  m.push(new Uint8Array(view));
};
const text = (length: (m: PickleMachine) => number) => (m: PickleMachine) => m.push(m.text(length(m)));
const u8 = (m: PickleMachine) => m.reader.u8();
const u32 = (m: PickleMachine) => m.reader.u32();
const u64 = (m: PickleMachine) => m.longLength();

export const opcodes: Readonly<Record<number, Opcode>> = {
  128: {name: 'PROTO', run: protocol},
  149: {name: 'FRAME', run: frame},
  46: {name: 'STOP', run: stop},
  40: {name: 'MARK', run: (m) => m.mark()},

  78: {name: 'NONE', run: (m) => m.push(null)},
  136: {name: 'NEWTRUE', run: (m) => m.push(true)},
  137: {name: 'NEWFALSE', run: (m) => m.push(false)},
  74: {name: 'BININT', run: (m) => m.push(m.reader.i32())},
  75: {name: 'BININT1', run: (m) => m.push(m.reader.u8())},
  77: {name: 'BININT2', run: (m) => m.push(m.reader.u16())},
  138: {name: 'LONG1', run: long((m) => m.reader.u8())},
  139: {name: 'LONG4', run: long((m) => m.reader.u32())},
  71: {name: 'BINFLOAT', run: (m) => m.push(m.reader.f64BigEndian())},

  // Python 2 wrote its byte strings with the BINSTRING pair; the names of old state dicts are such strings.
  84: {name: 'BINSTRING', run: text(u32)},
  85: {name: 'SHORT_BINSTRING', run: text(u8)},
  88: {name: 'BINUNICODE', run: text(u32)},
  140: {name: 'SHORT_BINUNICODE', run: text(u8)},
  141: {name: 'BINUNICODE8', run: text(u64)},
  66: {name: 'BINBYTES', run: bytes(u32)},
  67: {name: 'SHORT_BINBYTES', run: bytes(u8)},
  142: {name: 'BINBYTES8', run: bytes(u64)},
  150: {name: 'BYTEARRAY8', run: bytes(u64)},

  41: {name: 'EMPTY_TUPLE', run: (m) => m.pushNew(tuple([]))},
  133: {name: 'TUPLE1', run: popTupleOf(1)},
  134: {name: 'TUPLE2', run: popTupleOf(2)},
  135: {name: 'TUPLE3', run: popTupleOf(3)},
  116: {name: 'TUPLE', run: (m) => m.pushNew(tuple(m.popMark()))},
  93: {name: 'EMPTY_LIST', run: (m) => m.pushNew([])},
  97: {name: 'APPEND', run: append},
  101: {name: 'APPENDS', run: appends},
  125: {name: 'EMPTY_DICT', run: (m) => m.pushNew(new Map())},
  115: {name: 'SETITEM', run: setItem},
  117: {name: 'SETITEMS', run: (m) => setItems(m, m.popMark())},
  143: {name: 'EMPTY_SET', run: (m) => m.pushNew({kind: 'set', items: []})},
  144: {name: 'ADDITEMS', run: addItems},
  145: {name: 'FROZENSET', run: frozenSet},

  // Of an object that contains itself by way of what it is made of, the second copy is thrown away: OneCycleLR's methods.
  48: {name: 'POP', run: (m) => void m.pop()},
  49: {name: 'POP_MARK', run: (m) => void m.popMark()},

  113: {name: 'BINPUT', run: (m) => m.memoize(m.reader.u8())},
  114: {name: 'LONG_BINPUT', run: (m) => m.memoize(m.reader.u32())},
  148: {name: 'MEMOIZE', run: (m) => m.memoize(m.memoSize)},
  104: {name: 'BINGET', run: (m) => m.push(m.recall(m.reader.u8()))},
  106: {name: 'LONG_BINGET', run: (m) => m.push(m.recall(m.reader.u32()))},

  99: {name: 'GLOBAL', run: (m) => m.push(lookUpGlobal(m, m.line(), m.line()))},
  147: {name: 'STACK_GLOBAL', run: stackGlobal},
  82: {name: 'REDUCE', run: construct('call')},
  129: {name: 'NEWOBJ', run: construct('create')},
  146: {name: 'NEWOBJ_EX', run: createWithNames},
  98: {name: 'BUILD', run: build},
  81: {name: 'BINPERSID', run: persistentId},
};

const TEXT_FORM = 'protocols 0 and 1 are not read';
const MAKES_OBJECTS = 'it creates Python objects in a way that torch.save never writes';
const OUT_OF_BAND = 'its bytes would come from outside the file';
const UNUSED = 'torch.save never writes it';

/** Known opcodes that are not run: byte → name and why. */
export const refusedOpcodes: Readonly<Record<number, readonly [name: string, reason: string]>> = {
  73: ['INT', TEXT_FORM],
  76: ['LONG', TEXT_FORM],
  70: ['FLOAT', TEXT_FORM],
  83: ['STRING', TEXT_FORM],
  86: ['UNICODE', TEXT_FORM],
  100: ['DICT', TEXT_FORM],
  108: ['LIST', TEXT_FORM],
  112: ['PUT', TEXT_FORM],
  103: ['GET', TEXT_FORM],
  80: ['PERSID', TEXT_FORM],
  105: ['INST', MAKES_OBJECTS],
  111: ['OBJ', MAKES_OBJECTS],
  130: ['EXT1', MAKES_OBJECTS],
  131: ['EXT2', MAKES_OBJECTS],
  132: ['EXT4', MAKES_OBJECTS],
  151: ['NEXT_BUFFER', OUT_OF_BAND],
  152: ['READONLY_BUFFER', OUT_OF_BAND],
  50: ['DUP', UNUSED],
};
