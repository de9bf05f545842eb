/** Augmentation: PIL's results to the bit, distributions, and that seed, epoch, sample and copy decide every pixel. */
import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import sharp from 'sharp';
import {random} from '../../src/core/random.js';
import {affine} from '../../src/data/augment/affine.js';
import {drawResizedCrop, flipped, paddedCrop} from '../../src/data/augment/crop.js';
import {erase} from '../../src/data/augment/erasing.js';
import {jitter, operations, parseRandAugment, randAugment} from '../../src/data/augment/rand-augment.js';
import {fillOf, prepareTraining, streamOf, type TrainTransform} from '../../src/data/augment/transform.js';
import {epochOrder, permutation} from '../../src/data/epoch-order.js';
import {decodeImage} from '../../src/data/image.js';
import {loadBatches} from '../../src/data/loader.js';
import {encodePpm} from '../../src/data/ppm.js';
import {recipes} from '../../src/data/recipe.js';
import type {Image} from '../../src/data/resample.js';
import {FILL, pilCases} from './pil-operations.js';
import {crop, slowResize} from './reference.js';

const r = random('augmentation');
const imageOf = (width: number, height: number): Image => ({
  width,
  height,
  data: new Uint8Array(width * height * 3).map(() => r.integer(256)),
});
const plain: TrainTransform = {
  geometry: recipes.cnn(24),
  ...{side: 24, crop: 'resized', cropArea: [0.08, 1], flip: 0, jitter: 0, fill: fillOf(recipes.cnn(24))},
};
const pixel = ({width, data}: Image, x: number, y: number) => [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];

test('operations give the pixels that PIL gives', () => {
  const digests: Record<string, ReturnType<typeof createHash>> = {};
  for (const {operation, run} of pilCases()) {
    digests[operation] ??= createHash('sha256');
    digests[operation].update(run().data);
  }
  const expected = JSON.parse(readFileSync(join(__dirname, 'pil-operations.json'), 'utf8'));
  expect(Object.fromEntries(Object.entries(digests).map(([name, d]) => [name, d.digest('hex')]))).toEqual(expected);
});

test.each(['bicubic', 'bilinear'] as const)('%s: a shift by whole pixels moves them, and what comes in is filled', (filter) => {
  const image = imageOf(9, 7);
  const moved = affine(image, [1, 0, 2, 0, 1, -3], {filter, fill: FILL});
  for (let y = 0; y < 7; y++)
    for (let x = 0; x < 9; x++)
      expect(pixel(moved, x, y)).toEqual(x + 2 < 9 && y - 3 >= 0 ? pixel(image, x + 2, y - 3) : [...FILL]);
});

test('a flip mirrors every row, and twice is none', () => {
  const image = imageOf(5, 3);
  for (let y = 0; y < 3; y++) for (let x = 0; x < 5; x++) expect(pixel(flipped(image), x, y)).toEqual(pixel(image, 4 - x, y));
  expect(flipped(flipped(image)).data).toEqual(image.data);
});

/** Areas and aspects on a grid, those that fit counted: the median of the area, where the image is `aspect` times as wide as high. */
function medianOfAccepted(aspect: number): number {
  const fitting: number[] = [];
  for (let a = 0.08; a < 1; a += 1e-3)
    for (let k = 0; k < 200; k++) {
      const own = Math.exp(Math.log(3 / 4) + ((k + 0.5) / 200) * Math.log(16 / 9));
      if (a * own <= aspect && a / own <= 1 / aspect) fitting.push(a);
    }
  return fitting[fitting.length >> 1]!;
}

describe('resized crops', () => {
  test('lie inside, cover between the least and the largest part, and reach both', () => {
    const size = {width: 400, height: 300};
    const shares: number[] = [];
    for (let i = 0; i < 4000; i++) {
      const {left, top, width, height} = drawResizedCrop(r, size, [0.08, 1]);
      expect(left >= 0 && top >= 0 && left + width <= 400 && top + height <= 300).toBe(true);
      expect(width / height).toBeGreaterThan(0.74);
      expect(width / height).toBeLessThan(1.35); // 3/4 to 4/3, and half a pixel
      shares.push((width * height) / (400 * 300));
    }
    shares.sort((a, b) => a - b);
    expect(shares[0]).toBeLessThan(0.09);
    expect(shares[0]).toBeGreaterThan(0.079);
    expect(shares.at(-1)).toBeGreaterThan(0.95);
    expect(Math.abs(shares[2000]! - medianOfAccepted(4 / 3))).toBeLessThan(0.03); // 3 standard deviations of the median are 0.02
  });

  test('of images too narrow for any fall back to their middle', () => {
    expect(drawResizedCrop(r, {width: 1000, height: 10}, [0.5, 1])).toEqual({left: 493, top: 0, width: 13, height: 10});
    expect(drawResizedCrop(r, {width: 10, height: 1000}, [0.5, 1])).toEqual({left: 0, top: 493, width: 10, height: 13});
    expect(drawResizedCrop(r, {width: 1, height: 1}, [0.08, 1])).toEqual({left: 0, top: 0, width: 1, height: 1});
  });

  test.each(['bilinear', 'bicubic'] as const)('are cut out first and resized then: %s', async (interpolation) => {
    const image = imageOf(50, 40);
    const transform = {...plain, geometry: {...plain.geometry, interpolation}};
    for (let epoch = 0; epoch < 5; epoch++) {
      const stream = streamOf(0, epoch, 7, 0);
      const box = drawResizedCrop(random(`${stream} crop`), image, [0.08, 1]);
      const expected = slowResize(crop(image, box), 24, 24, interpolation);
      expect((await prepareTraining(encodePpm(image), transform, stream)).data).toEqual(expected.data);
    }
  });

  test('do not depend on how much of a photograph was decoded', async () => {
    const image = imageOf(90, 70);
    const jpeg = await sharp(image.data, {raw: {width: 90, height: 70, channels: 3}})
      .jpeg()
      .toBuffer();
    const whole = encodePpm(await decodeImage(jpeg));
    for (let epoch = 0; epoch < 10; epoch++) {
      const stream = streamOf(3, epoch, 0, 0);
      const [part, all] = [await prepareTraining(jpeg, plain, stream), await prepareTraining(whole, plain, stream)];
      expect(part.data).toEqual(all.data);
    }
  });
});

