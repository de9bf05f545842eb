/**
 * Plain data and tensors → a protocol 2 pickle as torch.save writes it, so that torch.load, also with weights_only, reads it.
 * The same data gives the same bytes.
 */
import type {DType, Shape, TensorSource} from '../core/tensor.js';
import {elementCount, stridesOf} from '../core/tensor.js';
import {ByteWriter} from './byte-writer.js';
import {OrderedDict, type PlainScalar} from './plain-data.js';
import {storageDtypes} from './torch-globals.js';

/** Python tells 1 from 1.0, JavaScript does not: a float that may be whole says so. */
export interface Float {
  readonly kind: 'float';
  readonly value: number;
}
export const float = (value: number): Float => ({kind: 'float', value});

export type Writable =
  | PlainScalar
  | Float
  | TensorSource
  | readonly Writable[]
  | ReadonlyMap<Writable, Writable>
  | {readonly kind: 'tuple'; readonly items: readonly Writable[]}
  | {readonly kind: 'namespace'; readonly fields: ReadonlyMap<string, Writable>};

export interface WrittenStorage {
  readonly key: string;
  readonly tensor: TensorSource;
}

export interface EncodedPickle {
  readonly bytes: Uint8Array;
  /** One per tensor, in the order of their appearance; the same source twice is one storage. */
  readonly storages: readonly WrittenStorage[];
}

const OP = {
  ...{
    PROTO: 128,
    STOP: 46,
    MARK: 40,
    NONE: 78,
    NEWTRUE: 136,
    NEWFALSE: 137,
    BININT: 74,
    BININT1: 75,
    BININT2: 77,
    LONG1: 138,
    BINFLOAT: 71,
  },
  ...{
    BINUNICODE: 88,
    EMPTY_TUPLE: 41,
    TUPLE1: 133,
    TUPLE2: 134,
    TUPLE3: 135,
    TUPLE: 116,
    EMPTY_LIST: 93,
    APPENDS: 101,
    EMPTY_DICT: 125,
  },
  ...{
    SETITEMS: 117,
    BINPUT: 113,
    LONG_BINPUT: 114,
    BINGET: 104,
    LONG_BINGET: 106,
    GLOBAL: 99,
    REDUCE: 82,
    NEWOBJ: 129,
    BUILD: 98,
    BINPERSID: 81,
  },
} as const;

const storageClasses = new Map<DType, string>([...storageDtypes].flatMap(([name, dtype]) => (dtype ? [[dtype, name]] : [])));

/** Deeper than any checkpoint; a structure that contains itself ends here. */
const MAX_DEPTH = 100;

/** `legacy`: persistent ids have a sixth item there. */
export function encodePickle(root: Writable, {legacy = false}: {legacy?: boolean} = {}): EncodedPickle {
  const encoder = new Encoder(legacy);
  encoder.out.u8(OP.PROTO).u8(2);
  encoder.value(root, 0);
  encoder.out.u8(OP.STOP);
  return {bytes: encoder.out.take(), storages: encoder.storages};
}

const isTensorSource = (value: object): value is TensorSource => 'dtype' in value && 'read' in value;

class Encoder {
  readonly out = new ByteWriter();
  readonly storages: WrittenStorage[] = [];
  /** Strings and global names by their text, tensors by identity → memo index. */
  private readonly memo = new Map<string | object, number>();

  constructor(private readonly legacy: boolean) {}

  value(value: Writable, depth: number): void {
    if (depth > MAX_DEPTH) throw new Error('data nested too deep for a checkpoint');
    if (value === null) this.out.u8(OP.NONE);
    else if (typeof value === 'boolean') this.out.u8(value ? OP.NEWTRUE : OP.NEWFALSE);
    else if (typeof value === 'number' || typeof value === 'bigint') this.number(value);
    else if (typeof value === 'string') this.string(value);
    else this.object(value, depth + 1);
  }

  private object(value: Exclude<Writable, PlainScalar>, depth: number): void {
    if (value instanceof Map) this.dict(value as ReadonlyMap<Writable, Writable>, depth);
    else if (Array.isArray(value)) this.list(value as readonly Writable[], depth);
    else if (isTensorSource(value)) this.tensor(value);
    else if ('kind' in value && value.kind === 'float') this.out.u8(OP.BINFLOAT).f64BigEndian(value.value);
    else if ('kind' in value && value.kind === 'tuple') this.tuple(value.items, (item) => this.value(item, depth));
    else if ('kind' in value && value.kind === 'namespace') this.namespace(value.fields, depth);
    else throw new Error('a value that no pickle holds');
  }

