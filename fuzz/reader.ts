/** What a fuzzer needs to know of a format. */
import type {Random} from '../src/core/random.js';

export interface Reader {
  readonly name: string;
  /** Milliseconds that the smallest input may take, where that is more than the oracle's own limit. */
  readonly maxMs?: number;
  /** Awaited once before the first `generate`. */
  prepare?(): Promise<void>;
  /** A file, valid or with lies in its structure: each of `bends` changes one place of its description. */
  generate(dice: Random, bends: number): Uint8Array;
  /** Makes bytes fit again that mutation broke and that would hide everything behind them, such as a checksum. */
  repair?(bytes: Uint8Array): Uint8Array;
  /** Reads everything there is, and says in a few words what it was. Throws what the reader throws. */
  read(bytes: Uint8Array): string | Promise<string>;
}
