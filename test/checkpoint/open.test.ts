import fc from 'fast-check';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {isKind, isMap} from '../../src/checkpoint/plain-data.js';
import {encodePickle, float, type Writable} from '../../src/checkpoint/write-pickle.js';
import {orderedStateDict, saverLayout, writeTorch, writeTorchLegacy} from '../../src/checkpoint/write-torch.js';
import {bufferSource} from '../../src/core/bytes.js';
import {type DType, dtypes, elementCount, float32, type StateDict, sourceOf, tensorOver} from '../../src/core/tensor.js';
import {archive, bytes, collect, dict, int, open, pickle, read, refusal, storage, str, tensor, u32} from './assembler.js';

const state = (...keys: string[]): StateDict => new Map(keys.map((key, i) => [key, sourceOf(float32([2], [i, i + 0.5]))]));
const torch = (root: Writable) => collect((sink) => writeTorch(root, sink));
const legacy = (root: Writable) => collect((sink) => writeTorchLegacy(root, sink));

const full = saverLayout({
  epoch: 3,
  arch: 'resnet18',
  stateDict: state('conv1.weight', 'fc.bias'),
  optimizer: new Map<string, Writable>([
    ['state', new Map([[0, new Map([['momentum_buffer', sourceOf(float32([2], [5, 6]))]])]])],
  ]),
  args: new Map<string, Writable>([
    ['gpd_ratio', 2],
    ['lr', 0.1],
    ['name', null],
    ['steps', [30, 60]],
    ['wide', 2n ** 70n],
  ]),
  stateDictEma: state('conv1.weight', 'fc.bias'),
  metric: float(71),
});

describe.each([
  ['zip', torch],
  ['legacy', legacy],
])('the %s container', (name, write) => {
  test('gives back what was written', () => {
    const checkpoint = open(write(full));
    expect(checkpoint.format).toBe(`torch-${name}`);
    expect(checkpoint.stateDictKey).toBe('state_dict');
    expect([...checkpoint.stateDict.keys()]).toEqual(['conv1.weight', 'fc.bias']);
    expect([...checkpoint.stateDict.get('fc.bias')!.read().data]).toEqual([1, 1.5]);
    expect(Object.fromEntries(checkpoint.meta)).toEqual({epoch: 3, arch: 'resnet18', version: 2, metric: 71});
    expect(Object.fromEntries(checkpoint.args!)).toEqual({
      gpd_ratio: 2,
      lr: 0.1,
      name: null,
      steps: [30, 60],
      wide: String(2n ** 70n),
    });
    expect(checkpoint.available.map(({key, tensors}) => [key, tensors])).toEqual([
      ['state_dict', 2],
      ['state_dict_ema', 2],
    ]);
    expect(checkpoint.ignored.map(({key}) => key)).toEqual(['optimizer', 'state_dict_ema']);
  });
  test('the same input gives the same bytes', () => expect(write(full)).toEqual(write(full)));
  test('bytes after the end, or before it, are noticed', () => {
    const data = write(full);
    expect(refusal(() => open(bytes(data, 0))).code).toMatch(/CORRUPT|TRUNCATED/);
    expect(refusal(() => open(data.subarray(0, -1))).code).toMatch(/CORRUPT|TRUNCATED/);
  });
  test('every dtype and shape survives', () => {
    const anyTensor = fc
      .record({
        dtype: fc.constantFrom(...(Object.keys(dtypes) as DType[])),
        shape: fc.array(fc.integer({min: 0, max: 4}), {maxLength: 4}),
        seed: fc.nat(),
      })
      .map(({dtype, shape, seed}) =>
        tensorOver(
          dtype,
          shape,
          Uint8Array.from(
            {length: elementCount(shape) * dtypes[dtype].bytes},
            (_, i) => Math.imul(seed + i, 0x9e3779b1) >>> 24,
          ),
        ),
      );
    fc.assert(
      fc.property(fc.array(anyTensor, {minLength: 1, maxLength: 6}), (tensors) => {
        const written = new Map(tensors.map((t, i) => [`t${i}`, sourceOf(t)]));
        const checkpoint = open(write(orderedStateDict(written)));
        expect(checkpoint.stateDictKey).toBeNull();
        for (const [key, source] of checkpoint.stateDict) {
          const back = source.read();
          const {dtype, shape, data} = written.get(key)!.read();
          expect([back.dtype, back.shape]).toEqual([dtype, shape]);
          expect(
            Buffer.compare(
              Buffer.from(back.data.buffer, 0, back.data.byteLength),
              Buffer.from(data.buffer, 0, data.byteLength),
            ),
          ).toBe(0);
        }
      }),
      {numRuns: 60},
    );
  });
});

