import fc from 'fast-check';
import sharp, {type JpegOptions, type Sharp} from 'sharp';
import {random} from '../../src/core/random.js';
import {decodeFast} from '../../src/data/decode-fast.js';
import {decodeImage} from '../../src/data/image.js';
import {decodeScaled, eighthsFor} from '../../src/data/jpeg/decode.js';
import {readBaseline} from '../../src/data/jpeg/header.js';
import {acMeaning, huffmanTable} from '../../src/data/jpeg/huffman.js';
import {prepare} from '../../src/data/prepare.js';
import {preprocess} from '../../src/data/preprocess.js';
import {recipes} from '../../src/data/recipe.js';
import type {Image} from '../../src/data/resample.js';
import {slowDecode} from './jpeg-reference.js';
import {randomJpeg, writeJpeg} from './jpeg-writer.js';
import {crop} from './reference.js';

/** Two decoders' samples may round to different sides; Cb and Cr then count 1.772 and 1.402 times beside Y. */
const ROUNDING = 3;

function difference(a: Image, b: Image) {
  expect([a.width, a.height]).toEqual([b.width, b.height]);
  let [largest, sum] = [0, 0];
  for (const [i, x] of a.data.entries()) {
    const d = Math.abs(x - b.data[i]!);
    sum += d;
    largest = Math.max(largest, d);
  }
  return {largest, mean: sum / a.data.length};
}
const photograph = (width: number, height: number, channels: 1 | 3 = 3) => {
  const r = random(width * height);
  const noise = Uint8Array.from({length: width * height * channels}, () => r.integer(256));
  return sharp(noise, {raw: {width, height, channels}}).blur(2).linear(4, -384);
};
const file = async (image: Sharp, options: JpegOptions) => new Uint8Array(await image.jpeg(options).toBuffer());

const samplings: [number, number][][] = [
  [[1, 1]],
  ...[
    [1, 1],
    [2, 1],
    [1, 2],
    [2, 2],
  ].map((luma): [number, number][] => [luma as [number, number], [1, 1], [1, 1]]),
  [
    [2, 2],
    [2, 1],
    [1, 2],
  ],
];
const shape = fc.record({
  width: fc.integer({min: 1, max: 50}),
  height: fc.integer({min: 1, max: 50}),
  sampling: fc.constantFrom(...samplings),
  restartInterval: fc.constantFrom(0, 0, 1, 2, 3, 7),
  codes: fc.constantFrom<'flat' | 'long'>('flat', 'long'),
});

test('every scale, sampling, code and restart interval: the slow definition', () => {
  let [sum, values] = [0, 0];
  fc.assert(
    fc.property(shape, fc.nat(), fc.integer({min: 1, max: 8}), (options, seed, eighths) => {
      const jpeg = randomJpeg(random(seed), options);
      const slow = slowDecode(jpeg, eighths);
      const {largest, mean} = difference(decodeScaled(writeJpeg(jpeg), () => ({eighths}))!, slow);
      expect(largest).toBeLessThanOrEqual(ROUNDING);
      sum += mean * slow.data.length;
      values += slow.data.length;
    }),
    {numRuns: 150},
  );
  expect(sum / values).toBeLessThan(0.1); // one in thirty rounds the other way
});

test('a part of the scaled image is that part of it', () => {
  fc.assert(
    fc.property(
      shape,
      fc.integer({min: 1, max: 8}),
      fc.tuple(...[0, 0, 0, 0].map(() => fc.nat(1000))),
      (options, eighths, at) => {
        const bytes = writeJpeg(randomJpeg(random(eighths), options));
        const whole = decodeScaled(bytes, () => ({eighths}))!;
        const [left, top] = [at[0]! % whole.width, at[1]! % whole.height];
        const box = {left, top, width: 1 + (at[2]! % (whole.width - left)), height: 1 + (at[3]! % (whole.height - top))};
        expect(decodeScaled(bytes, () => ({eighths, box}))!.data).toEqual(crop(whole, box).data);
      },
    ),
    {numRuns: 100},
  );
});

test('at full scale it is what sharp gives, where nothing is upsampled', async () => {
  for (const restartInterval of [0, 3]) {
    const sampling: [number, number][] = restartInterval
      ? [[1, 1]]
      : [
          [1, 1],
          [1, 1],
          [1, 1],
        ];
    const bytes = writeJpeg(randomJpeg(random(3), {width: 61, height: 45, sampling, restartInterval, codes: 'long'}));
    const {largest} = difference(decodeScaled(bytes, () => ({eighths: 8}))!, await decodeImage(bytes));
    expect(largest).toBeLessThanOrEqual(ROUNDING);
  }
  for (const options of [{quality: 100}, {quality: 60, optimiseCoding: false}, {quality: 20, optimiseCoding: true}]) {
    for (const [width, height, channels] of [
      [100, 75, 3],
      [33, 8, 3],
      [1, 1, 3],
      [57, 31, 1],
    ] as const) {
      const bytes = await file(photograph(width, height, channels), {...options, chromaSubsampling: '4:4:4'});
      const {largest, mean} = difference(decodeScaled(bytes, () => ({eighths: 8}))!, await decodeImage(bytes));
      expect(largest).toBeLessThanOrEqual(ROUNDING);
      expect(mean).toBeLessThan(0.3); // libjpeg-turbo's transform errs too
    }
  }
});

