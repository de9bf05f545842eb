import {scanJson} from '../../src/checkpoint/json-scan.js';
import {writeSafetensors} from '../../src/checkpoint/write-safetensors.js';
import {float32, int64, type StateDict, sourceOf, type TensorSource, tensor} from '../../src/core/tensor.js';
import {bytes, collect, open, refusal, u64} from './assembler.js';

const file = (header: string, data: ArrayLike<number> = [], length = BigInt(Buffer.byteLength(header))) =>
  bytes(u64(length), Buffer.from(header), data);
const f32 = (shape: string, begin: number, end: number, dtype = 'F32') =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

test('what is written is read, in the order of the state dict', () => {
  const stateDict: StateDict = new Map<string, TensorSource>([
    ['b.weight', sourceOf(float32([2, 3], [1, 2, 3, 4, 5, 6]))],
    ['a.mask', sourceOf(tensor('bool', [3], Uint8Array.of(1, 0, 1)))],
    ['a.count', sourceOf(int64([], [7]))],
    ['empty', sourceOf(float32([0, 4], []))],
    ['__proto__', sourceOf(float32([1], [9]))],
  ]);
  const data = collect((sink) => writeSafetensors(stateDict, sink, {format: 'pt'}));
  expect(collect((sink) => writeSafetensors(stateDict, sink, {format: 'pt'}))).toEqual(data);
  const checkpoint = open(data);
  expect(checkpoint.format).toBe('safetensors');
  expect([...checkpoint.stateDict.keys()]).toEqual([...stateDict.keys()]);
  for (const [key, source] of checkpoint.stateDict) expect(source.read()).toEqual(stateDict.get(key)!.read());
  expect([...checkpoint.stateDict.get('b.weight')!.read([1, 2]).data]).toEqual([1, 2]);
  expect([...checkpoint.meta]).toEqual([['format', 'pt']]);
});

test.each<[string, Uint8Array, string]>([
  ['a header that is too long', file('{}', [], 100_000_001n), 'LIMIT_EXCEEDED'],
  ['a header beyond the file', file('{}', [], 1000n), 'CHECKPOINT_TRUNCATED'],
  ['a header cut off', file(`{"a":${f32('[1]', 0, 4)}}`, [0, 0, 0, 0], 20n), 'CHECKPOINT_CORRUPT'],
  ['a header that is not JSON', file('{"a" 1}'), 'CHECKPOINT_CORRUPT'],
  ['a header that is not UTF-8', bytes(u64(4n), '{"\xff"}'), 'CHECKPOINT_CORRUPT'],
  ['nothing', file('{}'), 'STATE_DICT_NOT_FOUND'],
  ['a duplicate tensor', file(`{"a":${f32('[1]', 0, 4)},"a":${f32('[1]', 0, 4)}}`, [0, 0, 0, 0]), 'CHECKPOINT_CORRUPT'],
  [
    'a duplicate in other letters',
    file(`{"a":${f32('[1]', 0, 4)},"\\u0061" : ${f32('[1]', 0, 4)}}`, [0, 0, 0, 0]),
    'CHECKPOINT_CORRUPT',
  ],
  [
    'a duplicate field',
    file('{"a":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,4]}}', [0, 0, 0, 0]),
    'CHECKPOINT_CORRUPT',
  ],
  ['metadata that is no string', file(`{"__metadata__":{"a":1},"a":${f32('[1]', 0, 4)}}`, [0, 0, 0, 0]), 'CHECKPOINT_CORRUPT'],
  ['metadata that is a list', file(`{"__metadata__":["a"],"a":${f32('[1]', 0, 4)}}`, [0, 0, 0, 0]), 'CHECKPOINT_CORRUPT'],
  ['a hole', file(`{"a":${f32('[1]', 4, 8)}}`, new Uint8Array(8)), 'CHECKPOINT_CORRUPT'],
  ['a hole between', file(`{"a":${f32('[1]', 0, 4)},"b":${f32('[1]', 8, 12)}}`, new Uint8Array(12)), 'CHECKPOINT_CORRUPT'],
  ['an overlap', file(`{"a":${f32('[2]', 0, 8)},"b":${f32('[2]', 4, 12)}}`, new Uint8Array(12)), 'CHECKPOINT_CORRUPT'],
  ['offsets beyond the end', file(`{"a":${f32('[2]', 0, 8)}}`, new Uint8Array(4)), 'CHECKPOINT_TRUNCATED'],
  ['bytes left over', file(`{"a":${f32('[1]', 0, 4)}}`, new Uint8Array(5)), 'CHECKPOINT_CORRUPT'],
  ['a length that is not shape times dtype', file(`{"a":${f32('[2]', 0, 4)}}`, new Uint8Array(4)), 'CHECKPOINT_CORRUPT'],
  ['a shape that overflows', file(`{"a":${f32('[4294967296,4294967296,4294967296]', 0, 0)}}`), 'CHECKPOINT_CORRUPT'],
  ['a negative dimension', file(`{"a":${f32('[-1]', 0, 0)}}`), 'CHECKPOINT_CORRUPT'],
  ['a broken dimension', file(`{"a":${f32('[0.5]', 0, 2)}}`, [0, 0]), 'CHECKPOINT_CORRUPT'],
  [
    'offsets that are no whole numbers in writing',
    file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4e0]}}', [0, 0, 0, 0]),
    'CHECKPOINT_CORRUPT',
  ],
  ['a dimension of 1.0', file(`{"a":${f32('[1.0]', 0, 4)}}`, [0, 0, 0, 0]), 'CHECKPOINT_CORRUPT'],
  ['a dimension of -0', file(`{"a":${f32('[-0]', 0, 0)}}`), 'CHECKPOINT_CORRUPT'],
  [
    'a shape that overflows before a 0',
    file(`{"a":${f32('[9007199254740991,9007199254740991,0]', 0, 0)}}`),
    'CHECKPOINT_CORRUPT',
  ],
  ['too many dimensions', file(`{"a":${f32(`[${Array(17).fill(1)}]`, 0, 4)}}`, [0, 0, 0, 0]), 'LIMIT_EXCEEDED'],
  ['offsets the wrong way round', file(`{"a":${f32('[1]', 4, 0)}}`, [0, 0, 0, 0]), 'CHECKPOINT_CORRUPT'],
  ['an 8-bit float', file(`{"a":${f32('[1]', 0, 1, 'F8_E4M3')}}`, [0]), 'DTYPE_UNSUPPORTED'],
  ['a dtype called constructor', file(`{"a":${f32('[1]', 0, 1, 'constructor')}}`, [0]), 'DTYPE_UNSUPPORTED'],
  ['a tensor that is a number', file('{"a":1}'), 'CHECKPOINT_CORRUPT'],
  ['deep nesting', file(`{"a":${'['.repeat(100_000)}`), 'CHECKPOINT_CORRUPT'],
])('refused: %s', (_, data, code) => {
  expect(refusal(() => open(data)).code).toBe(code);
});

test('the scan of JSON text knows keys from values and strings from structure', () => {
  expect(scanJson('{"a":"a","b":["a","a",{"a":1}],"c":"}{\\"d\\":"}', {maxDepth: 9})).toBeUndefined();
  expect(scanJson('{"a":{"x":1,"x":2}}', {maxDepth: 9})?.problem).toBe("has the key 'x' twice");
  expect(scanJson('{"a', {maxDepth: 9})?.problem).toMatch('without an end');
});