test('plain data survives the pickle', () => {
  const scalar = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.bigInt({min: -(2n ** 200n), max: 2n ** 200n}),
    fc.double({noNaN: true}),
    fc.string({unit: 'grapheme'}),
  );
  const {value} = fc.letrec<{value: Writable}>((tie) => ({
    value: fc.oneof(
      {maxDepth: 4},
      scalar,
      fc.array(tie('value'), {maxLength: 5}),
      fc.array(tie('value'), {maxLength: 5}).map((items): Writable => ({kind: 'tuple', items})),
      fc.array(fc.tuple(fc.string(), tie('value')), {maxLength: 5}).map((entries): Writable => new Map(entries)),
      fc
        .array(fc.tuple(fc.string(), tie('value')), {maxLength: 5})
        .map((entries): Writable => ({kind: 'namespace', fields: new Map(entries)})),
    ),
  }));
  const small = (n: unknown): unknown => (typeof n === 'bigint' && Number.isSafeInteger(Number(n)) ? Number(n) : n);
  const normal = (v: unknown): unknown => {
    if (Array.isArray(v)) return v.map(normal);
    if (v instanceof Map) return new Map([...v].map(([k, x]) => [k, normal(x)]));
    if (typeof v === 'object' && v !== null && 'items' in v) return {kind: 'tuple', items: normal(v.items)};
    if (typeof v === 'object' && v !== null && 'fields' in v) return {kind: 'namespace', fields: normal(v.fields)};
    return small(v);
  };
  fc.assert(
    fc.property(value, (v) => {
      expect(read(encodePickle(v).bytes)).toEqual(normal(v));
    }),
    {numRuns: 300},
  );
});

test('integers at the borders of their encodings', () => {
  for (const n of [
    0,
    255,
    256,
    65535,
    65536,
    -1,
    -128,
    -129,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31),
    -(2 ** 31) - 1,
    2 ** 40,
    -(2 ** 40),
  ]) {
    expect(read(encodePickle(n).bytes)).toBe(n);
  }
  for (const n of [2n ** 63n, -(2n ** 63n), 2n ** 64n - 1n, -(2n ** 2000n)]) expect(read(encodePickle(n).bytes)).toBe(n);
});

describe('which state dict', () => {
  const both = torch(full);
  test('--ema, and a name', () => {
    expect(openCheckpoint(bufferSource(both), {ema: true}).stateDictKey).toBe('state_dict_ema');
    expect(openCheckpoint(bufferSource(both), {key: 'state_dict_ema'}).stateDictKey).toBe('state_dict_ema');
    const model = torch(
      new Map<string, Writable>([
        ['model', orderedStateDict(state('a'))],
        ['model_ema', orderedStateDict(state('b', 'c'))],
      ]),
    );
    expect(open(model).stateDictKey).toBe('model');
    expect(openCheckpoint(bufferSource(model), {ema: true}).stateDict.size).toBe(2);
  });
  test('what is not there is an error that lists what is', () => {
    const plain = torch(new Map([['state_dict', orderedStateDict(state('a'))]]));
    const error = refusal(() => openCheckpoint(bufferSource(plain), {ema: true}));
    expect(error.code).toBe('STATE_DICT_NOT_FOUND');
    expect(error.message).toMatch("holds no averaged weights; there is 'state_dict' (1 tensor, 8 B)");
    expect(refusal(() => openCheckpoint(bufferSource(plain), {key: 'net'})).code).toBe('STATE_DICT_NOT_FOUND');
  });
  test('no tensors at all', () => {
    for (const root of [new Map([['epoch', 3]]), [], null, 'text', new Map([['state_dict', new Map()]])]) {
      expect(refusal(() => open(torch(root as Writable))).code).toBe('STATE_DICT_NOT_FOUND');
    }
  });
  test("'module.' is taken off where all keys have it, and only then", () => {
    const all = open(torch(orderedStateDict(state('module.a', 'module.b'))));
    expect([all.prefix, [...all.stateDict.keys()], all.warnings]).toEqual(['module.', ['a', 'b'], []]);
    const some = open(torch(orderedStateDict(state('module.a', 'b'))));
    expect([some.prefix, [...some.stateDict.keys()]]).toEqual(['', ['module.a', 'b']]);
    expect(some.warnings.join()).toMatch("1 of 2 keys begin with 'module.'");
  });
  test('entries that are no tensors are named', () => {
    const mixed = new Map<string, Writable>([...state('a'), ['scale', 3], ['extra', [1]]]);
    expect(open(torch(mixed)).ignored).toEqual([
      {key: 'scale', reason: 'of type int, not a tensor', numbers: 1},
      {key: 'extra', reason: 'of type list, not a tensor', numbers: 1},
    ]);
  });
  test('shared storages are counted once', () => {
    const shared = sourceOf(float32([1000], new Float32Array(1000)));
    const data = torch(
      new Map([
        ['a', shared],
        ['b', shared],
      ]),
    );
    expect(open(data).available).toEqual([{key: null, tensors: 2, bytes: 4000, averaged: false}]);
    expect(data.length).toBeLessThan(6000);
  });
});