test('chroma of half the resolution: between the samples, as sharp interpolates', async () => {
  const bytes = await file(photograph(96, 80).blur(4), {quality: 90, chromaSubsampling: '4:2:0'});
  const {mean} = difference(decodeScaled(bytes, () => ({eighths: 8}))!, await decodeImage(bytes));
  expect(mean).toBeLessThan(1.5); // cosines are not libjpeg's triangle; a shift by one sample would give 4.2
});

test('resampling knows that the last pixel lies partly outside', async () => {
  const bytes = await file(photograph(500, 333).blur(8), {quality: 95, chromaSubsampling: '4:4:4'});
  const recipe = recipes.cnn(224);
  const exact = await prepare(bytes, {recipe, fast: false});
  const fast = await prepare(bytes, {recipe, fast: true});
  expect(difference(fast, exact).mean).toBeLessThan(0.3); // smooth: only the rounding differs
});

test('one eighth more than the wanted size needs', () => {
  const cases = [
    [375, 256, 7],
    [500, 256, 6],
    [512, 256, 5],
    [3000, 256, 2],
    [300, 256, 8],
    [20, 256, 8],
  ] as const;
  for (const [short, wanted, eighths] of cases) expect(eighthsFor({width: 2 * short, height: short}, wanted)).toBe(eighths);
});

describe('what is not ours goes to sharp', () => {
  const recipe = {resize: 16, crop: undefined, interpolation: 'bilinear'} as const;
  test.each([
    ['progressive', (image: Sharp) => image.jpeg({progressive: true})],
    ['CMYK', (image: Sharp) => image.toColourspace('cmyk').jpeg()],
    ['PNG', (image: Sharp) => image.png()],
  ])('%s', async (_, encode) => {
    const bytes = new Uint8Array(await encode(photograph(25, 20)).toBuffer());
    expect(readBaseline(bytes)).toBeUndefined();
    expect(await decodeFast(bytes, recipe)).toEqual(await decodeImage(bytes, (size) => ({left: 0, top: 0, ...size})));
  });

  test('progressive files of twice the size are halved', async () => {
    const bytes = await file(photograph(101, 80), {progressive: true});
    const {width, height} = await decodeFast(bytes, {...recipe, resize: 40});
    expect([width, height]).toEqual([50, 40]);
  });

  const markerAt = (bytes: Uint8Array, marker: number) => bytes.findIndex((x, i) => x === 0xff && bytes[i + 1] === marker);
  test.each<[string, (bytes: Uint8Array) => void]>([
    ['RGB by an Adobe marker', (b) => b.set([0xff, 0xee, 0, 14, ...Buffer.from('Adobe'), 0, 100, 0, 0, 0, 0, 0], 2)],
    ['12 bits', (b) => b.set([12], markerAt(b, 0xc0) + 4)],
    ['arithmetic', (b) => b.set([0xc9], markerAt(b, 0xc0) + 1)],
    ['a height that comes later', (b) => b.set([0, 0], markerAt(b, 0xc0) + 5)],
    ['no Huffman table', (b) => b.set([0xfe], markerAt(b, 0xc4) + 1)],
    ['sampling 3', (b) => b.set([0x31], markerAt(b, 0xc0) + 11)],
  ])('%s', (_, change) => {
    const sampling: [number, number][] = [
      [1, 1],
      [1, 1],
      [1, 1],
    ];
    const bytes = writeJpeg(randomJpeg(random(1), {width: 16, height: 16, sampling, restartInterval: 0, codes: 'flat'}));
    expect(decodeScaled(bytes, () => ({eighths: 8}))).toBeDefined();
    change(bytes);
    expect(decodeScaled(bytes, () => ({eighths: 8}))).toBeUndefined();
  });

  test('codes that overflow, and tables that would need much memory', () => {
    const spec = (counts: Record<number, number>) => ({
      counts: Uint8Array.from({length: 16}, (_, i) => counts[i + 1] ?? 0),
      symbols: new Uint8Array(256).fill(1),
    });
    expect(huffmanTable(spec({1: 3}), acMeaning)).toBeUndefined();
    expect(huffmanTable(spec({11: 256}), acMeaning)).toBeDefined(); // 128 prefixes of ten bits
    expect(huffmanTable(spec({11: 255, 12: 3}), acMeaning)).toBeUndefined();
    expect(huffmanTable({...spec({2: 1}), symbols: Uint8Array.of(0x10)}, acMeaning)).toBeUndefined(); // a run of nothing
  });
});

