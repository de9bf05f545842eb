/**
 * Files that are small and ask for much: time that grows faster than they do, or memory. Each is made at a size at which a careless
 * reader would need hours or gigabytes. The tests read them all; `scripts/attack-memory.ts` measures what they cost.
 */
import {deflateRawSync} from 'node:zlib';
import {ModelProto} from '../src/onnx/proto.js';
import {
  archive,
  bytes,
  dict,
  global,
  int,
  pickle,
  storage,
  str,
  tensor,
  tuple,
  u32,
  u64,
} from '../test/checkpoint/assembler.js';
import {fakeZip} from '../test/checkpoint/fake-zip.js';

export type AttackKind = 'checkpoint' | 'model' | 'tar';
export interface Attack {
  readonly name: string;
  readonly kind: AttackKind;
  make(): Uint8Array;
  /** The code of the refusal; 'read' where the file is odd but allowed, and must only not cost more than it is worth. */
  readonly outcome: string;
}

const K = 1000;
const repeat = (piece: Uint8Array, times: number): Uint8Array => {
  const out = new Uint8Array(piece.length * times);
  for (let i = 0; i < times; i++) out.set(piece, i * piece.length);
  return out;
};
const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const list = (count: number, make: (i: number) => Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat(Array.from({length: count}, (_, i) => make(i))));

const torchFile = (root: Uint8Array): Uint8Array => archive({'data.pkl': pickle(root), version: bytes('3\n')});
const one = bytes('K', 1);
const get = (index: number) => bytes('h', index);
const put = (index: number) => bytes('q', index);
const call = (memo: number, argument: number) => join(get(memo), get(argument), bytes(0x85, 'R'));
const aTensor = tensor(storage('0', int(1)), {size: [int(1)], stride: [int(1)]});
const withStorage = (root: Uint8Array): Uint8Array => archive({'data.pkl': pickle(root), 'data/0': new Uint8Array(4)});

/** A long list in memo 0, a callable in memo 1, and the call repeated. */
const copies = (items: Uint8Array, callable: Uint8Array): Uint8Array =>
  torchFile(join(bytes('(](', items, 'e'), put(0), callable, put(1), repeat(call(1, 0), 100 * K), bytes('t')));

const sharedDict = (entries: number, names: number): Uint8Array => {
  const tensors = list(entries, (i) => join(str(String(i)), get(0)));
  const shared = join(aTensor, put(0), bytes('}('), tensors, bytes('u'), put(1));
  return withStorage(
    join(
      bytes('(', shared, '}('),
      list(names, (i) => join(str(`n${i}`), get(1))),
      bytes('ut'),
    ),
  );
};

/** The shared dict again, but as the file's own top level. */
const manyStateDicts = (): Uint8Array => {
  const tensors = list(8 * K, (i) => join(str(String(i)), i === 0 ? join(aTensor, put(0)) : get(0)));
  const first = join(str('state_dict'), bytes('}('), tensors, bytes('u'), put(1));
  return withStorage(
    join(
      bytes('}('),
      first,
      list(100 * K, (i) => join(str(`n${i}`), get(1))),
      bytes('u'),
    ),
  );
};

/** Tensors of a million elements, all over one storage, under many names. */
const views = (names: number, count: number, stride: number): Uint8Array => {
  const shape = {size: [int(1000 * K)], stride: [int(stride)]};
  const entries = Array.from({length: names}, (_, i) => [str(`w${i}`), tensor(storage('0', int(count)), shape)]);
  return archive({'data.pkl': pickle(dict(...entries.flat())), 'data/0': new Uint8Array(4 * count)});
};

/** Calls of classes that mean nothing, all with the same arguments. */
const objects = (of: (i: number) => Uint8Array, count: number): Uint8Array =>
  torchFile(
    join(
      bytes('()', 'q', 1),
      global('m', 'C'),
      put(0),
      list(count, (i) => join(of(i), get(1), bytes('R'))),
      bytes('t'),
    ),
  );

const sharedArray = (names: number): Uint8Array => {
  const dtype = join(global('numpy', 'dtype'), tuple(str('f4')), bytes('R'));
  const state = tuple(int(1), tuple(int(256)), dtype, bytes(0x89), bytes('B', [0, 4, 0, 0], new Uint8Array(1024)));
  const array = join(global('numpy.core.multiarray', '_reconstruct'), bytes(')R'), state, bytes('b'), put(1));
  return archive({
    'data.pkl': pickle(
      join(
        bytes('}('),
        str('a'),
        array,
        list(names, (i) => join(str(`n${i}`), get(1))),
        bytes('u'),
      ),
    ),
  });
};

