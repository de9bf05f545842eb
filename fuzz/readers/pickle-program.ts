/** Random pickle programs: instructions as plain data, so that they can be bent, and their bytes. */
import {allowedGlobals} from '../../src/checkpoint/pickle-globals.js';
import {opcodes, refusedOpcodes} from '../../src/checkpoint/pickle-opcodes.js';
import type {Random} from '../../src/core/random.js';
import {u32, u64} from '../../test/checkpoint/assembler.js';
import {anyNumber, chance, noise, pick, several, trickyNames} from '../dice.js';

/** An opcode by name, with what follows it: a number, a text, bytes. */
export interface Instruction {
  op: string;
  argument?: number | string | Uint8Array;
  /** A length other than that of the argument. */
  length?: number;
}
export type Program = Instruction[];

const codes = new Map<string, number>([
  ...Object.entries(opcodes).map(([byte, {name}]) => [name, Number(byte)] as const),
  ...Object.entries(refusedOpcodes).map(([byte, [name]]) => [name, Number(byte)] as const),
]);
const names = [...codes.keys()];

type Encode = (argument: NonNullable<Instruction['argument']>, length: number | undefined) => ArrayLike<number>;
const content = (argument: number | string | Uint8Array): Uint8Array =>
  argument instanceof Uint8Array ? argument : Buffer.from(String(argument));
const wide = (n: number): bigint => (Number.isFinite(n) ? BigInt.asUintN(64, BigInt(Math.trunc(n))) : 0n);
const short: Encode = (a, length = content(a).length) => [length & 255, ...content(a)];
const counted: Encode = (a, length = content(a).length) => [...u32(length), ...content(a)];
const longCounted: Encode = (a, length = content(a).length) => [...u64(wide(length)), ...content(a)];
const byte: Encode = (a) => [Number(a) & 255];
const four: Encode = (a) => u32(Number(a));
const double: Encode = (a) => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, Number(a));
  return bytes;
};

const encodings: Readonly<Record<string, Encode>> = {
  ...{PROTO: byte, BININT: four, BININT1: byte, BININT2: (a) => [Number(a) & 255, (Number(a) >> 8) & 255], LONG1: short},
  ...{BINFLOAT: double, FRAME: (a) => u64(wide(Number(a))), BINSTRING: counted, SHORT_BINSTRING: short, BINUNICODE: counted},
  ...{SHORT_BINUNICODE: short, BINUNICODE8: longCounted, BINBYTES: counted, SHORT_BINBYTES: short, BINBYTES8: longCounted},
  ...{BINPUT: byte, LONG_BINPUT: four, BINGET: byte, LONG_BINGET: four, GLOBAL: (a) => content(a)},
};

export function assemble(program: Program): Uint8Array {
  const bytes = program.flatMap(({op, argument, length}) => {
    const code = codes.get(op) ?? op.charCodeAt(0);
    const encode = Object.hasOwn(encodings, op) ? encodings[op] : undefined;
    return encode && argument !== undefined ? [code, ...Array.from(encode(argument, length))] : [code];
  });
  return Uint8Array.from(bytes);
}

const globals = [...allowedGlobals.values()].map(({module, name}) => `${module}\n${name}\n`);
const strangers = ['os\nsystem\n', 'builtins\neval\n', 'torch\nload\n', 'collections\nOrderedDict.__init__\n', '\n\n'];
/** Classes of somebody's program: stubs. */
const classes = ['__main__\nNet\n', 'models.config\nConfig\n', 'easydict\nEasyDict\n', 'torch.optim.sgd\nSGD\n', 'm\nA.B\n'];
const GLOBAL = (argument: string): Instruction => ({op: 'GLOBAL', argument});

