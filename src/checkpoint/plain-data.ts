/**
 * What a pickle becomes: plain data, and records that only name what they would have been in Python. Nothing here can act.
 * Dicts are Maps (a key `__proto__` is a key like any other), lists are arrays, everything else carries its `kind`.
 * Lists, dicts and namespaces may contain themselves: whoever walks a tree uses `childrenOf` with a set of what was seen.
 */
import type {DType} from '../core/tensor.js';

export type PlainScalar = null | boolean | number | bigint | string;

export type PlainData =
  | PlainScalar
  | Uint8Array
  | PlainData[]
  | PlainMap
  | Tuple
  | PlainSet
  | Namespace
  | GlobalName
  | Inert
  | ObjectStub
  | NumpyDtype
  | NumpyArray
  | StorageRef
  | TensorRef;

export type PlainMap = Map<PlainData, PlainData>;

/** `collections.OrderedDict`: a dict that says so, because a state dict is one and the writer must know. */
export class OrderedDict extends Map<PlainData, PlainData> {}

export interface Tuple {
  readonly kind: 'tuple';
  readonly items: readonly PlainData[];
}
export interface PlainSet {
  readonly kind: 'set';
  readonly items: PlainData[];
}
/** `argparse.Namespace`: the training options, as fields. */
export interface Namespace {
  readonly kind: 'namespace';
  readonly fields: Map<string, PlainData>;
}
/** A name: a class, a dtype, a function. It cannot be called from here, and nothing looks it up. */
export interface GlobalName {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
}
/** Something whose text is all we need: a device, a path, a date. */
export interface Inert {
  readonly kind: 'inert';
  readonly type: string;
  readonly text: string;
}
/** An object of a class that means nothing here: the name of the class, and what the file gives such an object. */
export interface ObjectStub {
  readonly kind: 'object';
  /** `module.name` of its class. */
  readonly type: string;
  readonly args: readonly PlainData[];
  /** Its attributes: a dict, or what else its class makes of its state. */
  state: PlainData | undefined;
  /** What a kind of dict holds. */
  entries: PlainMap | undefined;
  /** What a kind of list or set holds. */
  items: PlainData[] | undefined;
}
export interface NumpyDtype {
  readonly kind: 'dtype';
  /** Such as f8 or U5: the kind of number and its width in bytes. */
  readonly code: string;
  /** '<', '>', or '|' where there is none. */
  order: string;
}
/** A numpy array, exactly as written in the file; nothing has been checked until it is read as a tensor. */
export interface NumpyArray {
  readonly kind: 'array';
  dtype: NumpyDtype | undefined;
  size: readonly PlainData[];
  /** The first dimension is the innermost one, as in Fortran. */
  fortran: boolean;
  /** Undefined for an array of Python objects. */
  bytes: Uint8Array | undefined;
}
/** The bytes behind tensors. `count` is in elements, as the file declares it; nothing has been checked against the bytes yet. */
export interface StorageRef {
  readonly kind: 'storage';
  readonly key: string;
  readonly dtype: DType;
  readonly count: number;
}
/** A view into a storage, exactly as written in the file: possibly nonsense until `tensorSource` has checked it. */
export interface TensorRef {
  readonly kind: 'tensor';
  readonly storage: StorageRef;
  readonly storageOffset: PlainData;
  readonly size: readonly PlainData[];
  readonly stride: readonly PlainData[];
}

export type PlainKind = Exclude<PlainData, PlainScalar | Uint8Array | PlainData[] | PlainMap>['kind'];

export const tuple = (items: readonly PlainData[]): Tuple => ({kind: 'tuple', items});
export const namespace = (fields: Map<string, PlainData> = new Map()): Namespace => ({kind: 'namespace', fields});

export const isMap = (value: PlainData | undefined): value is PlainMap => value instanceof Map;
export const isScalar = (value: PlainData | undefined): value is PlainScalar =>
  value === null || (typeof value !== 'object' && value !== undefined);
export function isKind<K extends PlainKind>(value: PlainData | undefined, kind: K): value is Extract<PlainData, {kind: K}> {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
}
export const isTensor = (value: PlainData | undefined): value is TensorRef => isKind(value, 'tensor');

/** The name a Python programmer would use, for messages. */
export function typeName(value: PlainData): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  if (typeof value === 'string') return 'str';
  if (value instanceof Uint8Array) return 'bytes';
  if (Array.isArray(value)) return 'list';
  if (value instanceof OrderedDict) return 'OrderedDict';
  if (value instanceof Map) return 'dict';
  if (value.kind === 'dtype') return 'numpy.dtype';
  if (value.kind === 'array') return 'numpy.ndarray';
  return value.kind === 'inert' || value.kind === 'object' ? value.type : value.kind;
}

/** A dict, or an object that is a kind of dict, as a dict. */
export const asMap = (value: PlainData | undefined): PlainMap | undefined =>
  isMap(value) ? value : isKind(value, 'object') ? value.entries : undefined;

/** The attributes of an object. Python writes those of `__slots__` beside the others, as a pair. */
export function* attributesOf({state}: ObjectStub): Generator<[name: string, value: PlainData]> {
  const parts = isKind(state, 'tuple') && state.items.length === 2 ? state.items : [state];
  if (!parts.every((part) => part === null || isMap(part))) return;
  for (const part of parts) if (isMap(part)) for (const [key, child] of part) yield [keyText(key), child];
}

/** What a value directly contains, each with the text of its place. */
export function* childrenOf(value: PlainData): Generator<[place: string, child: PlainData]> {
  if (Array.isArray(value)) yield* labelled(value);
  else if (value instanceof Map) for (const [key, child] of value) yield [keyText(key), child];
  else if (isKind(value, 'tuple') || isKind(value, 'set')) yield* labelled(value.items);
  else if (isKind(value, 'namespace')) yield* value.fields;
  else if (isKind(value, 'object')) yield* partsOf(value);
}

function* partsOf(stub: ObjectStub): Generator<[string, PlainData]> {
  for (let i = 0; i < stub.args.length; i++) yield [`(${i})`, stub.args[i]!];
  let named = 0;
  for (const attribute of attributesOf(stub)) {
    named++;
    yield attribute;
  }
  if (named === 0 && stub.state !== undefined && stub.state !== null) yield ['state', stub.state];
  if (stub.entries) yield* childrenOf(stub.entries);
  if (stub.items) yield* labelled(stub.items);
}

function* labelled(items: readonly PlainData[]): Generator<[string, PlainData]> {
  for (let i = 0; i < items.length; i++) yield [String(i), items[i]!];
}

/** A dict key as text. Tuples as keys occur in optimizer states; their contents are not needed. */
export const keyText = (key: PlainData): string => (isScalar(key) ? String(key) : `<${typeName(key)}>`);
