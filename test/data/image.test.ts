import sharp, {type Sharp} from 'sharp';
import {decodeImage} from '../../src/data/image.js';
import {jpegFrame} from '../../src/data/image-kind.js';
import {decodePpm, encodePpm} from '../../src/data/ppm.js';
import {prepare} from '../../src/data/prepare.js';
import {preprocess} from '../../src/data/preprocess.js';
import {recipes} from '../../src/data/recipe.js';
import {thumbnail} from '../../src/data/thumbnail.js';

const pixels = (width: number, height: number, channels: number) =>
  Uint8Array.from({length: width * height * channels}, (_, i) => (i * 7) % 251);
const raw = (width: number, height: number, channels: 1 | 2 | 3 | 4) =>
  sharp(pixels(width, height, channels), {raw: {width, height, channels}});
const bytes = async (image: Sharp) => new Uint8Array(await image.toBuffer());
const smooth = (width: number, height: number) =>
  sharp(
    Uint8Array.from({length: width * height * 3}, (_, i) => Math.floor(i / 3 / width) % 256),
    {raw: {width, height, channels: 3}},
  );

test('alpha is dropped, not blended', async () => {
  const source = pixels(3, 2, 4);
  const {data} = await decodeImage(await bytes(raw(3, 2, 4).png()));
  expect([...data]).toEqual([...source].filter((_, i) => i % 4 !== 3));
});

test('gray, with and without alpha, becomes three equal channels', async () => {
  const gray = await decodeImage(await bytes(raw(4, 1, 1).toColourspace('b-w').png()));
  expect([...gray.data]).toEqual([0, 0, 0, 7, 7, 7, 14, 14, 14, 21, 21, 21]);
  const alpha = await decodeImage(await bytes(raw(2, 1, 2).toColourspace('b-w').png()));
  expect([...alpha.data]).toEqual([0, 0, 0, 14, 14, 14]);
});

test('16 bits: colour keeps the high byte, gray is clipped at 255, as in PIL', async () => {
  const wide = Uint16Array.of(0, 100, 255, 256, 300, 65535);
  const colour = sharp(wide, {raw: {width: 2, height: 1, channels: 3}})
    .toColourspace('rgb16')
    .png();
  expect([...(await decodeImage(await bytes(colour))).data]).toEqual([0, 0, 0, 1, 1, 255]);
  const gray = sharp(wide, {raw: {width: 6, height: 1, channels: 1}})
    .toColourspace('grey16')
    .png();
  const {data} = await decodeImage(await bytes(gray));
  expect([...data].filter((_, i) => i % 3 === 0)).toEqual([0, 100, 255, 255, 255, 255]);
});

test('EXIF orientation and embedded profiles do not touch the pixels', async () => {
  const plain = await decodeImage(await bytes(smooth(20, 10).jpeg()));
  const rotated = await decodeImage(await bytes(smooth(20, 10).jpeg().withMetadata({orientation: 6})));
  const profiled = await decodeImage(await bytes(smooth(20, 10).jpeg().withIccProfile('p3', {attach: true})));
  expect(rotated).toEqual(plain);
  expect([profiled.width, profiled.height]).toEqual([20, 10]);
});

test('the first frame of an animation', async () => {
  const frames = sharp(pixels(4, 8, 3), {raw: {width: 4, height: 8, channels: 3, pageHeight: 4}});
  const image = await decodeImage(await bytes(frames.webp({lossless: true})));
  expect([image.width, image.height]).toEqual([4, 4]);
});

test('PPM and PGM', async () => {
  const image = {width: 3, height: 2, data: pixels(3, 2, 3)};
  expect(decodePpm(encodePpm(image))).toEqual(image);
  expect(await decodeImage(encodePpm(image))).toEqual(image);
  const gray = new Uint8Array([...new TextEncoder().encode('P5 # a comment\n2 1\n255\n'), 5, 6]);
  expect([...decodePpm(gray).data]).toEqual([5, 5, 5, 6, 6, 6]);
  expect(() => decodePpm(encodePpm(image).subarray(0, 20))).toThrow(/18 bytes, the file has/);
  expect([...decodePpm(new TextEncoder().encode('P6 1 1 65535\nAABBCC')).data]).toEqual([0x41, 0x42, 0x43]);
});