test('a padded crop is a window of the image with a black border of four', () => {
  const image = imageOf(32, 32);
  const seen = new Set<string>();
  for (let i = 0; i < 600; i++) {
    const cut = paddedCrop(r, image, 32);
    const at = [-4, -3, -2, -1, 0, 1, 2, 3, 4].flatMap((top) => [-4, -3, -2, -1, 0, 1, 2, 3, 4].map((left) => [top, left]));
    const isWindow = ([top, left]: number[]) =>
      [0, 5, 16, 31].every((y) =>
        [0, 9, 17, 31].every((x) => {
          const [sx, sy] = [x + left!, y + top!];
          const inside = sx >= 0 && sx < 32 && sy >= 0 && sy < 32;
          return `${pixel(cut, x, y)}` === `${inside ? pixel(image, sx, sy) : [0, 0, 0]}`;
        }),
      );
    seen.add(String(at.find(isWindow)));
  }
  expect(seen.has('undefined')).toBe(false);
  expect(seen.size).toBe(81); // each of 9 x 9 places is missed with probability 0.06 %
  expect(() => paddedCrop(r, imageOf(20, 40), 32)).toThrow('too small');
});

describe('RandAugment', () => {
  test('policies', () => {
    expect(parseRandAugment('rand-m9-mstd0.5-inc1')).toEqual({layers: 2, magnitude: 9, magnitudeStd: 0.5});
    expect(parseRandAugment('rand-m7-n3-inc1')).toEqual({layers: 3, magnitude: 7, magnitudeStd: 0});
    for (const bad of ['augmix-m3', 'rand-m9', 'rand-m11-inc1', 'rand-m9-w0-inc1', 'v0', 'rand-m9-n1.5-inc1'])
      expect(() => parseRandAugment(bad)).toThrow(/none of|begin with|inc1|whole number/);
  });

  test('fifteen operations; a quarter of the images stay as they are', () => {
    expect(Object.keys(operations)).toHaveLength(15);
    const image = imageOf(16, 16);
    const policy = parseRandAugment('rand-m9-mstd0.5-inc1');
    const options = {filter: 'bicubic', fill: FILL} as const;
    let same = 0;
    for (let i = 0; i < 2000; i++) if (randAugment(random(`s${i}`), image, policy, options) === image) same++;
    expect(Math.abs(same / 2000 - 0.25)).toBeLessThan(0.05); // 5 standard deviations
  });

  test('at magnitude 0 nothing moves or changes in strength', () => {
    const image = imageOf(16, 16);
    const options = {filter: 'bicubic', fill: FILL} as const;
    for (const name of [
      'rotate',
      'shearX',
      'shearY',
      'translateX',
      'translateY',
      'color',
      'contrast',
      'brightness',
      'sharpness',
    ])
      expect(operations[name]!(image, 0, r, options).data).toEqual(image.data);
  });

  test('jitter of no range is none', () => {
    const image = imageOf(8, 8);
    expect(jitter(r, image, 0).data).toEqual(image.data);
    expect(jitter(r, image, 0.4).data).not.toEqual(image.data);
  });
});

