import {unbzip2} from '../../src/data/bzip2.js';
import {pick} from '../dice.js';
import {plainReason} from '../memory-file.js';
import {mutate} from '../mutate.js';
import type {Reader} from '../reader.js';

/** Made by Python's bz2: a sentence, runs, nothing, two streams, all bytes, 3 MB of zeros, two letters. */
const known = [
  'QlpoOTFBWSZTWR7njBwAACORgEAEP///8CAAVEICMA1MBpBKjU9QDQekaG1NQQ2dqDykeovGGohE6jNRJlYJ4wxVBYdxufRgIqwZ52oh1z0FkZkIdn+LuSKcKEgPc8YOAA==',
  'QlpoOTFBWSZTWSLkhIMAAAPRAOAAACA4AAAIIAAxDADIbSQEqa46OzxdyRThQkCLkhIM',
  'QlpoORdyRThQkAAAAAA=',
  'QlpoOTFBWSZTWbtwGxAAAAEBAAIBoAAhmBmBYXckU4UJC7cBsQBCWmg5MUFZJlNZzdyNmgAAAIGAAACEgCAAIZgZhGF3JFOFCQzdyNmg',
  'QlpoOTFBWSZTWS9yhSYAAAD/////////////////////////////////////////////sAFgACqqoCYCYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAkwAEwABMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEmAAmAAJgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB/UBQJA0EQV/yDIOhCEoUhaGP/Q1DkPRBEUSRNFEVRZF0YRlGkbRxHUeR9IEhSJI0kSVJknShKUqStLEtS5L0wTFMkzTRNU2TdOE5TpO08T1Pk/UBQVCUNRFFUZR1IUlSlLUxTVOU9UFRVJU1UVVVlXVhWVaVtXFdV5X1gWFYljWRZVmWdaFpWpa1sW1blvXBcVyXNdF1XZd14Xlel7XxfV+X9gGBYJg2EYVhmHYhiWKYtjGNY5j2QZFkmTZRlWWZdmGZZpm2cZ1nmfaBoWiaNpGlaZp2oalqmraxrWua9sGxbJs20bVtm3bhuW6btvG9b5v3AcFwnDcRxXGcdyHJcpy3Mc1znPdB0XSdN1HVdZ13Ydl2nbdx3Xed94HheJ43keV5nneh6Xqet7Hte573wfF8nzfR9X2fd+H5fp+38f1/hdyRThQkC9yhSYA=',
  'QlpoOTFBWSZTWWPyTp4AGBhQAMAAAAQACCAAMMwFKaYKAtiFAXi7kinChIMfknTw',
  'QlpoOTFBWSZTWTxOMssAADTBAHQAMAAwANsIYAJPVKagQlB5PLMQSoSugNGtdsyXM4mfduOXCEJi93EY+7vddGXLszzpEzJzbqBjWFy5JDKfOOWNuvODD5dcuiCJsmSVmZR5zRoIiBhOT2NHvi7kinChIHicZZY=',
].map((text) => new Uint8Array(Buffer.from(text, 'base64')));

/** As much as unpacking takes before it gives up on a small file. */
const MOST = 64 << 20;

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** To the last byte, or to where the caller stops. */
export const bzip2: Reader = {
  name: 'bzip2',
  maxMs: 3000, // a block may unpack to 46 MB
  generate: (dice, bends) => (bends === 0 ? pick(dice, known) : mutate(pick(dice, known), dice, pick(dice, known))),
  async read(bytes) {
    let length = 0;
    try {
      for await (const piece of unbzip2(once(bytes))) {
        length += piece.length;
        if (length > MOST) return 'a bomb';
      }
      return `${Math.min(length, 99)} bytes`;
    } catch (error) {
      return plainReason(error);
    }
  },
};
