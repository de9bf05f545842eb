import type {Random} from '../../src/core/random.js';
import {hubFeatures} from '../../src/data/hub-features.js';
import {columnPages} from '../../src/data/parquet/column.js';
import {readFooter} from '../../src/data/parquet/footer.js';
import {bend} from '../bend.js';
import {chance, noise, pick} from '../dice.js';
import {memorySpan} from '../memory-file.js';
import {mutate} from '../mutate.js';
import {type ParquetLies, parquetOf, type WrittenColumn} from '../parquet-writer.js';
import type {Reader} from '../reader.js';

const FEATURES = '{"info": {"features": {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b"]}}}}';

function columns(dice: Random): WrittenColumn[] {
  const rows = 1 + dice.integer(6);
  const cells = <T>(make: () => T) => Array.from({length: rows}, () => (chance(dice, 0.1) ? null : make()));
  return [
    {name: pick(dice, ['image.bytes', 'img']), type: 6, values: cells(() => new Uint8Array(noise(dice, dice.integer(12))))},
    {name: 'label', type: pick(dice, [1, 2]), values: cells(() => dice.integer(9))},
    {name: 'text', type: 6, isText: true, values: cells(() => pick(dice, ['cat', 'dog', '']))},
  ];
}

function lies(dice: Random): ParquetLies {
  const sizes = {groupSize: 1 + dice.integer(4), pageSize: 1 + dice.integer(3)};
  const codec = pick(dice, ['none', 'snappy', 'gzip', 'brotli', 'zstd']);
  return {...sizes, codec, dictionary: chance(dice, 0.4), version: pick(dice, [1, 2]), metadata: {huggingface: FEATURES}};
}

/** All columns of all groups, page by page. */
export const parquet: Reader = {
  name: 'parquet',
  maxMs: 500, // few bytes may declare a page of 16 MiB
  generate(dice, bends) {
    const description = {columns: columns(dice), lies: lies(dice) as Record<string, unknown>};
    if (bends > 1) bend(description, dice);
    if (bends > 0 && chance(dice, 0.3)) description.lies['rows'] = pick(dice, [0, 2, 1e6, 2 ** 31]);
    if (bends > 0 && chance(dice, 0.3)) description.lies['unpacked'] = pick(dice, [0, 3, 1 << 20, 2 ** 31]);
    if (bends > 0 && chance(dice, 0.3)) description.lies['encoding'] = dice.integer(10);
    let bytes: Uint8Array;
    try {
      bytes = parquetOf(description.columns, description.lies);
    } catch {
      bytes = parquetOf(columns(dice), lies(dice)); // a lie that cannot be written
    }
    return bends > 0 && chance(dice, 0.7) ? mutate(bytes, dice, parquetOf(columns(dice), lies(dice))) : bytes;
  },
  async read(bytes) {
    const file = readFooter(memorySpan(bytes));
    let values = 0;
    for (const column of file.columns)
      for (let group = 0; group < file.groups.length; group++)
        for await (const page of columnPages(file, column, group)) values += page.length;
    const {images, classes} = hubFeatures(file.metadata.get('huggingface'));
    return `${Math.min(values, 9)} values, ${file.columns.length} columns, ${images.length} images, ${classes.size} classes`;
  },
};