describe('erasing', () => {
  const side = 32;
  const erased = (mode: 'pixel' | 'rand' | 'const', seed: string, probability = 1) => {
    const planes = new Float32Array(3 * side * side).fill(7);
    erase(random(seed), planes, side, {probability, mode, count: 1});
    return planes;
  };
  const places = (planes: Float32Array, c: number) =>
    [...planes.subarray(c * side * side, (c + 1) * side * side)].flatMap((v, i) =>
      v === 7 ? [] : [[i % side, Math.floor(i / side)]],
    );

  test('touches one rectangle, the same in all channels, of a third of the image at most', () => {
    for (let i = 0; i < 200; i++) {
      const planes = erased('const', `e${i}`);
      const [red, green, blue] = [0, 1, 2].map((c) => places(planes, c)) as [number[][], number[][], number[][]];
      expect(green).toEqual(red);
      expect(blue).toEqual(red);
      const [xs, ys] = [red.map(([x]) => x!), red.map(([, y]) => y!)];
      const area = (Math.max(...xs) - Math.min(...xs) + 1) * (Math.max(...ys) - Math.min(...ys) + 1);
      expect(red).toHaveLength(area);
      expect(area / side ** 2).toBeGreaterThan(0.015);
      expect(area / side ** 2).toBeLessThan(0.36); // rounded to whole pixels
    }
  });

  test('fills with standard normal noise, one colour, or the mean', () => {
    const noise = Array.from({length: 60}, (_, i) => [...erased('pixel', `n${i}`)].filter((v) => v !== 7)).flat();
    const mean = noise.reduce((a, b) => a + b, 0) / noise.length;
    const variance = noise.reduce((a, b) => a + (b - mean) ** 2, 0) / noise.length;
    const sd = 1 / Math.sqrt(noise.length);
    expect(Math.abs(mean)).toBeLessThan(5 * sd);
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.SQRT2 * sd);
    expect(new Set(erased('rand', 'a')).size).toBe(4); // three colours and the rest
    expect(new Set(erased('const', 'a'))).toEqual(new Set([0, 7]));
  });

  test('happens as often as asked', () => {
    const count = Array.from({length: 2000}, (_, i) => erased('const', `p${i}`, 0.25)).filter((p) => p.includes(0)).length;
    expect(Math.abs(count / 2000 - 0.25)).toBeLessThan(0.05); // 5 standard deviations
  });
});

describe('one stream of random numbers an image', () => {
  const bytes = encodePpm(imageOf(40, 40));
  const all: TrainTransform = {...plain, flip: 0.5, randAugment: parseRandAugment('rand-m9-mstd0.5-inc1')};
  const look = async (...where: Parameters<typeof streamOf>) =>
    Buffer.from((await prepareTraining(bytes, all, streamOf(...where))).data).toString('base64');

  test('the same place looks the same, any other differs', async () => {
    const first = await look(1, 2, 3, 0);
    const elsewhere: Parameters<typeof streamOf>[] = [
      [2, 2, 3, 0],
      [1, 3, 3, 0],
      [1, 2, 4, 0],
      [1, 2, 3, 1],
      [12, 3, 0, 0],
    ];
    expect(await look(1, 2, 3, 0)).toBe(first);
    for (const other of elsewhere) expect(await look(...other)).not.toBe(first);
  });

  test('batches hold what was prepared, erased, whatever their size', async () => {
    const samples = Array.from({length: 7}, (_, index) => {
      const image = encodePpm(imageOf(30 + index, 40));
      return {index, path: `${index}`, label: index, read: async () => image};
    });
    const dataset = {name: 'set', samples, classes: [], warnings: [], async close() {}};
    const streams = samples.map(({index}) => streamOf(0, 0, index, 0));
    const erasing = {probability: 0.5, mode: 'pixel', count: 1} as const;
    const load = async (batchSize: number) => {
      const numbers: number[] = [];
      const training = {transform: all, streams, erasing};
      for await (const {images} of loadBatches(dataset, {recipe: recipes.cnn(24), batchSize, training}))
        numbers.push(...images.data);
      return numbers;
    };
    const whole = await load(7);
    expect(whole).toHaveLength(7 * 3 * 24 * 24);
    expect(await load(2)).toEqual(whole);
    const first = await prepareTraining(await samples[0]!.read(), all, streams[0]!);
    const {mean, std} = recipes.cnn(24);
    const planes = Float32Array.from({length: 3 * 576}, (_, i) => {
      const c = Math.floor(i / 576);
      return (first.data[(i % 576) * 3 + c]! - 255 * mean[c]!) / (255 * std[c]!);
    });
    erase(random(`${streams[0]} erasing`), planes, 24, erasing);
    expect(whole.slice(0, planes.length)).toEqual([...planes]);
  });
});

describe('the order of an epoch', () => {
  test('is a permutation, another one in each epoch and for each seed', () => {
    const order = (seed: number, epoch: number) => epochOrder(1000, {seed, epoch, repeats: 1}).map(({index}) => index);
    const first = order(0, 0);
    expect([...first].sort((a, b) => a - b)).toEqual(Array.from({length: 1000}, (_, i) => i));
    expect(order(0, 0)).toEqual(first);
    expect(order(0, 1)).not.toEqual(first);
    expect(order(1, 0)).not.toEqual(first);
  });

  test('has every sample about as often at every place', () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const key = permutation(3, `${i}`).join('');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150); // 5 standard deviations
  });

  test('repeats follow each other, and the epoch stays as long', () => {
    const places = epochOrder(100, {seed: 0, epoch: 4, repeats: 3});
    expect(places).toHaveLength(100);
    expect(places.slice(0, 3)).toEqual([0, 1, 2].map((copy) => ({index: places[0]!.index, copy})));
    expect(new Set(places.map(({index}) => index)).size).toBe(34);
  });
});
