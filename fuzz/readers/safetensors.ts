import {safetensorsDtypes} from '../../src/checkpoint/safetensors.js';
import type {Random} from '../../src/core/random.js';
import {dtypes} from '../../src/core/tensor.js';
import {u64} from '../../test/checkpoint/assembler.js';
import {bend} from '../bend.js';
import {chance, noise, pick, several, trickyNames} from '../dice.js';
import type {Reader} from '../reader.js';
import {readCheckpoint} from './checkpoint.js';

interface Description {
  /** Pairs, because a JSON object can have a key twice. */
  header: {key: string; value: unknown}[];
  data: Uint8Array;
  /** Added to the length that the file declares for its header. */
  longer: number;
  before: string;
  between: string;
}

function description(dice: Random): Description {
  let at = 0;
  const header = several(dice, 4, (i) => {
    const dtype = pick(dice, Object.keys(safetensorsDtypes));
    const shape = several(dice, 3, () => dice.integer(4));
    const begin = at;
    at += shape.reduce((n, d) => n * d, dtypes[safetensorsDtypes[dtype]!].bytes);
    const key = chance(dice, 0.9) ? `layer.${i}.weight` : pick(dice, trickyNames);
    return {key, value: {dtype, shape, data_offsets: [begin, at]} as unknown};
  });
  if (chance(dice, 0.3)) header.unshift({key: '__metadata__', value: {format: 'pt', note: pick(dice, trickyNames)}});
  return {header, data: noise(dice, at), longer: 0, before: '', between: pick(dice, ['', '', ' ', '                  '])};
}

/** An 8-byte length, a JSON header, the numbers. */
export const safetensors: Reader = {
  name: 'safetensors',
  generate(dice, bends) {
    const made = description(dice);
    for (let i = 0; i < bends; i++) bend(made, dice);
    const {header, data, longer, before, between} = made;
    const members = header.map(({key, value}) => `${JSON.stringify(key)}${between}:${JSON.stringify(value)}`);
    const text = Buffer.from(`${before}{${members.join(',')}}`);
    const length = BigInt.asUintN(64, BigInt(text.length) + BigInt(Math.trunc(longer)));
    return new Uint8Array(Buffer.concat([Uint8Array.from(u64(length)), text, data]));
  },
  read: readCheckpoint,
};
