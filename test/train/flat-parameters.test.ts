/** Parameters in flat tensors: each is what it was, wherever it lies, on both backends. */
import * as tf from '@tensorflow/tfjs-core';
import {random} from '../../src/core/random.js';
import {elementCount, float32, float64, type Tensor, toFloat64} from '../../src/core/tensor.js';
import {cut, flatsOf, flatten, globalNorm, joined, pieceOf} from '../../src/train/step/parameters/flat-parameters.js';
import {expectClose} from '../close.js';
import {startBackend} from '../tfjs/both.js';

const numbers = (shape: number[], seed: number): Tensor<'float32'> => {
  const r = random(seed);
  return float32(
    shape,
    Float32Array.from({length: elementCount(shape)}, () => r.normal()),
  );
};
const shapes: Record<string, number[]> = {
  filter: [5, 3, 3, 2], // of four different sizes
  depthwise: [6, 1, 3, 3],
  matrix: [4, 7],
  vector: [9],
  number: [],
};
const tensors: ReadonlyMap<string, Tensor<'float32'>> = new Map(
  Object.entries(shapes).map(([key, shape], i) => [key, numbers(shape, i)]),
);
const keys = [...tensors.keys()];

beforeAll(startBackend);

test('every group has flat tensors of its own, none much longer than is allowed, of a round size where they are long', () => {
  const half = 1 << 22;
  const large = new Map([
    ['a', {...tensors.get('vector')!, shape: [half - 1]}],
    ['b', {...tensors.get('vector')!, shape: [half]}],
    ['c', {...tensors.get('vector')!, shape: [3 * half]}],
    ['d', {...tensors.get('vector')!, shape: [10]}],
  ]);
  const flats = flatsOf(
    [
      {weightDecay: 0.1, keys: ['a', 'b', 'c']},
      {weightDecay: 0, keys: ['d']},
    ],
    large,
  );
  expect(flats.map(({weightDecay, pieces}) => [weightDecay, pieces.map(({key, offset}) => `${key} ${offset}`)])).toEqual([
    [0.1, ['a 0', `b ${half - 1}`]],
    [0.1, ['c 0']],
    [0, ['d 0']],
  ]);
  expect(flats.map(({size}) => size)).toEqual([2 * half, 3 * half, 10]);
});

test('what is joined is cut again, float64 too', () => {
  const [flat] = flatsOf([{weightDecay: 0, keys}], tensors);
  const single = joined(flat!, tensors);
  expect(single.dtype).toBe('float32');
  expect(new Map(cut(flat!, single as Tensor<'float32'>))).toEqual(tensors);
  const exact = new Map<string, Tensor>([
    ...tensors,
    [
      'matrix',
      float64(
        [4, 7],
        toFloat64(tensors.get('matrix')!).data.map((v) => v / 3),
      ),
    ],
  ]);
  const double = joined(flat!, exact);
  const {offset, size} = flat!.pieces.find(({key}) => key === 'matrix')!;
  expect((double.data as Float64Array).slice(offset, offset + size)).toEqual(exact.get('matrix')!.data);
});

test.each([
  ['is missing', new Map(tensors)],
  ['has another shape', new Map(tensors)],
])('a parameter that %s is named', (what, saved) => {
  const [flat] = flatsOf([{weightDecay: 0, keys}], tensors);
  if (what === 'is missing') saved.delete('matrix');
  else saved.set('matrix', numbers([7, 4], 1));
  expect(() => joined(flat!, saved)).toThrow(expect.objectContaining({code: 'STATE_MISMATCH', at: 'matrix'}));
});

describe.each(['cpu', 'onnxruntime'])('on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  test('a piece is the parameter, and gradients of pieces come together as the pieces lie', () => {
    const [flat] = flatsOf([{weightDecay: 0, keys}], tensors);
    const all = tf.tensor(joined(flat!, tensors).data as Float32Array);
    for (const piece of flat!.pieces) {
      const part = pieceOf(all, piece);
      expect(part.shape).toEqual(shapes[piece.key]);
      expect(part.dataSync()).toEqual(tensors.get(piece.key)!.data);
    }
    const without = new Map([...tensors].map(([key, t]) => [key, key === 'vector' ? float32([9], new Float32Array(9)) : t]));
    const given = (key: string) =>
      key === 'vector' ? undefined : tf.tensor(tensors.get(key)!.data as Float32Array, shapes[key]!);
    expect(flatten(flat!, given).dataSync()).toEqual(joined(flat!, without).data);
  });

  test('the norm is that of all numbers', () => {
    const flats = [numbers([1 << 14], 1), numbers([1000], 2), numbers([1], 3)];
    const norm = Math.sqrt(flats.flatMap(({data}) => [...data]).reduce((sum, v) => sum + v * v, 0));
    const ours = globalNorm(flats.map(({data, shape}) => tf.tensor(data, [...shape])));
    expectClose([...ours.dataSync()], [norm], {rtol: 1e-6, because: 'sums in float32'});
  });
});
