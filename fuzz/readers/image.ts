import sharp from 'sharp';
import {crc32} from '../../src/checkpoint/crc32.js';
import type {Random} from '../../src/core/random.js';
import type {Dataset} from '../../src/data/dataset.js';
import {loadBatches} from '../../src/data/loader.js';
import {pick} from '../dice.js';
import {mutate} from '../mutate.js';
import type {Reader} from '../reader.js';

const SIDE = 16;

/** Photographs of all kinds that are read, made once. */
async function samples(): Promise<Uint8Array[]> {
  const channels = (n: 1 | 3 | 4) => {
    const data = Uint8Array.from({length: SIDE * SIDE * n}, (_, i) => (i * 7919) & 255);
    return sharp(data, {raw: {width: SIDE, height: SIDE, channels: n}});
  };
  const encoded = await Promise.all([
    channels(3).jpeg().toBuffer(),
    channels(3).jpeg({progressive: true, quality: 30}).toBuffer(),
    channels(1).toColourspace('b-w').jpeg().toBuffer(),
    channels(3).toColourspace('cmyk').jpeg().toBuffer(),
    channels(3).withMetadata({orientation: 6}).jpeg().toBuffer(),
    channels(3).png().toBuffer(),
    channels(4).png({compressionLevel: 9}).toBuffer(),
    channels(3).png({palette: true, colours: 16}).toBuffer(),
    channels(1).toColourspace('grey16').png().toBuffer(),
    channels(3).webp({quality: 50}).toBuffer(),
    channels(4).webp({lossless: true}).toBuffer(),
    channels(3).tiff().toBuffer(),
    channels(3).tiff({compression: 'lzw', tile: true, tileWidth: 16, tileHeight: 16}).toBuffer(),
    channels(3).gif().toBuffer(),
  ]);
  const wide = Uint16Array.from({length: SIDE * SIDE}, (_, i) => (i * 7919) & 65535);
  encoded.push(
    await sharp(wide, {raw: {width: SIDE, height: SIDE, channels: 1}})
      .toColourspace('grey16')
      .tiff()
      .toBuffer(),
  );
  encoded.push(await channels(4).pipelineColourspace('cmyk').toColourspace('cmyk').tiff({compression: 'none'}).toBuffer());
  encoded.push(await channels(3).withMetadata({orientation: 6}).tiff({compression: 'none'}).toBuffer());
  const ppm = Buffer.concat([Buffer.from(`P6\n# fuzz\n${SIDE} ${SIDE}\n255\n`), new Uint8Array(SIDE * SIDE * 3).fill(99)]);
  const pgm = Buffer.concat([Buffer.from(`P5 ${SIDE} ${SIDE} 255\n`), new Uint8Array(SIDE * SIDE).fill(99)]);
  return [...encoded, ppm, pgm, ...bare()].map((buffer) => new Uint8Array(buffer));
}
/** PNM as text and of 16 bits, bitmaps of each kind. */
function bare(): Buffer[] {
  const head = (bits: number, compression: number, colours: number) => {
    const header = Buffer.alloc(54 + 4 * colours);
    header.write('BM');
    header.writeUInt32LE(header.length, 10);
    header.writeUInt32LE(40, 14);
    header.writeInt32LE(SIDE, 18);
    header.writeInt32LE(SIDE, 22);
    header.writeUInt16LE(bits, 28);
    header.writeUInt32LE(compression, 30);
    header.writeUInt32LE(colours, 46);
    return header;
  };
  const rows = (bits: number) => Buffer.alloc((SIDE * SIDE * bits) / 8, 0x5a);
  const runs = Buffer.concat(Array.from({length: SIDE}, (_, i) => Buffer.of(SIDE - 4, i, 0, 4, 1, 2, 3, 4, 0, 0)));
  return [
    ...[24, 32, 16].map((bits) => Buffer.concat([head(bits, 0, 0), rows(bits)])),
    ...[1, 4, 8].map((bits) => Buffer.concat([head(bits, 0, 2 ** bits), rows(bits)])),
    Buffer.concat([head(8, 1, 256), runs, Buffer.of(0, 1)]),
    Buffer.concat([head(4, 2, 16), runs, Buffer.of(0, 1)]),
    Buffer.from(`P3 # text\n${SIDE} ${SIDE} 15\n${'1 2 15 '.repeat(SIDE * SIDE)}`),
    Buffer.from(`P1 ${SIDE} ${SIDE} ${'01'.repeat((SIDE * SIDE) / 2)}`),
    Buffer.concat([Buffer.from(`P6 ${SIDE} ${SIDE} 1023\n`), Buffer.alloc(SIDE * SIDE * 6, 1)]),
    Buffer.concat([Buffer.from(`P4 ${SIDE} ${SIDE}\n`), Buffer.alloc((SIDE * SIDE) / 8, 0xa5)]),
  ];
}
let known: readonly Uint8Array[] = [];

/** The errors that a bad image is allowed to be; these names in a reason mean that our own code broke. */
const BROKEN = /RangeError|TypeError|undefined|is not a|Invalid array length|Cannot read|out of memory|offset is out of bounds/;

const dataset = (bytes: Uint8Array): Dataset => ({
  name: 'fuzz',
  samples: [{index: 0, path: 'fuzz/0.jpg', label: 0, read: async () => bytes.slice()}],
  classes: ['fuzz'],
  warnings: [],
  async close() {},
});

/** An image through the loader, as evaluation and training read it. */
export const image: Reader = {
  name: 'image',
  maxMs: 6000, // few bytes may declare as many pixels as are allowed: 179 million at 30 ns
  async prepare() {
    known = await samples();
  },
  generate: (dice: Random, bends) => {
    const made = pick(dice, known);
    return bends === 0 ? made : mutate(made, dice, pick(dice, known));
  },
  /** Chunks of a PNG end with a CRC, without which nothing of them is looked at. */
  repair(bytes) {
    if (bytes[0] !== 0x89) return bytes;
    const out = bytes.slice();
    const view = new DataView(out.buffer);
    for (let at = 8; at + 12 <= out.length; ) {
      const end = at + 8 + view.getUint32(at);
      if (end + 4 > out.length) break;
      view.setUint32(end, crc32(out.subarray(at + 4, end)));
      at = end + 4;
    }
    return out;
  },
  async read(bytes) {
    const fast = (bytes[bytes.length >> 1]! & 1) === 1;
    const recipe = {resize: 12, crop: 8, interpolation: 'bilinear', mean: [0, 0, 0], std: [1, 1, 1]} as const;
    for await (const batch of loadBatches(dataset(bytes), {recipe, batchSize: 1, onError: 'skip', fast, workers: 0})) {
      const [failure] = batch.failures;
      if (!failure) return `${batch.images.shape} ${bytes[0]}`;
      if (BROKEN.test(failure.reason)) throw new Error(failure.reason);
      return `refused: ${failure.reason.replace(/[\d.]+/g, '#').slice(0, 80)}`;
    }
    return 'nothing';
  },
};
