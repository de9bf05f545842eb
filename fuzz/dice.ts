/** Choices of a fuzzer, all from one seeded stream: the same seed makes the same inputs. */
import type {Random} from '../src/core/random.js';

export const chance = (dice: Random, probability: number): boolean => dice.uniform() < probability;
export const pick = <T>(dice: Random, from: readonly T[]): T => from[dice.integer(from.length)]!;
/** `count` things, counted up to `most`. */
export const several = <T>(dice: Random, most: number, make: (index: number) => T): T[] =>
  Array.from({length: dice.integer(most + 1)}, (_, i) => make(i));
export const noise = (dice: Random, length: number): Uint8Array => Uint8Array.from({length}, () => dice.integer(256));

/** Numbers at which sizes, signs and precisions change. */
export const borders: readonly number[] = [
  ...[0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 63, 64, 65, 100, 127, 128, 255, 256, 257, 511, 512, 1000, 4096],
  ...[32767, 32768, 65535, 65536, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40],
  ...[2 ** 53 - 1, 2 ** 53, 2 ** 63, 2 ** 64],
];
export const anyNumber = (dice: Random): number => (chance(dice, 0.2) ? -1 : 1) * pick(dice, borders) + dice.integer(3) - 1;

/** Names that mean something to JavaScript, to file systems, or to text. */
export const trickyNames: readonly string[] = [
  ...['', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'module.', 'state_dict', '.', '..', '../x', '/x', 'C:x'],
  ...['a/b', 'a\\b', '\0', 'a\0b', '\ufeff', 'é', '\ud800', '\u2028', ' ', '\n', '-1', '1e9', 'x'.repeat(300)],
];