const args = (shared: Uint8Array, names: number): Uint8Array => {
  const fields = list(names, (i) => join(str(`a${i}`), i === 0 ? join(shared, put(0)) : get(0)));
  return withStorage(dict(str('state_dict'), dict(str('w'), aTensor), str('args'), join(bytes('}('), fields, bytes('u'))));
};

const safetensors = (header: string, data = 0): Uint8Array =>
  join(bytes(u64(BigInt(Buffer.byteLength(header)))), Buffer.from(header), new Uint8Array(data));
const smallTensors = (count: number): Uint8Array => {
  const entries = Array.from({length: count}, (_, i) => `"${i}":{"dtype":"U8","shape":[],"data_offsets":[${i},${i + 1}]}`);
  return safetensors(`{${entries.join(',')}}`, count);
};
const metadata = (keys: number): string =>
  `"__metadata__":{${Array.from({length: keys}, (_, i) => `"${i.toString(16)}":""`).join(',')}},`;
const oneTensor = (text: string): string => `{${text}"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`;

/** The keys of a CIFAR ResNet, with one of them far away. */
const farBlock = (): Uint8Array => {
  const keys = ['conv1.weight', 'bn1.weight', 'layer1.0.conv1.weight', 'layer2.0.conv1.weight', 'layer3.0.conv1.weight'];
  const shape = (key: string) => (key.endsWith('bn1.weight') ? [16] : [16, key === 'conv1.weight' ? 3 : 16, 3, 3]);
  const all = [...keys, 'linear.weight', 'layer1.4000000000.conv1.weight'];
  let at = 0;
  const entries = all.map((key) => {
    const size = key === 'linear.weight' ? [10, 64] : shape(key);
    const begin = at;
    at += 4 * size.reduce((n, d) => n * d, 1);
    return `"${key}":{"dtype":"F32","shape":[${size}],"data_offsets":[${begin},${at}]}`;
  });
  return safetensors(`{${entries.join(',')}}`, at);
};

const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))]);
const field = (number: number, content: Uint8Array): Uint8Array =>
  join(bytes(varint(number * 8 + 2), varint(content.length)), content);
const f32 = {tensorType: {elemType: 1, shape: {dim: [{dimValue: 1}]}}};
/** A model whose graph has an input `x` and, after `body`, nothing else. */
const model = (body: Uint8Array, before: Uint8Array = bytes()): Uint8Array => {
  const head = ModelProto.encode({irVersion: 8, opsetImport: [{version: 17}]}).finish();
  const input = ModelProto.encode({graph: {name: 'g', input: [{name: 'x', type: f32}], output: [{name: 'x'}]}}).finish();
  const content = join(new Uint8Array(input.subarray(input.length - graphLength(input))), body);
  return join(new Uint8Array(head), before, field(7, content));
};
/** Bytes of the graph field's content: what follows its tag and its one-byte length. */
const graphLength = (encoded: Uint8Array): number => encoded[1]!;

const text = (number: number, value: string): Uint8Array => field(number, Buffer.from(value));
const node = (opType: string, name: string, inputs: readonly string[], output: string, more = bytes()): Uint8Array =>
  field(1, join(...inputs.map((input) => text(1, input)), text(2, output), text(3, name), text(4, opType), more));
const tinyGraph = join(text(2, 's'));
const withSubgraph = field(5, join(text(1, 'then_branch'), bytes(varint(20 * 8), 5), field(6, tinyGraph)));
const axes = field(
  5,
  join(
    bytes(varint(8), varint(250)),
    bytes(varint(16), 7),
    field(
      7,
      Uint8Array.from({length: 250}, (_, i) => i % 100),
    ),
    text(8, 'axes'),
  ),
);

