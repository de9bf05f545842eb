import fc from 'fast-check';
import {bytesRead, type Layout, readStrided} from '../../src/checkpoint/strided.js';
import {bufferSource} from '../../src/core/bytes.js';
import {type DType, dtypes, elementCount, type Shape, type Tensor} from '../../src/core/tensor.js';

/** The definition: index by index. */
function byIndex(bytes: Uint8Array, {dtype, stride, byteOffset}: Layout, leading: Shape): Uint8Array {
  const width = dtypes[dtype].bytes;
  const out = new Uint8Array(elementCount(leading) * width);
  for (let i = 0; i < elementCount(leading); i++) {
    let rest = i;
    let at = byteOffset;
    for (let d = leading.length - 1; d >= 0; d--) {
      at += (rest % leading[d]!) * stride[d]! * width;
      rest = Math.floor(rest / leading[d]!);
    }
    for (let b = 0; b < width; b++) out[i * width + b] = bytes[at + b]!;
  }
  return out;
}

const content = Uint8Array.from({length: 1 << 16}, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24);
const source = bufferSource(content);
const bytesOf = ({data}: Tensor) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** What really is read. */
function countReads(bytes: Uint8Array, layout: Layout, leading: Shape): number {
  let read = 0;
  const inner = bufferSource(bytes);
  const readInto = (offset: number, target: Uint8Array) => {
    read += target.length;
    inner.readInto(offset, target);
  };
  readStrided({...inner, readInto}, layout, leading);
  return read;
}

const layouts = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(dtypes) as DType[])),
    dims: fc.array(
      fc.record({
        size: fc.integer({min: 0, max: 6}),
        stride: fc.integer({min: 0, max: 40}),
        part: fc.double({min: 0, max: 1, noNaN: true}),
      }),
      {maxLength: 5},
    ),
    byteOffset: fc.integer({min: 0, max: 99}),
  })
  .map(({dtype, dims, byteOffset}) => ({
    layout: {dtype, shape: dims.map(({size}) => size), stride: dims.map(({stride}) => stride), byteOffset},
    leading: dims.map(({size, part}) => Math.round(size * part)),
  }));

test('any shape, stride, offset and leading block equals indexing', () => {
  fc.assert(
    fc.property(layouts, ({layout, leading}) => {
      const tensor = readStrided(source, layout, leading);
      expect(tensor.shape).toEqual(leading);
      expect(bytesRead(layout, leading)).toBe(countReads(content, layout, leading));
      expect(Buffer.compare(bytesOf(tensor), byIndex(content, layout, leading))).toBe(0);
    }),
    {numRuns: 2000},
  );
});

const large = new Uint8Array(24 << 20);
const words = new Uint32Array(large.buffer);
for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 0x9e3779b1);
const largeSource = bufferSource(large);

// Big enough for tiles, splits, gaps that are skipped and gaps that are read.
test.each<[string, Shape, Shape, Shape]>([
  ['contiguous, whole', [256, 300, 3, 3], [2700, 9, 3, 1], [256, 300, 3, 3]],
  ['contiguous, leading rows', [512, 256, 3, 3], [2304, 9, 3, 1], [256, 256, 3, 3]],
  ['contiguous, leading rows and columns', [512, 512, 3, 3], [4608, 9, 3, 1], [256, 256, 3, 3]],
  ['short runs', [2048, 600], [600, 1], [1500, 300]],
  ['long runs with small gaps', [20, 40_000], [40_100, 1], [20, 40_000]],
  ['channels_last', [512, 512, 3, 3], [4608, 1, 1536, 512], [200, 256, 3, 3]],
  ['transposed', [2000, 1000], [1, 2000], [1000, 500]],
  ['every second element', [700_000], [2], [700_000]],
  ['a column', [1000, 1000], [1000, 1], [1000, 1]],
  ['a far column of a transposed matrix', [4, 1000], [1, 5000], [1, 1000]],
  ['repeated rows', [1000, 1000], [0, 1], [500, 1000]],
])('large: %s', (_, shape, stride, leading) => {
  const layout: Layout = {dtype: 'float32', shape, stride, byteOffset: 12};
  expect(Buffer.compare(bytesOf(readStrided(largeSource, layout, leading)), byIndex(large, layout, leading))).toBe(0);
  expect(bytesRead(layout, leading)).toBe(countReads(large, layout, leading));
});

test('less is read than asked for by the whole tensor, and memory stays bounded', () => {
  let reads = 0;
  let most = 0;
  let total = 0;
  const counting = {
    ...largeSource,
    readInto(offset: number, target: Uint8Array) {
      reads++;
      total += target.length;
      most = Math.max(most, target.length);
      largeSource.readInto(offset, target);
    },
  };
  readStrided(counting, {dtype: 'float32', shape: [1024, 512, 3, 3], stride: [4608, 9, 3, 1], byteOffset: 0}, [512, 256, 3, 3]);
  expect(total).toBeLessThanOrEqual(512 * 4608 * 4);
  expect(reads).toBeLessThanOrEqual(512);
  expect(most).toBeLessThanOrEqual(4 << 20);
});

test('a leading block that does not fit is the mistake of the caller', () => {
  const layout: Layout = {dtype: 'uint8', shape: [2, 2], stride: [2, 1], byteOffset: 0};
  for (const leading of [[3, 1], [1], [-1, 1], [0.5, 1]])
    expect(() => readStrided(source, layout, leading)).toThrow('leading block');
});