describe('refused, with the reason', () => {
  const text = (s: string) => new TextEncoder().encode(s);
  test.each([
    ['an empty file', new Uint8Array(0), /empty/],
    ['SVG called .jpg', text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), /XML, SVG or HTML/],
    ['a web page', text('\n<!DOCTYPE html><title>404</title>'), /HTML/],
    ['the beginning of a BMP', text('BM......'), /the file ends before/],
    ['anything else', Uint8Array.of(1, 2, 3), /none of JPEG/],
  ])('%s', async (_, file, reason) => {
    await expect(decodeImage(file)).rejects.toThrow(reason);
  });

  test('a truncated JPEG, at every tenth', async () => {
    const whole = await bytes(raw(64, 48, 3).jpeg());
    for (let tenths = 1; tenths < 10; tenths++) {
      await expect(decodeImage(whole.subarray(0, Math.floor((whole.length * tenths) / 10)))).rejects.toThrow();
    }
  });

  describe('with one reason, the true one, whatever is decoded beside it', () => {
    const ends = 'the file ends before its image does: copy or download it again';
    const frame = (file: Uint8Array) => file.findIndex((b, i) => b === 0xff && file[i + 1] === 0xc0);
    const changed = (file: Uint8Array, at: number, to: number) => Uint8Array.from(file, (b, i) => (i === at ? to : b));
    test.each<[string, () => Sharp, (whole: Uint8Array) => Uint8Array, string]>([
      ['a JPEG cut in its image', () => raw(64, 48, 3).jpeg(), (f) => f.subarray(0, -200), ends],
      ['a JPEG without its last byte', () => raw(64, 48, 3).jpeg(), (f) => f.subarray(0, -1), ends],
      ['a progressive JPEG cut', () => raw(64, 48, 3).jpeg({progressive: true}), (f) => f.subarray(0, -300), ends],
      ['a JPEG cut in its headers', () => raw(64, 48, 3).jpeg(), (f) => f.subarray(0, 100), ends],
      [
        'a JPEG of 12 bits',
        () => raw(64, 48, 3).jpeg(),
        (f) => changed(f, frame(f) + 4, 12),
        'a JPEG of 12 bits is not read, only 8',
      ],
      [
        'a lossless JPEG',
        () => raw(64, 48, 3).jpeg(),
        (f) => changed(f, frame(f) + 1, 0xc3),
        'a JPEG of the rare kind SOF3 is not read',
      ],
      ['a PNG cut', () => raw(64, 48, 3).png(), (f) => f.subarray(0, -30), ends],
      [
        'a PNG with another byte',
        () => raw(64, 48, 3).png(),
        (f) => changed(f, f.length - 40, f.at(-40)! ^ 1),
        'its part IDAT is damaged: the checksum does not fit',
      ],
      ['a WebP cut', () => raw(64, 48, 3).webp(), (f) => f.subarray(0, -30), ends],
    ])('%s', async (_, make, damage, reason) => {
      const whole = await bytes(make());
      const file = damage(whole);
      const beside = Array.from({length: 24}, (_, i) => decodeImage(Uint8Array.from(i % 2 === 0 ? file : whole)));
      const reasons = (await Promise.allSettled(beside)).map((r) => (r.status === 'rejected' ? r.reason.message : 'read'));
      expect(reasons).toEqual(Array.from({length: 24}, (_, i) => (i % 2 === 0 ? reason : 'read')));
    });
  });

  test('dimensions beyond any photograph', async () => {
    const header = await bytes(raw(8, 8, 3).jpeg());
    const at = header.findIndex((b, i) => b === 0xff && header[i + 1] === 0xc0);
    header.set([0xff, 0xff, 0xff, 0xff], at + 5);
    expect(jpegFrame(header)).toMatchObject({width: 65535, height: 65535});
    await expect(decodeImage(header)).rejects.toThrow(/pixel/i);
  });

  test('damaged bytes never hang or crash', async () => {
    const whole = await bytes(raw(40, 30, 3).png());
    for (let i = 0; i < whole.length; i += 97) {
      const damaged = Uint8Array.from(whole);
      damaged[i]! ^= 0xff;
      await decodeImage(damaged).catch((error: unknown) => expect(error).toBeInstanceOf(Error));
    }
  });
});

