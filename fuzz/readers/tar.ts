import {bufferSource} from '../../src/core/bytes.js';
import type {Random} from '../../src/core/random.js';
import {organise, withoutTopFolder} from '../../src/data/organise.js';
import {indexTar} from '../../src/data/tar.js';
import {bend} from '../bend.js';
import {chance, noise, pick, several, trickyNames} from '../dice.js';
import type {Reader} from '../reader.js';

const BLOCK = 512;

interface Header {
  name: string;
  prefix: string;
  size: string;
  type: string;
  magic: string;
  data: Uint8Array;
}

const octal = (n: number): string => n.toString(8).padStart(11, '0');
const plain = (name: string, type: string, data: Uint8Array): Header => ({
  ...{name, type, data},
  ...{size: octal(data.length), prefix: '', magic: 'ustar\0'},
});

/** An extended header: its records are pairs, with lengths that count themselves. */
function pax(records: readonly (readonly [string, string])[], type: string): Header {
  const text = records.map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    let length = Buffer.byteLength(rest) + 1;
    while (String(length).length + Buffer.byteLength(rest) !== length) length++;
    return `${length}${rest}`;
  });
  return plain('pax', type, Buffer.from(text.join('')));
}

const imageName = (dice: Random): string =>
  chance(dice, 0.9) ? `${pick(dice, ['cat', 'dog', 'val/cat'])}/${dice.integer(9)}.jpg` : pick(dice, trickyNames);

function entries(dice: Random): Header[] {
  const name = imageName(dice);
  const file = plain(name, '0', noise(dice, dice.integer(40)));
  if (chance(dice, 0.15)) return [plain('././@LongLink', 'L', Buffer.from(`${name}\0`)), file];
  if (chance(dice, 0.15)) return [pax([['path', name], ...(chance(dice, 0.3) ? [['size', '3'] as const] : [])], 'x'), file];
  if (chance(dice, 0.05)) return [pax([['GNU.sparse.major', '1']], 'x'), file];
  if (chance(dice, 0.15)) return [plain(name, pick(dice, [...'1234567KSgx\0']), new Uint8Array(0))];
  return [file];
}

/** Headers end with their checksum, in octal. */
function sealed(block: Uint8Array): Uint8Array {
  block.fill(0x20, 148, 156);
  const sum = block.reduce((n, byte) => n + byte, 0);
  block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
  return block;
}

function encode({name, prefix, size, type, magic, data}: Header): Uint8Array[] {
  const block = new Uint8Array(BLOCK);
  const put = (text: string, at: number, length: number) => block.set(Buffer.from(text).subarray(0, length), at);
  put(name, 0, 100);
  put('0000644\0', 100, 8);
  put(size, 124, 12);
  put(type, 156, 1);
  put(magic, 257, 8);
  put(prefix, 345, 155);
  return [sealed(block), data, new Uint8Array((BLOCK - (data.length % BLOCK)) % BLOCK)];
}

export const tar: Reader = {
  name: 'tar',
  generate(dice, bends) {
    const headers = several(dice, 5, () => entries(dice)).flat();
    for (let i = 0; i < bends; i++) bend(headers, dice);
    const end = chance(dice, 0.9) ? [new Uint8Array(2 * BLOCK)] : [];
    return new Uint8Array(Buffer.concat([...headers.flatMap(encode), ...end]));
  },
  repair(bytes) {
    const out = bytes.slice();
    for (let at = 0; at + BLOCK <= out.length; at += BLOCK) {
      const block = out.subarray(at, at + BLOCK);
      if (block[257] === 0x75) sealed(block);
    }
    return out;
  },
  read: readArchive,
};

/** From the headers to samples and classes. */
export function readArchive(bytes: Uint8Array): string {
  const source = bufferSource(bytes, 'fuzz');
  const {files, folders, warnings} = indexTar(source);
  for (const {offset, size} of files) source.read(offset, size);
  const listed = files.map(({path, size}) => ({path, size, read: async () => new Uint8Array(0)}));
  const listing = withoutTopFolder({name: 'fuzz', entries: listed, folders, warnings, close: async () => {}});
  const {samples, classes} = organise(listing, undefined);
  const few = (n: number) => Math.min(n, 5);
  return `${few(samples.length)} images, ${few(classes.length)} classes, ${few(warnings.length)} warnings`;
}