  private number(value: number | bigint): void {
    if (typeof value === 'number' && (!Number.isSafeInteger(value) || Object.is(value, -0)))
      this.out.u8(OP.BINFLOAT).f64BigEndian(value);
    else if (value >= 0 && value < 256) this.out.u8(OP.BININT1).u8(Number(value));
    else if (value >= 0 && value < 65536) this.out.u8(OP.BININT2).u16(Number(value));
    else if (value >= -(2 ** 31) && value < 2 ** 31) this.out.u8(OP.BININT).i32(Number(value));
    else this.long(BigInt(value));
  }

  /** Two's complement in as few bytes as keep the sign. */
  private long(value: bigint): void {
    const bytes: number[] = [];
    for (let rest = value; ; rest >>= 8n) {
      bytes.push(Number(rest & 0xffn));
      const sign = bytes.at(-1)! & 0x80;
      if ((rest >> 8n === 0n && !sign) || (rest >> 8n === -1n && sign)) break;
    }
    if (bytes.length > 255) throw new Error('an integer of more than 255 bytes');
    this.out.u8(OP.LONG1).u8(bytes.length).raw(bytes);
  }

  /** Writes something once, and refers to it afterwards. */
  private once(key: string | object, write: () => void): void {
    const known = this.memo.get(key);
    if (known !== undefined) {
      if (known < 256) this.out.u8(OP.BINGET).u8(known);
      else this.out.u8(OP.LONG_BINGET).u32(known);
      return;
    }
    write();
    const index = this.memo.size;
    this.memo.set(key, index);
    if (index < 256) this.out.u8(OP.BINPUT).u8(index);
    else this.out.u8(OP.LONG_BINPUT).u32(index);
  }

  private string(text: string): void {
    this.once(`str ${text}`, () => {
      const bytes = new TextEncoder().encode(text);
      this.out.u8(OP.BINUNICODE).u32(bytes.length).raw(bytes);
    });
  }

  private global(module: string, name: string): void {
    this.once(`global ${module} ${name}`, () => this.out.u8(OP.GLOBAL).ascii(`${module}\n${name}\n`));
  }

  private tuple<T>(items: readonly T[], write: (item: T) => void): void {
    if (items.length > 3) this.out.u8(OP.MARK);
    for (const item of items) write(item);
    this.out.u8([OP.EMPTY_TUPLE, OP.TUPLE1, OP.TUPLE2, OP.TUPLE3][items.length] ?? OP.TUPLE);
  }

  private list(items: readonly Writable[], depth: number): void {
    this.out.u8(OP.EMPTY_LIST);
    if (items.length === 0) return;
    this.out.u8(OP.MARK);
    for (const item of items) this.value(item, depth);
    this.out.u8(OP.APPENDS);
  }

  private dict(dict: ReadonlyMap<Writable, Writable>, depth: number): void {
    if (dict instanceof OrderedDict) this.orderedDict();
    else this.out.u8(OP.EMPTY_DICT);
    if (dict.size === 0) return;
    this.out.u8(OP.MARK);
    for (const [key, value] of dict) {
      this.value(key, depth);
      this.value(value, depth);
    }
    this.out.u8(OP.SETITEMS);
  }

  private orderedDict(): void {
    this.global('collections', 'OrderedDict');
    this.out.u8(OP.EMPTY_TUPLE).u8(OP.REDUCE);
  }

  private namespace(fields: ReadonlyMap<string, Writable>, depth: number): void {
    this.global('argparse', 'Namespace');
    this.out.u8(OP.EMPTY_TUPLE).u8(OP.NEWOBJ);
    this.dict(new Map(fields), depth);
    this.out.u8(OP.BUILD);
  }

  /** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`. Every tensor is written whole and row-major. */
  private tensor(tensor: TensorSource): void {
    this.once(tensor, () => {
      const shape = (numbers: Shape) => this.tuple(numbers, (n) => this.number(n));
      this.global('torch._utils', '_rebuild_tensor_v2');
      this.out.u8(OP.MARK);
      this.storage(tensor);
      this.number(0);
      shape(tensor.shape);
      shape(stridesOf(tensor.shape));
      this.out.u8(OP.NEWFALSE);
      this.orderedDict();
      this.out.u8(OP.TUPLE).u8(OP.REDUCE);
    });
  }

  private storage(tensor: TensorSource): void {
    const key = String(this.storages.length);
    this.storages.push({key, tensor});
    this.out.u8(OP.MARK);
    this.string('storage');
    this.global('torch', storageClasses.get(tensor.dtype)!);
    this.string(key);
    this.string('cpu');
    this.number(elementCount(tensor.shape));
    if (this.legacy) this.out.u8(OP.NONE);
    this.out.u8(OP.TUPLE).u8(OP.BINPERSID);
  }
}