test('a million parts: a decoder keeps something for each, so that they are counted first', async () => {
  const raw = {raw: {width: 40, height: 30, channels: 3 as const}};
  const pixels = Buffer.alloc(40 * 30 * 3, 99);
  const jpeg = await sharp(pixels, raw).jpeg().toBuffer();
  const progressive = await sharp(pixels, raw).jpeg({progressive: true}).toBuffer();
  const webp = await sharp(pixels, raw).webp().toBuffer();
  const many = (segment: number[], count: number) => Buffer.alloc(count * segment.length, Buffer.from(segment));
  const empty = (count: number) => many([0xff, 0xe1, 0, 2], count);
  const comments = (count: number) => many([0xff, 0xfe, 0, 3, 0x78], count);
  const behind = (file: Buffer, what: Buffer) => Buffer.concat([file.subarray(0, 2), what, file.subarray(2)]);
  const beforeEnd = (file: Buffer, what: Buffer) => Buffer.concat([file.subarray(0, -2), what, file.subarray(-2)]);
  const chunks = Buffer.concat([webp, many([0x61, 0x62, 0x63, 0x64, 0, 0, 0, 0], 500_000)]);
  chunks.writeUInt32LE(chunks.length - 8, 4);
  for (const file of [behind(jpeg, empty(1e6)), behind(jpeg, comments(1e6)), beforeEnd(progressive, empty(1e6)), chunks]) {
    await expect(decodeImage(file)).rejects.toThrow('more parts than any photograph');
    await expect(prepare(file, {recipe: recipes.cnn(8), fast: true})).rejects.toThrow('more parts');
  }
  const honest = behind(jpeg, Buffer.concat([many([0xff, 0xe2, 0x10, 0, ...new Array(4094).fill(0)], 255), empty(500)]));
  for (const file of [honest, Buffer.concat([jpeg, empty(1e6)]), jpeg]) expect((await decodeImage(file)).width).toBe(40);
});

test('thumbnails', async () => {
  const small = await decodeImage(await thumbnail(await bytes(smooth(200, 100).png()), 64));
  expect([small.width, small.height]).toEqual([64, 32]);
  const tiny = await decodeImage(await thumbnail(encodePpm({width: 3, height: 2, data: pixels(3, 2, 3)}), 64));
  expect([tiny.width, tiny.height]).toEqual([3, 2]);
  const cmyk = await bytes(smooth(20, 10).toColourspace('cmyk').jpeg());
  expect(jpegFrame(cmyk)?.components).toBe(4);
  expect(jpegFrame(await thumbnail(cmyk, 10))).toEqual({width: 10, height: 5, components: 3});
});

test.each([
  [640, 480],
  [375, 500],
  [300, 300],
  [227, 901],
])('decoding the needed part of a %ix%i JPEG changes no pixel of the crop', async (width, height) => {
  const noise = Uint8Array.from({length: width * height * 3}, (_, i) => (i * 2654435761) >>> 24);
  const bytes = await sharp(noise, {raw: {width, height, channels: 3}})
    .blur(3)
    .jpeg({chromaSubsampling: '4:2:0'})
    .toBuffer();
  for (const recipe of [recipes.cnn(224), recipes.rvt(224)]) {
    const whole = preprocess(await decodeImage(bytes), recipe);
    expect(Buffer.from((await prepare(bytes, {recipe, fast: false})).data).equals(whole.data)).toBe(true);
  }
  // PIL refuses a file that was cut off, even behind the last row that is needed.
  await expect(prepare(bytes.subarray(0, bytes.length - 40), {recipe: recipes.cnn(224), fast: false})).rejects.toThrow();
});
