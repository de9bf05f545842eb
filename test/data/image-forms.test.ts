/** Kinds of image files that our own code reads. What is expected was looked up in Pillow 9.4: `Image.open(f).convert('RGB')`. */
import sharp from 'sharp';
import {decodeImage} from '../../src/data/image.js';
import {thumbnail} from '../../src/data/thumbnail.js';
import {tiffFacts} from '../../src/data/tiff.js';

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const rgb = async (bytes: Uint8Array) => {
  const {width, height, data} = await decodeImage(bytes);
  return [
    width,
    height,
    [...data]
      .map((byte) => byte.toString(16).padStart(2, '0'))
      .join('')
      .replace(/.{6}/g, '$& ')
      .trim(),
  ];
};

describe('PBM, PGM, PPM', () => {
  test.each<[string, string, number, number, string]>([
    [
      'bits as text',
      'P1\n# c\n5 2\n1 0 1 01\n0 0 0 0 1\n',
      5,
      2,
      '000000 ffffff 000000 ffffff 000000 ffffff ffffff ffffff ffffff 000000',
    ],
    ['bits', 'P4 11 1 \xaa\x80', 11, 1, '000000 ffffff 000000 ffffff 000000 ffffff 000000 ffffff 000000 ffffff ffffff'],
    ['gray as text, comments between and inside', 'P2 3 1 90\n1#x\n2 3 4', 3, 1, '222222 080808 0b0b0b'],
    ['gray as text', 'P2\n3 1\n100\n0 50 100\n', 3, 1, '000000 808080 ffffff'],
    ['gray of 16 bits, clipped', 'P5 3 1 300 \0\x01\0\xff\x01\x2c', 3, 1, 'dadada ffffff ffffff'],
    ['gray of 3 bits, beyond its maximum', 'P5 4 1 7 \0\x01\x07\x09', 4, 1, '000000 242424 ffffff ffffff'],
    ['colour as text', 'P3 2 1 15 1 2 3 13 14 15', 2, 1, '112233 ddeeff'],
    ['halves go to the even number', 'P3 1 1 2 1 1 1', 1, 1, '808080'],
    ['colour of 10 bits', 'P6 1 1 1023 \0\x10\x02\x00\x03\xff', 1, 1, '0480ff'],
    ['other blanks', 'P5\x0b3 1\t255\rabc', 3, 1, '616161 626262 636363'],
  ])('%s', async (_, text, width, height, pixels) => {
    expect(await rgb(latin1(text))).toEqual([width, height, pixels]);
  });

  test.each([
    ['P5 3 1 255 ab', /3x1 pixels need 3 bytes, the file has 2/],
    ['P1 3 1 102', /a number in it is none/],
    ['P2 2 1 9 10 1', /10 is above the maximum of 9/],
    ['P6 1 1 0 abc', /a maximum of 0/],
    ['P5 -3 1 255 abc', /a number in it is none/],
    ['P3 20000 20000 255 1', /more than 178956970 pixels/],
    ['P4 0 5 ', /need 0 bytes/],
    ['P7\nWIDTH 1\n', /it is none of/],
  ])('%j is refused', async (text, reason) => {
    await expect(decodeImage(latin1(text))).rejects.toThrow(reason);
  });
});