const scalars: readonly ((dice: Random) => Program)[] = [
  () => [{op: 'NONE'}],
  (dice) => [{op: chance(dice, 0.5) ? 'NEWTRUE' : 'NEWFALSE'}],
  (dice) => [{op: pick(dice, ['BININT', 'BININT1', 'BININT2']), argument: anyNumber(dice)}],
  (dice) => [{op: 'LONG1', argument: noise(dice, dice.integer(12))}],
  (dice) => [{op: 'BINFLOAT', argument: anyNumber(dice) / 3}],
  (dice) => [{op: pick(dice, ['BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8', 'BINSTRING']), argument: `k${dice.integer(9)}`}],
  (dice) => [{op: 'BINUNICODE', argument: pick(dice, trickyNames)}],
  (dice) => [{op: pick(dice, ['BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8']), argument: noise(dice, dice.integer(9))}],
  (dice) => [GLOBAL(chance(dice, 0.95) ? pick(dice, globals) : pick(dice, strangers))],
  (dice) => [{op: 'BINGET', argument: dice.integer(6)}],
];

const text = (argument: string): Instruction => ({op: 'BINUNICODE', argument});
const int = (argument: number): Instruction => ({op: 'BININT', argument});
const marked = (items: readonly Program[], end: string): Program => [{op: 'MARK'}, ...items.flat(), {op: end}];
const ints = (dice: Random, most: number): Program =>
  marked(
    several(dice, 3, () => [int(dice.integer(most))]),
    'TUPLE',
  );
/** Made anew each time, because what is made of it is bent in place. */
const emptyOrdered = (): Program => [GLOBAL('collections\nOrderedDict\n'), {op: 'EMPTY_TUPLE'}, {op: 'REDUCE'}];

/** The numbers that a file has beside its pickle. */
export interface StorageSpec {
  readonly key: string;
  readonly kind: string;
  readonly count: number;
  readonly bytes: number;
}

const storageKinds = [
  ['FloatStorage', 4],
  ['HalfStorage', 2],
  ['LongStorage', 8],
  ['ByteStorage', 1],
  ['QInt8Storage', 1],
] as const;

export const storages = (dice: Random): StorageSpec[] =>
  several(dice, 3, (i) => {
    const [kind, width] = storageKinds[chance(dice, 0.7) ? 0 : dice.integer(storageKinds.length)]!;
    const count = dice.integer(20);
    return {key: String(i), kind, count, bytes: count * width};
  });

const anyStorage: StorageSpec = {key: '9', kind: 'FloatStorage', count: 12, bytes: 48};

function storage({key, kind, count}: StorageSpec): Program {
  const id: Program[] = [[text('storage')], [GLOBAL(`torch\n${kind}\n`)], [text(key)], [text('cpu')], [int(count)]];
  return [...marked(id, 'TUPLE'), {op: 'BINPERSID'}];
}

/** A view that fits, unless it is bent later. */
function tensor(dice: Random, over: StorageSpec): Program {
  const rows = dice.integer(4);
  const columns = rows > 0 ? dice.integer(Math.floor(over.count / rows) + 1) : dice.integer(4);
  const [shape, stride] = chance(dice, 0.3)
    ? [[rows * columns], [1]]
    : [
        [rows, columns],
        [columns, 1],
      ];
  const tuple = (numbers: readonly number[]) =>
    marked(
      numbers.map((n) => [int(n)]),
      'TUPLE',
    );
  const offset = dice.integer(Math.max(1, over.count - rows * columns + 1));
  const parts = [storage(over), [int(offset)], tuple(shape), tuple(stride), [{op: 'NEWFALSE'}], emptyOrdered()];
  return [GLOBAL('torch._utils\n_rebuild_tensor_v2\n'), ...marked(parts, 'TUPLE'), {op: 'REDUCE'}];
}

