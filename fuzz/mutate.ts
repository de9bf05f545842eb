/** Blind mutation of bytes, for what no description of the format thinks of. */
import type {Random} from '../src/core/random.js';
import {borders, noise, pick} from './dice.js';

/** Longer inputs are cut: a fuzzer lives from many small ones. */
export const MAX_BYTES = 1 << 14;

type Mutation = (bytes: Uint8Array, dice: Random, other: Uint8Array) => Uint8Array;

const joined = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** A place and a length within the bytes, mostly short. */
function stretch(bytes: Uint8Array, dice: Random): [from: number, to: number] {
  const from = dice.integer(bytes.length + 1);
  return [from, Math.min(bytes.length, from + dice.integer(dice.integer(2) === 0 ? 9 : 200))];
}

function overwrite(bytes: Uint8Array, at: number, value: Uint8Array): Uint8Array {
  const out = bytes.slice();
  for (let i = 0; i < value.length && at + i < out.length; i++) out[at + i] = value[i]!;
  return out;
}

/** A number of 1, 2, 4 or 8 bytes, of either byte order. */
function encoded(value: number, dice: Random): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  const narrow = bytes.subarray(0, pick(dice, [1, 2, 4, 8]));
  return dice.integer(2) === 0 ? narrow : narrow.slice().reverse();
}

const mutations: readonly Mutation[] = [
  (bytes, dice) => {
    const out = bytes.slice();
    if (out.length > 0) out[dice.integer(out.length)]! ^= 1 << dice.integer(8);
    return out;
  },
  (bytes, dice) => overwrite(bytes, dice.integer(bytes.length + 1), noise(dice, 1)),
  (bytes, dice) => overwrite(bytes, dice.integer(bytes.length + 1), encoded(pick(dice, borders), dice)),
  (bytes, dice) => {
    const at = dice.integer(bytes.length + 1);
    return overwrite(bytes, at, Uint8Array.of((bytes[at] ?? 0) + dice.integer(9) - 4));
  },
  (bytes, dice) => {
    const [from, to] = stretch(bytes, dice);
    return joined(bytes.subarray(0, from), bytes.subarray(to));
  },
  (bytes, dice) => {
    const [from, to] = stretch(bytes, dice);
    return joined(bytes.subarray(0, to), bytes.subarray(from));
  },
  (bytes, dice) => {
    const [from, to] = stretch(bytes, dice);
    const piece = bytes.subarray(from, to);
    return joined(bytes.subarray(0, to), ...Array.from({length: dice.integer(16)}, () => piece), bytes.subarray(to));
  },
  (bytes, dice) => {
    const at = dice.integer(bytes.length + 1);
    return joined(bytes.subarray(0, at), noise(dice, dice.integer(9)), bytes.subarray(at));
  },
  (bytes, dice) => bytes.slice(0, dice.integer(bytes.length + 1)),
  (bytes, dice, other) => {
    const [from, to] = stretch(other, dice);
    return overwrite(bytes, dice.integer(bytes.length + 1), other.subarray(from, to));
  },
  (bytes, dice, other) =>
    joined(bytes.subarray(0, dice.integer(bytes.length + 1)), other.subarray(dice.integer(other.length + 1))),
];

/** `other` is a second input, whose pieces may be spliced in. */
export function mutate(bytes: Uint8Array, dice: Random, other: Uint8Array): Uint8Array {
  let out = bytes;
  for (let n = dice.integer(4) + 1; n > 0; n--) out = pick(dice, mutations)(out, dice, other);
  return out.length > MAX_BYTES ? out.slice(0, MAX_BYTES) : out;
}