const BLOCK = 512;
function tarHeader(name: string, type: string, size: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (value: string, at: number) => block.set(Buffer.from(value), at);
  put(name.slice(0, 100), 0);
  put('0000644\0', 100);
  put(size.toString(8).padStart(11, '0'), 124);
  put(type, 156);
  put('ustar\0', 257);
  block.fill(0x20, 148, 156);
  put(
    `${block
      .reduce((n, byte) => n + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return block;
}
function longNamed(name: string): Uint8Array {
  const data = Buffer.from(`${name}\0`);
  const padding = new Uint8Array((BLOCK - (data.length % BLOCK)) % BLOCK);
  return join(tarHeader('././@LongLink', 'L', data.length), data, padding, tarHeader('x', '0', 0));
}

const refused = 'LIMIT_EXCEEDED';
const attack = (kind: AttackKind, name: string, outcome: string, make: () => Uint8Array): Attack => ({
  kind,
  name,
  outcome,
  make,
});

export const attacks: readonly Attack[] = [
  attack('checkpoint', 'four million dicts, one byte each', refused, () =>
    torchFile(join(bytes('('), repeat(bytes('}'), 4000 * K), bytes('t'))),
  ),
  attack('checkpoint', 'a million nested lists', refused, () =>
    torchFile(join(repeat(bytes(']'), 1000 * K), repeat(bytes('a'), 1000 * K - 1))),
  ),
  attack('checkpoint', 'a hundred thousand sets of one list', refused, () =>
    copies(repeat(one, 100 * K), global('builtins', 'set')),
  ),
  attack('checkpoint', 'a hundred thousand sizes of one list', refused, () =>
    copies(repeat(one, 100 * K), global('torch', 'Size')),
  ),
  attack('checkpoint', 'a hundred thousand OrderedDicts of one list', refused, () =>
    copies(
      list(100 * K, (i) => join(str(String(i)), one, bytes(0x86))),
      global('collections', 'OrderedDict'),
    ),
  ),
  attack('checkpoint', 'a Namespace filled a hundred thousand times', refused, () => {
    const fields = list(100 * K, (i) => join(str(String(i)), one));
    const filled = repeat(join(get(0), bytes('b')), 100 * K);
    return torchFile(
      join(bytes('(}('), fields, bytes('u'), put(0), global('argparse', 'Namespace'), bytes(')', 0x81), filled, bytes('t')),
    );
  }),
  attack('checkpoint', 'three million memo entries', refused, () =>
    torchFile(
      join(
        bytes('N'),
        list(3000 * K, (i) => bytes('r', u32(i))),
      ),
    ),
  ),
  attack('checkpoint', 'a state dict under a hundred thousand names', refused, manyStateDicts),
  attack('checkpoint', 'a dict of tensors in fifty thousand places', refused, () => sharedDict(50 * K, 50 * K)),
  attack('checkpoint', 'two hundred thousand objects of one class', refused, () => objects(() => get(0), 200 * K)),
  attack('checkpoint', 'objects of a hundred thousand classes', refused, () => objects((i) => global('m', `C${i}`), 100 * K)),
  attack('checkpoint', 'a numpy array under fifty thousand names', refused, () => sharedArray(50 * K)),
  attack('checkpoint', 'a state dict among a million numbers', refused, () =>
    withStorage(join(bytes('(', 'K\x01'.repeat(1000 * K)), dict(str('w'), aTensor), bytes('t'))),
  ),
  attack('checkpoint', 'options that share one list', 'read', () =>
    args(join(bytes(']('), repeat(one, 9 * K), bytes('e')), 50 * K),
  ),
  attack('checkpoint', 'options that share one text', 'read', () => args(str('x'.repeat(1000 * K)), 50 * K)),
  attack('checkpoint', 'a text of thirty megabytes, two bytes a character', 'read', () =>
    withStorage(dict(str('state_dict'), dict(str('w'), aTensor), str('note'), str(`\u0100${'x'.repeat(20_000 * K)}`))),
  ),
  attack('checkpoint', 'a pickle that inflates to four megabytes of dicts', refused, () => {
    const data = pickle(join(bytes('('), repeat(bytes('}'), 4_000 * K), bytes('t')));
    return fakeZip([{name: 'a/data.pkl', data: deflateRawSync(data), method: 8, size: data.length, crc: 0}]);
  }),
  attack('checkpoint', 'a pickle that inflates to a gigabyte', refused, () =>
    fakeZip([{name: 'a/data.pkl', data: deflateRawSync(new Uint8Array(1 << 20)), method: 8, size: 1 << 30, crc: 0}]),
  ),
  attack('checkpoint', 'a zip archive of sixty thousand entries', refused, () => {
    const data = pickle(dict(str('w'), aTensor));
    const many = Array.from({length: 60 * K}, (_, i) => ({name: `a/data/${i}`, data: new Uint8Array(4)}));
    return fakeZip([{name: 'a/data.pkl', data}, ...many], {count: 60 * K + 1});
  }),
  attack('checkpoint', 'a thousand tensors of one element, a million times each', refused, () => views(1000, 1, 0)),
  attack('checkpoint', 'a thousand tensors over one storage', refused, () => views(1000, 1000 * K, 1)),
  attack('checkpoint', 'a header of forty thousand tensors', refused, () => smallTensors(40 * K)),
  attack('checkpoint', 'a header of fifteen thousand tensors', 'read', () => smallTensors(15 * K)),
  attack('checkpoint', 'a header of thirty megabytes', refused, () => smallTensors(400 * K)),
  attack('checkpoint', 'metadata of a hundred thousand keys', refused, () => safetensors(oneTensor(metadata(100 * K)), 1)),
  attack('checkpoint', 'metadata of thirty thousand keys', 'read', () => safetensors(oneTensor(metadata(30 * K)), 1)),
  attack('checkpoint', 'a tensor described by four hundred thousand keys', refused, () => {
    const more = Array.from({length: 400 * K}, (_, i) => `"${i}":0,`).join('');
    return safetensors(`{"w":{${more}"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1);
  }),
  attack('checkpoint', 'a header with one long text', 'read', () =>
    safetensors(oneTensor(`"__metadata__":{"a":"${'x'.repeat(4000 * K)}"},`), 1),
  ),
  attack('checkpoint', 'a header with one long shape', 'LIMIT_EXCEEDED', () =>
    safetensors(`{"w":{"dtype":"U8","shape":[1${',1'.repeat(1900 * K)}],"data_offsets":[0,1]}}`, 1),
  ),
  attack('checkpoint', 'a network of four thousand million blocks', 'read', farBlock),
  attack('model', 'a hundred thousand nodes of one name', 'LIMIT_EXCEEDED', () =>
    model(list(100 * K, (i) => node('Relu', 'same', [i === 0 ? 'x' : `v${i - 1}`], `v${i}`))),
  ),
  attack('model', 'ten thousand nodes of one name', 'read', () =>
    model(list(10 * K, (i) => node('Relu', 'same', [i === 0 ? 'x' : `v${i - 1}`], `v${i}`))),
  ),
  attack('model', 'three thousand subgraphs that see three thousand values', 'read', () =>
    model(
      join(
        list(3 * K, (i) => node('Relu', `r${i}`, ['x'], `v${i}`)),
        list(3 * K, (i) => node('If', `i${i}`, ['x'], `w${i}`, withSubgraph)),
      ),
    ),
  ),
  attack('model', 'ten thousand shapes of two hundred dimensions', 'read', () =>
    model(
      join(
        axes,
        list(10 * K, (i) => node('Unsqueeze', `u${i}`, ['x', 'axes'], `v${i}`)),
      ),
    ),
  ),
  attack('model', 'a shape of a million dimensions', refused, () =>
    model(field(11, join(text(1, 'y'), field(2, field(1, join(bytes(8, 1), field(2, repeat(bytes(0x0a, 0), 1000 * K)))))))),
  ),
  attack('model', 'nine million empty names', refused, () => model(field(1, repeat(bytes(0x0a, 0), 9000 * K)))),
  attack('model', 'five million empty properties', refused, () => model(bytes(), repeat(bytes(0x72, 0), 5000 * K))),
  attack('model', 'ten million integers of one byte', refused, () => {
    const count = 10_000 * K;
    return model(
      field(5, join(bytes(varint(8), varint(count)), bytes(varint(16), 7), field(7, new Uint8Array(count)), text(8, 'w'))),
    );
  }),
  attack('model', 'an attribute of ten million integers', refused, () =>
    model(
      node(
        'Relu',
        'r',
        ['x'],
        'y',
        field(5, join(text(1, 'a'), bytes(varint(20 * 8), 7), field(8, new Uint8Array(10_000 * K)))),
      ),
    ),
  ),
  attack('tar', 'sixty thousand links', 'DATASET_INVALID', () => list(60 * K, (i) => tarHeader(`cat/${i}.jpg`, '2', 0))),
  attack('tar', 'a name of a megabyte', 'DATASET_INVALID', () => longNamed(`${'a/'.repeat(500 * K)}x.jpg`)),
  attack('tar', 'ten thousand names of two thousand folders', 'DATASET_INVALID', () =>
    list(10 * K, (i) => longNamed(`${'a/'.repeat(2000)}${i}.jpg`)),
  ),
];
