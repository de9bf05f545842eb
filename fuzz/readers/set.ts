import type {Random} from '../../src/core/random.js';
import {archiveKind, listArchive} from '../../src/data/archives.js';
import {arrange} from '../../src/data/layouts.js';
import {tarOf, zipOf} from '../../test/data/archives.js';
import {pickleOf} from '../batch-pickles.js';
import {chance, noise, pick, several, trickyNames} from '../dice.js';
import {memorySpan, plainReason} from '../memory-file.js';
import {mutate} from '../mutate.js';
import type {Reader} from '../reader.js';

type Files = Record<string, string | Uint8Array>;

/** Of each layout a few files, with what they say. */
function files(dice: Random): Files {
  const number = () => String(dice.integer(12));
  const key = pick(dice, ['000', 'val/01', 'train/01', 'a.b']);
  const json = pick(dice, [
    '{"label": 3, "coarse": 1}',
    '{"cls": "cat"}',
    '7',
    '{',
    '{"__proto__": {"label": 1}, "label": null}',
  ]);
  const layouts: readonly (() => Files)[] = [
    () => ({
      [`${key}.jpg`]: 'x',
      [`${key}.${pick(dice, ['cls', 'txt', 'label'])}`]: pick(dice, [number(), 'cat', '-1', '1e9', '']),
    }),
    () => ({[`${key}.png`]: 'x', [`${key}.seg.png`]: 'y', [`${key}.json`]: json}),
    () => ({[`cat/${number()}.jpg`]: 'x', [`dog/${number()}.jpg`]: 'y'}),
    () => ({'a.jpg': 'x', 'metadata.jsonl': `{"file_name": "a.jpg", "label": ${number()}}\n${json}\n`}),
    () => ({
      'a.jpg': 'x',
      'metadata.csv': pick(dice, ['file_name,label\na.jpg,1\n', 'file_name,"la""bel"\n"a.jpg","\n', ',,\n,']),
    }),
    () => ({'images/v.JPEG': 'x', 'val_annotations.txt': `v.JPEG\tn0${number()}\t0\n\tx\n`}),
    () => ({
      test_batch: pickleOf({data: {shape: [1, 12], bytes: new Uint8Array(12)}, labels: [dice.integer(12)]}),
      'batches.meta': pickleOf({label_names: ['a', 'b']}),
    }),
    () => ({[`n0${number()}.tar`]: tarOf(...Object.entries(files(dice)).map(([name, content]) => ({name, content})))}),
    () => ({[pick(dice, trickyNames)]: new Uint8Array(noise(dice, dice.integer(9)))}),
  ];
  return Object.assign({}, ...several(dice, 3, () => pick(dice, layouts)()));
}

function pack(dice: Random): Uint8Array {
  const packed = files(dice);
  if (chance(dice, 0.4)) return zipOf(packed, {deflate: chance(dice, 0.5)});
  return tarOf(...Object.entries(packed).map(([name, content]) => ({name, content})));
}

/** From an archive to labels and to the bytes of every image: shards, lists, batches, archives inside. */
export const set: Reader = {
  name: 'set',
  maxMs: 200, // promises by the dozen
  generate: (dice, bends) => (bends > 0 && chance(dice, 0.6) ? mutate(pack(dice), dice, pack(dice)) : pack(dice)),
  async read(bytes) {
    const span = memorySpan(bytes);
    const kind = archiveKind(span);
    if (kind !== 'tar' && kind !== 'zip') return 'no archive that is read in place';
    const context = {
      use: bytes.length % 3 === 0 ? ('training' as const) : ('evaluation' as const),
      outputs: bytes.length % 2 === 0 ? 10 : undefined,
    };
    const {samples, classes, warnings} = await arrange(await listArchive(span, kind), undefined, context);
    const reasons = new Set<string>();
    for (const {read} of samples) await read().catch((error: unknown) => reasons.add(plainReason(error)));
    const kinds = warnings.map(({kind: name}) => name).join(' ');
    return `${Math.min(samples.length, 5)} images, ${Math.min(classes.length, 5)} classes, ${kinds} ${[...reasons].join(' ')}`;
  },
};
