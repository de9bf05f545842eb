import fc from 'fast-check';
import {random} from '../../src/core/random.js';
import {normaliser, preprocess, resizedSize} from '../../src/data/preprocess.js';
import {recipes} from '../../src/data/recipe.js';
import {type Image, resample} from '../../src/data/resample.js';
import {recipeFor} from '../../src/models/families/index.js';
import {crop, type Interpolation, slowResize} from './reference.js';

/** Noise of the extremes too: bicubic over- and undershoots there. */
function noise(width: number, height: number, seed: number): Image {
  const r = random(seed);
  const data = Uint8Array.from({length: width * height * 3}, () => (r.integer(3) === 0 ? 255 * r.integer(2) : r.integer(256)));
  return {width, height, data};
}
const side = (max: number) => fc.integer({min: 1, max});
const filter = fc.constantFrom<Interpolation>('bilinear', 'bicubic');

test('equals the slow definition for any sizes', () => {
  fc.assert(
    fc.property(side(40), side(40), side(50), side(50), filter, fc.nat(), (w, h, width, height, f, seed) => {
      const image = noise(w, h, seed);
      expect(resample(image, {size: {width, height}, filter: f})).toEqual(slowResize(image, width, height, f));
    }),
    {numRuns: 60},
  );
});

test.each([16, 32, 48, 64])('a row of %d pixels fills its blocks exactly', (width) => {
  const image = noise(29, 23, width);
  expect(resample(image, {size: {width, height: 19}, filter: 'bilinear'})).toEqual(slowResize(image, width, 19, 'bilinear'));
});

test('a window is a part of the whole; a box is cut out before', () => {
  const part = (max: number) => fc.tuple(fc.nat(max - 1), side(max)).map(([at, n]) => ({at, length: Math.min(n, max - at)}));
  const boxes = fc.record({x: part(24), y: part(18), bx: part(30), by: part(20), f: filter, seed: fc.nat()});
  fc.assert(
    fc.property(boxes, ({x, y, bx, by, f, seed}) => {
      const image = noise(30, 20, seed);
      const window = {left: x.at, top: y.at, width: x.length, height: y.length};
      const box = {left: bx.at, top: by.at, width: bx.length, height: by.length};
      const slow = crop(slowResize(crop(image, box), 24, 18, f), window);
      expect(resample(image, {box, size: {width: 24, height: 18}, filter: f, window})).toEqual(slow);
    }),
    {numRuns: 60},
  );
});

test('larger than the pieces that the kernels take at once', () => {
  const image = noise(1300, 230, 7); // 3,900 bytes a row: 64 rows a piece
  const window = {left: 100, top: 3, width: 40, height: 50};
  const size = {width: 400, height: 60};
  const slow = slowResize(image, 400, 60, 'bilinear');
  expect(resample(image, {size, filter: 'bilinear', window})).toEqual(crop(slow, window));
});

test('the same size is the same image', () => {
  const image = noise(31, 17, 1);
  for (const f of ['bilinear', 'bicubic'] as const) expect(resample(image, {size: image, filter: f})).toEqual(image);
});

test('what lies outside is a bug, not a guess', () => {
  const image = noise(8, 8, 1);
  const size = {width: 4, height: 4};
  expect(() => resample(image, {size, filter: 'bilinear', window: {left: 1, top: 0, width: 4, height: 4}})).toThrow(/exceeds/);
  expect(() => resample(image, {size, filter: 'bilinear', box: {left: 0, top: 0, width: 0, height: 4}})).toThrow(/exceeds/);
});

describe('sizes and offsets are torchvision’s', () => {
  test.each([
    [500, 375, 256, 341, 256],
    [375, 500, 256, 256, 341],
    [300, 300, 256, 256, 256],
    [1, 65535, 256, 256, 16776960],
    [640, 427, 256, 383, 256],
  ])('%dx%d, short side %d: %dx%d', (width, height, short, w, h) => {
    expect(resizedSize({width, height}, short)).toEqual({width: w, height: h});
  });

  test.each([
    [6, 2], // round(1.5)
    [8, 2], // round(2.5)
    [10, 4], // round(3.5)
    [7, 2],
  ])('the middle 3 of %d pixels begin at %d', (width, start) => {
    const image: Image = {width, height: 3, data: Uint8Array.from({length: width * 9}, (_, i) => Math.floor(i / 3) % width)};
    expect(preprocess(image, {resize: undefined, crop: 3, interpolation: 'bilinear'}).data[0]).toBe(start);
  });

  test('a crop larger than the image is padded with black, the odd pixel behind', () => {
    const image: Image = {width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6)};
    const {data} = preprocess(image, {resize: undefined, crop: 3, interpolation: 'bilinear'});
    expect([...data]).toEqual([...new Array(9).fill(0), 1, 2, 3, 4, 5, 6, 0, 0, 0, ...new Array(9).fill(0)]);
  });

  test('a photograph of one column', () => {
    const image: Image = {width: 1, height: 65535, data: new Uint8Array(65535 * 3).fill(9)};
    expect(preprocess(image, recipes.cnn(224)).data).toEqual(new Uint8Array(224 * 224 * 3).fill(9));
  });
});

test('recipes', () => {
  expect(recipeFor('resnet', 224)).toMatchObject({resize: 256, crop: 224, interpolation: 'bilinear'});
  expect(recipeFor('rvt', 224)).toMatchObject({resize: 256, crop: 224, interpolation: 'bicubic'});
  for (const family of ['mobilenet', 'mobilenet_v2']) expect(recipeFor(family, 160)).toMatchObject({resize: 182, crop: 160}); // int(182.86)
  expect(recipeFor('cifar-resnet', 32)).toMatchObject({resize: undefined, crop: undefined});
  expect(recipeFor('resnet', 224, {resize: 232})).toMatchObject({resize: 232, crop: 224});
  expect(() => recipeFor('vgg', 224)).toThrow(/known are resnet, resnet-3x3, mobilenet/);
});

test('every byte is normalised to the nearest float32, into planes', () => {
  const recipe = recipes.cnn(224);
  const rgb = Uint8Array.from({length: 256 * 3}, (_, i) => Math.floor(i / 3));
  const floats = new Float32Array(256 * 3);
  normaliser(recipe)(rgb, floats);
  for (let c = 0; c < 3; c++) {
    for (let x = 0; x < 256; x++) expect(floats[c * 256 + x]).toBeCloseTo((x / 255 - recipe.mean[c]!) / recipe.std[c]!, 5);
  }
});
