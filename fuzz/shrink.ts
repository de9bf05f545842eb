/** The smallest input that is found to be treated as a given one is: what a regression test should contain. */
import {judge} from './oracle.js';
import type {Reader} from './reader.js';

const MAX_TRIES = 2000;

export async function shrink(reader: Reader, bytes: Uint8Array, signature: string): Promise<Uint8Array> {
  let best = bytes;
  let tries = 0;
  for (let length = best.length >> 1; length >= 1; length >>= 1) {
    for (let at = 0; at < best.length && tries++ < MAX_TRIES; ) {
      const shorter = new Uint8Array(Buffer.concat([best.subarray(0, at), best.subarray(at + length)]));
      if ((await judge(reader, shorter)).signature === signature) best = shorter;
      else at += length;
    }
  }
  return best;
}