const containers: readonly ((dice: Random, depth: number) => Program)[] = [
  (dice, depth) => [{op: 'EMPTY_LIST'}, ...marked(values(dice, depth), 'APPENDS')],
  (dice, depth) => [{op: 'EMPTY_LIST'}, ...value(dice, depth), {op: 'APPEND'}],
  (dice, depth) => [{op: 'EMPTY_DICT'}, ...marked([...pairs(dice, depth)], 'SETITEMS')],
  (dice, depth) => [{op: 'EMPTY_DICT'}, text('a'), ...value(dice, depth), {op: 'SETITEM'}],
  (dice, depth) => marked(values(dice, depth), 'TUPLE'),
  (dice, depth) => [...value(dice, depth), ...value(dice, depth), {op: pick(dice, ['TUPLE1', 'TUPLE2', 'TUPLE3'])}],
  (dice, depth) => [{op: 'EMPTY_SET'}, ...marked(values(dice, depth), 'ADDITEMS')],
  (dice, depth) => [...emptyOrdered(), ...marked(pairs(dice, depth), 'SETITEMS'), {op: 'EMPTY_DICT'}, {op: 'BUILD'}],
  (dice, depth) => [
    ...[GLOBAL('argparse\nNamespace\n'), {op: 'EMPTY_TUPLE'}, {op: 'NEWOBJ'}, {op: 'EMPTY_DICT'}],
    ...[...marked(pairs(dice, depth), 'SETITEMS'), {op: 'BUILD'}],
  ],
  (dice, depth) => [
    GLOBAL(pick(dice, globals)),
    ...marked(values(dice, depth), 'TUPLE'),
    {op: pick(dice, ['REDUCE', 'NEWOBJ'])},
  ],
  (dice, depth) => object(dice, depth),
  (dice, depth) => [
    ...[
      GLOBAL('builtins\ngetattr\n'),
      {op: 'MARK'},
      ...(chance(dice, 0.7) ? [GLOBAL(pick(dice, classes))] : value(dice, depth)),
    ],
    ...[text(pick(dice, trickyNames)), {op: 'TUPLE'}, {op: 'REDUCE'}],
  ],
  (dice) => array(dice),
  (dice, depth) => [...value(dice, depth), ...value(dice, depth), {op: 'POP'}],
  (dice) => tensor(dice, anyStorage),
  () => storage(anyStorage),
  (dice) => [
    GLOBAL('torch._utils\n_rebuild_parameter\n'),
    ...marked([tensor(dice, anyStorage), [{op: 'NEWTRUE'}]], 'TUPLE'),
    {op: 'REDUCE'},
  ],
  (dice) => [GLOBAL('torch\nSize\n'), ...ints(dice, 9), {op: 'TUPLE1'}, {op: 'REDUCE'}],
  (dice) => [GLOBAL('numpy\ndtype\n'), text(pick(dice, ['f8', 'i4', 'b1', 'O8'])), {op: 'TUPLE1'}, {op: 'REDUCE'}],
  (dice) => [
    ...[GLOBAL('numpy.core.multiarray\nscalar\n'), GLOBAL('numpy\ndtype\n'), text('f8'), {op: 'TUPLE1'}, {op: 'REDUCE'}],
    ...[{op: 'BINBYTES', argument: noise(dice, 8)}, {op: 'TUPLE2'}, {op: 'REDUCE'}],
  ],
  (dice) => [{op: pick(dice, names), argument: dice.integer(300)}],
];

/** An object of a class that means nothing, with attributes, entries or items. */
const object = (dice: Random, depth: number): Program => [
  ...[GLOBAL(pick(dice, classes)), ...marked(values(dice, depth), 'TUPLE'), {op: pick(dice, ['REDUCE', 'NEWOBJ'])}],
  ...(chance(dice, 0.5) ? [{op: 'EMPTY_DICT'}, ...marked(pairs(dice, depth), 'SETITEMS'), {op: 'BUILD'}] : []),
  ...(chance(dice, 0.3) ? marked(pairs(dice, depth), 'SETITEMS') : []),
  ...(chance(dice, 0.3) ? marked(values(dice, depth), 'APPENDS') : []),
];

