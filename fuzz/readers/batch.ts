import type {Random} from '../../src/core/random.js';
import {pickledBatch} from '../../src/data/cifar-batches.js';
import {type BytesAs, type Pickled, pickleOf} from '../batch-pickles.js';
import {chance, noise, pick} from '../dice.js';
import {mutate} from '../mutate.js';
import type {Reader} from '../reader.js';

const SIDE = 2;

function batch(dice: Random, honest: boolean): Uint8Array {
  const count = 1 + dice.integer(3);
  const shape = honest
    ? [count, 3 * SIDE * SIDE]
    : pick(dice, [[count, 12], [count, 3, 2, 2], [count, 13], [0, 12], [2 ** 30, 2 ** 30], []]);
  const labels = Array.from({length: honest ? count : dice.integer(4)}, () => dice.integer(10));
  const fields: Record<string, Pickled> = {
    data: {
      shape,
      bytes: new Uint8Array(noise(dice, count * 12)),
      dtype: honest ? 'u1' : pick(dice, ['u1', 'i8', 'f4', 'V1', 'u9']),
    },
    [pick(dice, ['labels', 'fine_labels'])]: labels,
    filenames: labels.map(String),
    batch_label: 'testing batch 1 of 1',
  };
  return pickleOf(fields, pick<BytesAs>(dice, ['BINSTRING', 'encode', 'BINBYTES']));
}

/** Pickles of images: CIFAR's batches. */
export const batches: Reader = {
  name: 'batch',
  generate(dice, bends) {
    const bytes = batch(dice, bends === 0 || chance(dice, 0.5));
    return bends > 0 && chance(dice, 0.8) ? mutate(bytes, dice, batch(dice, true)) : bytes;
  },
  read(bytes) {
    const {count, side, labels, planesAt} = pickledBatch('fuzz', bytes);
    for (let i = 0; i < Math.min(count, 100); i++) planesAt(i);
    return `${Math.min(count, 9)} images of ${Math.min(side, 9)}, ${labels.size} kinds of labels`;
  },
};