describe('BMP', () => {
  interface Bitmap {
    bits: number;
    width: number;
    height: number;
    rows: number[];
    palette?: number[];
    compression?: number;
    masks?: number[];
    colours?: number;
    headerSize?: number;
  }
  const bmp = ({
    bits,
    width,
    height,
    rows,
    palette = [],
    compression = 0,
    masks = [],
    colours = 0,
    headerSize = 40,
  }: Bitmap) => {
    const header = Buffer.alloc(14 + headerSize);
    header.write('BM');
    header.writeUInt32LE(headerSize, 14);
    header.writeInt32LE(width, 18);
    header.writeInt32LE(height, 22);
    header.writeUInt16LE(bits, 28);
    header.writeUInt32LE(compression, 30);
    header.writeUInt32LE(colours, 46);
    const words = Buffer.alloc(4 * masks.length);
    for (const [i, mask] of masks.entries()) words.writeUInt32LE(mask, 4 * i);
    if (headerSize > 40) words.copy(header, 54);
    const parts = [header, ...(headerSize > 40 ? [] : [words]), Buffer.from(palette)];
    header.writeUInt32LE(
      parts.reduce((n, {length}) => n + length, 0),
      10,
    );
    return Buffer.concat([...parts, Buffer.from(rows)]);
  };
  const palette = [1, 2, 3, 0, 16, 32, 48, 0];
  const row = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0, 0];

  test.each<[string, Bitmap, string]>([
    [
      '24 bits, from the bottom',
      {bits: 24, width: 2, height: 2, rows: [...row, 1, 2, 3, 4, 5, 6, 0, 0]},
      '030201 060504 332211 665544',
    ],
    ['24 bits, from the top', {bits: 24, width: 2, height: -1, rows: row}, '332211 665544'],
    ['the last row not filled up', {bits: 24, width: 2, height: 1, rows: row.slice(0, 6)}, '332211 665544'],
    ['32 bits', {bits: 32, width: 2, height: 1, rows: row}, '332211 006655'],
    [
      '32 bits, masks',
      {
        bits: 32,
        width: 1,
        height: 1,
        rows: row.slice(0, 4),
        compression: 3,
        masks: [0xff, 0xff00, 0xff0000, 0xff000000],
        headerSize: 124,
      },
      '112233',
    ],
    ['16 bits', {bits: 16, width: 2, height: 1, rows: [0x1f, 0x7c, 0xe0, 0x03]}, 'ff00ff 00ff00'],
    [
      '16 bits, six of green',
      {bits: 16, width: 2, height: 1, rows: [0x1f, 0xf8, 0x20, 0x00], compression: 3, masks: [0xf800, 0x7e0, 0x1f]},
      'ff00ff 000400',
    ],
    [
      '8 bits, colours beyond the palette',
      {bits: 8, width: 4, height: 1, rows: [0, 1, 2, 200], palette, colours: 2},
      '030201 302010 020202 c8c8c8',
    ],
    ['4 bits', {bits: 4, width: 3, height: 1, rows: [0x01, 0x10, 0, 0], palette, colours: 2}, '030201 302010 302010'],
    ['1 bit', {bits: 1, width: 3, height: 1, rows: [0x40, 0, 0, 0], palette}, '030201 302010 030201'],
    [
      'runs of 8 bits',
      {bits: 8, width: 4, height: 2, rows: [3, 1, 0, 0, 0, 3, 0, 1, 0, 9, 1, 1, 0, 1], palette, colours: 2, compression: 1},
      '030201 302010 030201 302010 302010 302010 302010 030201',
    ],
    [
      'runs of 4 bits',
      {bits: 4, width: 4, height: 1, rows: [3, 0x10, 1, 0x10, 0, 1], palette, colours: 2, compression: 2},
      '302010 030201 302010 302010',
    ],
  ])('%s', async (_, bitmap, pixels) => {
    expect(await rgb(bmp(bitmap))).toEqual([bitmap.width, Math.abs(bitmap.height), pixels]);
  });

  test.each<[string, Partial<Bitmap>, RegExp]>([
    ['cut', {rows: row.slice(0, 5)}, /the file ends before/],
    ['runs that end too early', {bits: 8, compression: 1, rows: [1, 1, 0, 1]}, /the file ends before/],
    ['bits that are none', {bits: 7}, /7 bits a pixel/],
    ['a JPEG inside', {compression: 4}, /compression 4 is not read/],
    ['unusual masks', {bits: 16, compression: 3, masks: [1, 2, 4]}, /unusual bits/],
    ['more pixels than any photograph', {width: 2 ** 30, height: 2 ** 30}, /more than 178956970 pixels/],
    ['no pixels', {width: 0}, /no pixels/],
  ])('%s', async (_, changed, reason) => {
    await expect(decodeImage(bmp({bits: 24, width: 2, height: 1, rows: row, ...changed}))).rejects.toThrow(reason);
  });

  test('a small one for the report', async () => {
    const small = await thumbnail(bmp({bits: 24, width: 2, height: 1, rows: row}), 8);
    expect([...small.subarray(0, 2)]).toEqual([0xff, 0xd8]);
  });
});

