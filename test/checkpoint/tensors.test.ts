import type {Writable} from '../../src/checkpoint/write-pickle.js';
import {orderedStateDict, writeTorch, writeTorchLegacy} from '../../src/checkpoint/write-torch.js';
import {SHARED_BYTES} from '../../src/core/memory-budget.js';
import {float32, int64, type StateDict, sourceOf, type TensorSource} from '../../src/core/tensor.js';
import {
  archive,
  bytes,
  collect,
  dict,
  int,
  long,
  open,
  pickle,
  read,
  refusal,
  storage,
  str,
  tensor,
  type View,
} from './assembler.js';

const state = (...keys: string[]): StateDict => new Map(keys.map((key, i) => [key, sourceOf(float32([2], [i, i + 0.5]))]));
const torch = (root: Writable) => collect((sink) => writeTorch(root, sink));
const legacy = (root: Writable) => collect((sink) => writeTorchLegacy(root, sink));

describe('tensors that lie', () => {
  const numbers = Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
  const file = (view: View, count = int(6), data: Uint8Array = numbers) =>
    archive({'data.pkl': pickle(dict(str('w'), tensor(storage('0', count), view))), 'data/0': data, version: bytes('3\n')});
  const attempt = (view: View, count?: Uint8Array, data?: Uint8Array) =>
    open(file(view, count, data))
      .stateDict.get('w')!
      .read();

  test('honest views', () => {
    expect([...attempt({offset: int(1), size: [int(2), int(2)], stride: [int(1), int(2)]}).data]).toEqual([2, 4, 3, 5]);
    expect([...attempt({size: [int(3), int(2)], stride: [int(0), int(5)]}).data]).toEqual([1, 6, 1, 6, 1, 6]);
    expect(attempt({size: [int(0), int(9)], stride: [int(9), int(1)]}).shape).toEqual([0, 9]);
    expect([...attempt({offset: int(5), size: [], stride: []}).data]).toEqual([6]);
  });
  test.each<[string, View, Uint8Array | undefined, Uint8Array | undefined]>([
    ['a view beyond its storage', {size: [int(7)], stride: [int(1)]}, undefined, undefined],
    ['an offset beyond its storage', {offset: int(6), size: [int(1)], stride: [int(1)]}, undefined, undefined],
    ['a negative offset', {offset: int(-1), size: [int(1)], stride: [int(1)]}, undefined, undefined],
    ['a negative size', {size: [int(-1)], stride: [int(1)]}, undefined, undefined],
    ['a negative stride', {offset: int(5), size: [int(2)], stride: [int(-1)]}, undefined, undefined],
    ['a size of 2^62', {size: [long(2n ** 62n)], stride: [int(0)]}, undefined, undefined],
    ['sizes whose product overflows', {size: [int(2 ** 30), int(2 ** 30)], stride: [int(0), int(0)]}, undefined, undefined],
    [
      'sizes whose product overflows before a 0',
      {size: [int(2 ** 30), int(2 ** 30), int(0)], stride: [int(0), int(0), int(0)]},
      undefined,
      undefined,
    ],
    ['strides whose product overflows', {size: [int(2 ** 30)], stride: [long(2n ** 40n)]}, undefined, undefined],
    ['an expansion to 10^12 elements', {size: [int(1e6), int(1e6)], stride: [int(0), int(0)]}, undefined, undefined],
    ['fewer strides than sizes', {size: [int(1), int(1)], stride: [int(1)]}, undefined, undefined],
    ['a size that is a string', {size: [str('1')], stride: [int(1)]}, undefined, undefined],
    ['too many dimensions', {size: Array(17).fill(int(1)), stride: Array(17).fill(int(1))}, undefined, undefined],
    ['a storage that is shorter than declared', {size: [int(6)], stride: [int(1)]}, int(6), numbers.subarray(0, 20)],
    ['a storage that is longer than declared', {size: [int(5)], stride: [int(1)]}, int(5), numbers],
    ['a storage of 2^52 elements', {size: [int(1)], stride: [int(1)]}, long(2n ** 52n), numbers],
  ])('%s', (_, view, count, data) => {
    expect(refusal(() => attempt(view, count, data)).code).toMatch(/CHECKPOINT_CORRUPT|LIMIT_EXCEEDED/);
  });
  test('a storage that is not there', () => {
    const data = archive({
      'data.pkl': pickle(dict(str('w'), tensor(storage('0', int(6)), {size: [int(6)], stride: [int(1)]}))),
    });
    expect(refusal(() => open(data)).message).toMatch("tensor 'w' needs storage '0', which the file does not have");
  });
  test('a storage name cannot leave its folder', () => {
    const data = archive({
      'data.pkl': pickle(dict(str('w'), tensor(storage('../version', int(6)), {size: [int(6)], stride: [int(1)]}))),
      version: numbers,
    });
    expect(refusal(() => open(data)).code).toBe('CHECKPOINT_CORRUPT');
  });
  test('a tensor over something that is no storage', () => {
    expect(refusal(() => read(pickle(tensor(str('x'), {size: [], stride: []})))).code).toBe('PICKLE_INVALID');
  });
  test('nonsense in what is not used does no harm', () => {
    const broken = tensor(storage('1', int(99)), {size: [int(-5)], stride: [int(1)]});
    const good = dict(str('w'), tensor(storage('0', int(6)), {size: [int(6)], stride: [int(1)]}));
    const data = archive({
      'data.pkl': pickle(dict(str('state_dict'), good, str('optimizer'), dict(int(0), broken))),
      'data/0': numbers,
    });
    expect([...open(data).stateDict.get('w')!.read().data]).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe('tensors that share bytes', () => {
  const root = (...entries: Uint8Array[]) => pickle(dict(...entries));
  const made = (file: Uint8Array) => [...open(file).stateDict.values()].reduce((n, t) => n + t.read().data.byteLength, 0);
  /** `names` tensors of a million float32 each, all views of one storage. */
  const shared = (names: number, view: View, count: number) => {
    const tensors = Array.from({length: names}, (_, i) => [str(`w${i}`), tensor(storage('0', int(count)), view)]).flat();
    return archive({'data.pkl': root(...tensors), 'data/0': new Uint8Array(4 * count)});
  };
  const million: View = {size: [int(1000), int(1000)], stride: [int(1000), int(1)]};

  test.each<[string, View, number]>([
    ['one element, expanded', {size: [int(1000), int(1000)], stride: [int(0), int(0)]}, 1],
    ['a row, repeated', {size: [int(1000), int(1000)], stride: [int(0), int(1)]}, 1000],
    ['windows that overlap', {size: [int(1000), int(1000)], stride: [int(1), int(1)]}, 1999],
    ['the same storage in full', million, 1_000_000],
  ])('under many names are paid for each time: %s', (_, view, count) => {
    expect(made(shared(1, view, count))).toBe(4e6);
    const error = refusal(() => made(shared(9, view, count)));
    expect([error.code, error.at]).toEqual(['LIMIT_EXCEEDED', expect.stringMatching(/^test\.pth#w\d$/)]);
    expect(open(shared(9, view, count)).stateDict.size).toBe(9); // to look at them costs nothing
  });
  test('tied weights and expanded statistics of a real network are read', () => {
    const tied = {size: [int(100), int(100)], stride: [int(100), int(1)]};
    const ones = {size: [int(2048)], stride: [int(0)]};
    const twenty = Array.from({length: 20}, (_, i) => [
      ...[str(`w${i}`), tensor(storage('0', int(10_000)), tied)],
      ...[str(`var${i}`), tensor(storage('1', int(1)), ones)],
    ]).flat();
    const file = archive({'data.pkl': root(...twenty), 'data/0': new Uint8Array(40_000), 'data/1': new Uint8Array(4)});
    expect(made(file)).toBe(20 * 4 * (10_000 + 2048));
  });
  test('reading a tensor again, or more of it, is paid once', () => {
    const source = open(shared(1, million, 1_000_000)).stateDict.get('w0')!;
    for (let i = 0; i < 5; i++) expect(source.read([500, 1000]).data.length + source.read().data.length).toBe(1_500_000);
  });
  test('few numbers for which much of the file is read again and again are paid by what is read', () => {
    // 900 × 900 elements, 2001 and 2000 apart: each row of them lies on 7 MB of the file
    const view = {size: [int(900), int(900)], stride: [int(2001), int(2000)]};
    expect(refusal(() => made(shared(4, view, 899 * 4001 + 1))).code).toBe('LIMIT_EXCEEDED');
  });
  test('the allowance is for all tensors of a file together', () => {
    const size = shared(1, million, 1_000_000).length;
    expect(Math.floor((size + SHARED_BYTES) / 4e6)).toBe(2);
    expect(made(shared(2, million, 1_000_000))).toBe(8e6);
    expect(refusal(() => made(shared(3, million, 1_000_000))).at).toBe('test.pth#w2');
  });
});

describe('damage to numbers', () => {
  const data = torch(
    orderedStateDict(
      new Map<string, TensorSource>([
        ['a', sourceOf(float32([100], new Float32Array(100)))],
        ['b', sourceOf(int64([], [1]))],
      ]),
    ),
  );
  const flipped = data.slice();
  const at = open(data).stateDict.get('a')! && Buffer.from(data).indexOf(Buffer.alloc(400)); // the zeros of 'a'
  flipped[at + 17]! ^= 4;

  test('is refused when the tensor is read in full', () => {
    expect(refusal(() => open(flipped).stateDict.get('a')!.read()).code).toBe('CHECKPOINT_CORRUPT');
    expect(open(flipped).stateDict.get('a')!.read([1]).data.length).toBe(1);
  });
  test('is found by a check of all or of chosen tensors', () => {
    expect(open(data).verifyCrc()).toEqual({checked: 2, bytes: 408, mismatches: [], notRecorded: 0});
    expect(open(flipped).verifyCrc().mismatches).toEqual(['a']);
    expect(open(flipped).verifyCrc(['b'])).toEqual({checked: 1, bytes: 8, mismatches: [], notRecorded: 0});
    expect(open(legacy(new Map(state('a')))).verifyCrc().notRecorded).toBe(1);
  });
});