/** A numpy array that fits, unless it is bent later. */
function array(dice: Random): Program {
  const code = pick(dice, ['f4', 'f2', 'u2', 'u4', 'i8', 'O8', 'U3', 'V4']);
  const [rows, columns] = [dice.integer(3), dice.integer(3)];
  const size = marked([[int(rows)], [int(columns)]], 'TUPLE');
  const dtype: Program = [
    ...[GLOBAL('numpy\ndtype\n'), text(code), {op: 'TUPLE1'}, {op: 'REDUCE'}],
    ...marked([[int(3)], [text(pick(dice, ['<', '>', '|']))]], 'TUPLE'),
    {op: 'BUILD'},
  ];
  const data: Program = [{op: 'BINBYTES', argument: noise(dice, rows * columns * Number(code.slice(1)))}];
  const state = marked([[int(1)], size, dtype, [{op: chance(dice, 0.5) ? 'NEWTRUE' : 'NEWFALSE'}], data], 'TUPLE');
  return [GLOBAL('numpy.core.multiarray\n_reconstruct\n'), {op: 'EMPTY_TUPLE'}, {op: 'REDUCE'}, ...state, {op: 'BUILD'}];
}

const MAX_DEPTH = 4;

export function value(dice: Random, depth = 0): Program {
  const isScalar = depth >= MAX_DEPTH || chance(dice, 0.45);
  const made = isScalar ? pick(dice, scalars)(dice) : pick(dice, containers)(dice, depth + 1);
  return chance(dice, 0.2) ? [...made, chance(dice, 0.5) ? {op: 'MEMOIZE'} : {op: 'BINPUT', argument: dice.integer(6)}] : made;
}
const values = (dice: Random, depth: number): Program[] => several(dice, 4, () => value(dice, depth));
const pairs = (dice: Random, depth: number): Program[] =>
  several(dice, 3, (i) => [text(chance(dice, 0.9) ? `key${i}` : pick(dice, trickyNames)), ...value(dice, depth)]);

/** A state dict with tensors, as the file's whole contents. */
export function stateDict(dice: Random, over: readonly StorageSpec[]): Program {
  const name = (i: number) => text(chance(dice, 0.9) ? `layer.${i}.weight` : pick(dice, trickyNames));
  // the first tensors name every storage, as the legacy form asks for; more may share them
  const tensors = [...over, ...several(dice, 2, () => pick(dice, over.length > 0 ? over : [anyStorage]))];
  const dict = [
    ...emptyOrdered(),
    ...marked(
      tensors.map((spec, i) => [name(i), ...(chance(dice, 0.95) ? tensor(dice, spec) : array(dice))]),
      'SETITEMS',
    ),
  ];
  if (chance(dice, 0.4)) return dict;
  if (chance(dice, 0.4)) return nested(dice, dict);
  return [
    {op: 'EMPTY_DICT'},
    ...marked(
      [
        [text('state_dict'), ...dict],
        [text('args'), ...value(dice, 2)],
      ],
      'SETITEMS',
    ),
  ];
}

/** The same under other names, deeper, in a tuple, beside an average or another network. */
function nested(dice: Random, dict: Program): Program {
  const names = ['net', 'checkpoint', 'model_ema', 'best_model', 'ema', 'model.x', '0'];
  const record = (entries: readonly Program[]): Program => [{op: 'EMPTY_DICT'}, ...marked(entries, 'SETITEMS')];
  const under = (inner: Program) => record([[text(pick(dice, names)), ...inner]]);
  const way = dice.integer(4);
  if (way === 0) return under(under(dict));
  if (way === 1) return marked([dict, [int(3)]], 'TUPLE');
  const second = chance(dice, 0.5) ? dict : value(dice, 2);
  if (way === 2)
    return record([
      [text(pick(dice, names)), ...dict],
      [text(pick(dice, names)), ...second],
    ]);
  return [GLOBAL(pick(dice, classes)), {op: 'EMPTY_TUPLE'}, {op: 'NEWOBJ'}, ...under(dict), {op: 'BUILD'}];
}

export function program(dice: Random, root: Program): Program {
  const protocol = pick(dice, [2, 2, 2, 3, 4, 5]);
  const framed = protocol >= 4 && chance(dice, 0.5) ? [{op: 'FRAME', argument: assemble(root).length + 1}] : [];
  return [{op: 'PROTO', argument: protocol}, ...framed, ...root, {op: 'STOP'}];
}