describe('GIF', () => {
  /** Codes of one length: a clear code before the table grows. */
  const gif = (
    pixels: readonly number[],
    {screen = [3, 1], frame = [0, 0, 3, 1], transparent = -1, flags = 0, end = true} = {},
  ) => {
    const codes = pixels.flatMap((pixel) => [4, pixel]);
    if (end) codes.push(5);
    const bits = codes.reduce((held, code, i) => held | (BigInt(code) << BigInt(3 * i)), 0n);
    const data = Array.from({length: Math.ceil((3 * codes.length) / 8)}, (_, i) => Number((bits >> BigInt(8 * i)) & 255n));
    const u16 = (n: number) => [n & 255, n >> 8];
    const control = transparent < 0 ? [] : [0x21, 0xf9, 4, 1, 0, 0, transparent, 0];
    const head = [...screen.flatMap(u16), 0x80, 0, 0, 1, 2, 3, 16, 32, 48];
    return Buffer.concat([
      latin1('GIF89a'),
      Buffer.from([...head, ...control, 0x2c, ...frame.flatMap(u16), flags, 2, data.length, ...data, 0, 0x3b]),
    ]);
  };

  test('colours, those of transparent pixels, and numbers beyond the palette', async () => {
    expect(await rgb(gif([0, 1, 3]))).toEqual([3, 1, '010203 102030 030303']);
    expect(await rgb(gif([0, 1, 0], {transparent: 1}))).toEqual([3, 1, '010203 102030 010203']);
  });

  test('a frame that is smaller or larger than the screen', async () => {
    const screen = [3, 2];
    expect(await rgb(gif([1], {screen, frame: [1, 1, 1, 1]}))).toEqual([3, 2, '010203 010203 010203 010203 102030 010203']);
    expect(await rgb(gif([1], {screen, frame: [2, 1, 1, 1], transparent: 1}))).toEqual([
      3,
      2,
      '102030 102030 102030 102030 102030 102030',
    ]);
    expect(await rgb(gif([1, 0], {screen: [1, 1], frame: [1, 0, 2, 1]}))).toEqual([3, 1, '010203 102030 010203']);
  });

  test('interlaced rows', async () => {
    const frame = [0, 0, 1, 5];
    expect((await rgb(gif([0, 1, 2, 3, 0], {screen: [1, 5], frame, flags: 0x40})))[2]).toBe(
      '010203 030303 020202 010203 102030',
    );
  });

  test('as sharp writes it, against sharp', async () => {
    const noise = Uint8Array.from({length: 40 * 30 * 3}, (_, i) => ((i * 7919) >> 3) & 255);
    const bytes = await sharp(noise, {raw: {width: 40, height: 30, channels: 3}})
      .gif({dither: 0})
      .toBuffer();
    expect(Buffer.from((await decodeImage(bytes)).data)).toEqual(await sharp(bytes).removeAlpha().raw().toBuffer());
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['too few pixels', gif([0, 1]), /the file ends before/],
    ['cut in its data', gif([0, 1, 0]).subarray(0, 32), /the file ends before/],
    ['no frame', gif([]).subarray(0, 25), /the file ends before/],
    ['only a trailer', Buffer.concat([gif([]).subarray(0, 19), Buffer.of(0x3b)]), /no image, only headers/],
    ['a screen beyond any photograph', gif([0], {screen: [65535, 65535]}), /more than 178956970 pixels/],
    ['a frame of nothing', gif([0], {frame: [0, 0, 0, 1]}), /no pixels/],
  ])('%s', async (_, bytes, reason) => {
    await expect(decodeImage(bytes)).rejects.toThrow(reason);
  });
});

describe('TIFF', () => {
  const pixels = Uint8Array.from({length: 3 * 2 * 3}, (_, i) => 10 * i);
  /** A short value in a field of the first image. */
  const withField = (bytes: Uint8Array, tag: number, value: number): Uint8Array => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const at = view.getUint32(4, true);
    for (let i = 0; i < view.getUint16(at, true); i++)
      if (view.getUint16(at + 2 + 12 * i, true) === tag) view.setUint16(at + 10 + 12 * i, value, true);
    return bytes;
  };
  const tiff = async () =>
    new Uint8Array(
      await sharp(pixels, {raw: {width: 3, height: 2, channels: 3}})
        .withMetadata({orientation: 1})
        .tiff({compression: 'none'})
        .toBuffer(),
    );

  test('its orientation turns it, as PIL does for no other kind', async () => {
    const red = async (orientation: number) => {
      const {width, height, data} = await decodeImage(withField(await tiff(), 274, orientation));
      return [width, height, ...data.filter((_, i) => i % 3 === 0)];
    };
    const upright = [3, 2, 0, 30, 60, 90, 120, 150];
    expect(await red(1)).toEqual(upright);
    expect(await red(2)).toEqual([3, 2, 60, 30, 0, 150, 120, 90]);
    expect(await red(3)).toEqual([3, 2, 150, 120, 90, 60, 30, 0]);
    expect(await red(4)).toEqual([3, 2, 90, 120, 150, 0, 30, 60]);
    expect(await red(5)).toEqual([2, 3, 0, 90, 30, 120, 60, 150]);
    expect(await red(6)).toEqual([2, 3, 90, 0, 120, 30, 150, 60]);
    expect(await red(7)).toEqual([2, 3, 150, 60, 120, 30, 90, 0]);
    expect(await red(8)).toEqual([2, 3, 60, 150, 30, 120, 0, 90]);
  });

  test('16-bit gray is clipped, CMYK goes through no profile', async () => {
    const wide = sharp(Uint16Array.of(0, 100, 255, 256, 300, 65535), {raw: {width: 6, height: 1, channels: 1}});
    const gray = await wide.toColourspace('grey16').tiff({compression: 'none'}).toBuffer();
    expect([...(await decodeImage(gray)).data].filter((_, i) => i % 3 === 0)).toEqual([0, 100, 255, 255, 255, 255]);
    const cmyk = sharp(Uint8Array.of(0, 100, 200, 50), {raw: {width: 1, height: 1, channels: 4}});
    const bytes = await cmyk.pipelineColourspace('cmyk').toColourspace('cmyk').tiff({compression: 'none'}).toBuffer();
    expect(tiffFacts(bytes)!.photometric).toBe(5);
  });

  test('forms of which no two programs make the same pixels are refused', async () => {
    await expect(decodeImage(withField(await tiff(), 262, 8))).rejects.toThrow(/colours in this form is not read/);
  });
});