describe('containers', () => {
  const pkl = pickle(dict(str('w'), tensor(storage('0', int(1)), {size: [int(1)], stride: [int(1)]})));
  const zero = new Uint8Array(4);
  test.each<[string, Uint8Array, string]>([
    ['big-endian numbers', archive({'data.pkl': pkl, byteorder: bytes('big'), 'data/0': zero}), 'DTYPE_UNSUPPORTED'],
    ['a byte order of BIG', archive({'data.pkl': pkl, byteorder: bytes('BIG'), 'data/0': zero}), 'CHECKPOINT_CORRUPT'],
    [
      'a byte order and blanks',
      archive({'data.pkl': pkl, byteorder: bytes('big', ' '.repeat(62)), 'data/0': zero}),
      'CHECKPOINT_CORRUPT',
    ],
    ['bytes after STOP', archive({'data.pkl': bytes(pkl, 'N.'), 'data/0': zero}), 'PICKLE_INVALID'],
    ['a second pickle', archive({'data.pkl': bytes(pkl, pkl), 'data/0': zero}), 'PICKLE_INVALID'],
    ['no pickle', archive({'data/0': zero, version: bytes('3\n')}), 'CHECKPOINT_CORRUPT'],
    ['a numpy archive', archive({'x.npy': zero}), 'FORMAT_UNKNOWN'],
    ['an empty archive', archive({}), 'FORMAT_UNKNOWN'],
    [
      'legacy, big-endian',
      bytes(
        encodePickle(0x1950a86a20f9469cfc6cn).bytes,
        encodePickle(1001).bytes,
        encodePickle(new Map([['little_endian', false]])).bytes,
      ),
      'DTYPE_UNSUPPORTED',
    ],
    [
      'legacy, another protocol',
      bytes(encodePickle(0x1950a86a20f9469cfc6cn).bytes, encodePickle(1002).bytes),
      'CHECKPOINT_CORRUPT',
    ],
  ])('%s', (_, data, code) => expect(refusal(() => open(data)).code).toBe(code));

  test('two roots', () => {
    const data = collect((sink) => sink(archive({'a/data.pkl': pkl}, 'x')));
    expect(refusal(() => open(data)).code).toBe('FORMAT_UNKNOWN'); // one folder too deep: not a PyTorch archive
  });

  test('legacy pickles longer than the first window', () => {
    const many = new Map<string, Writable>([
      ['names', Array.from({length: 60_000}, (_, i) => `a name that is not short, number ${i}`)],
      ['state_dict', orderedStateDict(state('a'))],
    ]);
    const data = legacy(many);
    expect(data.length).toBeGreaterThan(2 << 20);
    expect(open(data).stateDict.size).toBe(1);
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['nothing', bytes(), /empty/],
    ['PNG', bytes('\x89PNG\r\n\x1a\n'), /PNG/],
    ['JPEG', bytes([0xff, 0xd8, 0xff, 0xe0]), /JPEG/],
    ['HDF5', bytes('\x89HDF\r\n\x1a\n'), /HDF5/],
    ['gzip', bytes([0x1f, 0x8b, 8]), /gzip/],
    ['text', bytes('hello\nworld\n'), /text file/],
    ['a page', bytes('<!DOCTYPE html><html><head>'), /web page/],
    ['Git LFS', bytes('version https://git-lfs.github.com/spec/v1\noid'), /LFS/],
    ['ONNX', bytes([8, 7, 0x12, 7], 'pytorch'), /ONNX/],
    ['tar', bytes('name', new Uint8Array(253), 'ustar\x0000', new Uint8Array(247)), /tar archive/],
    [
      'the oldest PyTorch',
      bytes('sys_info', new Uint8Array(249), 'ustar  \0', new Uint8Array(247)),
      /old tar container.*CVE-2025-32434/,
    ],
    ['a bare pickle', encodePickle(new Map()).bytes, /bare pickle.*not executed/],
    ['noise', bytes([1, 2, 3, 0, 250]), /not a PyTorch checkpoint/],
    ['a part of a zip', bytes('PK'), /text file/],
    ['keras', archive({'config.json': zero}, 'x').subarray(0), /zip archive/],
  ])('%s is named', (_, data, message) => {
    const error = refusal(() => open(data));
    expect(error.code).toBe('FORMAT_UNKNOWN');
    expect(error.message).toMatch(message);
  });

  test('a refused source is closed', () => {
    let closed = 0;
    const source = {...bufferSource(bytes('no')), close: () => void closed++};
    refusal(() => openCheckpoint(source));
    expect(closed).toBe(1);
  });
});

test('the tree of the file is there for inspection', () => {
  const {root} = open(
    torch(
      new Map<string, Writable>([
        ['state_dict', orderedStateDict(state('a'))],
        ['t', {kind: 'tuple', items: [1, 'x']}],
      ]),
    ),
  );
  expect(isMap(root) && isKind(root.get('t'), 'tuple')).toBe(true);
});

test('u32 of the assembler is little-endian', () => expect(u32(0x01020304)).toEqual([4, 3, 2, 1]));