/** A crop or the message. */
const settled = (promise: Promise<Image>): Promise<Image | Error> => promise.catch((error: Error) => error);

describe('damaged files: an error where sharp has one, else an image', () => {
  const recipe = {resize: 24, crop: 24, interpolation: 'bilinear'} as const;
  const sources = [
    file(photograph(40, 30), {quality: 90, chromaSubsampling: '4:2:0'}),
    file(photograph(40, 30), {quality: 50, chromaSubsampling: '4:4:4', optimiseCoding: true}),
    file(photograph(33, 41, 1), {}),
    Promise.resolve(
      writeJpeg(randomJpeg(random(5), {width: 40, height: 40, sampling: samplings[4]!, restartInterval: 2, codes: 'long'})),
    ),
  ];
  async function check(bytes: Uint8Array): Promise<void> {
    const exact = await settled(prepare(bytes, {recipe, fast: false}));
    const fast = await settled(prepare(bytes, {recipe, fast: true}));
    if (exact instanceof Error) expect(fast).toEqual(exact);
    else expect(fast).toMatchObject({width: 24, height: 24});
  }

  test('cut off anywhere', async () => {
    for (const source of sources) {
      const bytes = await source;
      for (let length = bytes.length - 1; length >= 0; length -= 23) await check(bytes.slice(0, length));
    }
  });

  test('bytes changed anywhere', async () => {
    const change = fc.record({at: fc.nat(), to: fc.constantFrom(0, 0xff, 0x7f, 0xd0, 0xd9, 0xda, 1, 17)});
    const changes = fc.array(change, {minLength: 1, maxLength: 4});
    await fc.assert(
      fc.asyncProperty(fc.nat(3), changes, fc.boolean(), async (which, list, inHeader) => {
        const bytes = (await sources[which]!).slice();
        for (const {at, to} of list) bytes[at % (inHeader ? Math.min(bytes.length, 700) : bytes.length)] = to;
        await check(bytes);
      }),
      {numRuns: 400},
    );
  });

  test('codes that end too early, or too late before a restart, are left to sharp', async () => {
    const sampling: [number, number][] = [[1, 1]];
    const options = {width: 64, height: 64, sampling, codes: 'flat'} as const;
    const plain = writeJpeg(randomJpeg(random(2), {...options, restartInterval: 0}));
    const without = Uint8Array.of(...plain.subarray(0, -4), 0xff, 0xd9);
    expect(decodeScaled(plain, () => ({eighths: 8}))).toBeDefined();
    expect(decodeScaled(without, () => ({eighths: 8}))).toBeUndefined();
    const restarted = writeJpeg(randomJpeg(random(2), {...options, restartInterval: 8}));
    const marker = restarted.findIndex((x, i) => x === 0xff && restarted[i + 1] === 0xd1);
    const longer = Uint8Array.of(...restarted.subarray(0, marker), 0, ...restarted.subarray(marker));
    expect(decodeScaled(restarted, () => ({eighths: 8}))).toBeDefined();
    expect(decodeScaled(longer, () => ({eighths: 8}))).toBeUndefined();
    for (const bytes of [without, longer]) await check(bytes);
  });

  test('a small file that says it is large costs no memory', async () => {
    const bytes = await sources[0]!.then((b) => b.slice());
    const frame = bytes.findIndex((x, i) => x === 0xff && bytes[i + 1] === 0xc0);
    bytes.set([0xff, 0xff, 0xff, 0xff], frame + 5);
    expect(decodeScaled(bytes, () => ({eighths: 8}))).toBeUndefined();
    await expect(prepare(bytes, {recipe, fast: true})).rejects.toThrow();
  });
});

test('what was decoded before leaves no trace', async () => {
  const bytes = await file(photograph(64, 48), {});
  const decoded = () =>
    preprocess(decodeScaled(bytes, () => ({eighths: 5}))!, {resize: 20, crop: 20, interpolation: 'bicubic'});
  const first = decoded();
  decodeScaled(
    writeJpeg(randomJpeg(random(8), {width: 90, height: 90, sampling: [[1, 1]], restartInterval: 1, codes: 'flat'})),
    () => ({eighths: 8}),
  );
  decodeScaled(bytes.subarray(0, 700), () => ({eighths: 8}));
  expect(decoded()).toEqual(first);
});
