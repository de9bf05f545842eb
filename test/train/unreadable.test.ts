/**
 * Images that cannot be read. With `on-error skip` others take their places, and the run stays a function of seed, epoch and place: whether
 * it met them at once, ended at one and went on, or they were removed meanwhile, its weights are the same to the last bit.
 */
import {cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {substitutesFor, type UnreadableImage, withGaps} from '../../src/train/run/unreadable.js';
import {writeClass} from './sets.js';
import {SmallFolder} from './small-folder.js';

const small = new SmallFolder();
const whole = join(small.folder, 'whole-set');
const train = (path: string) => join(small.set, 'train', path);
const out = (name: string) => join(small.folder, name);
const bad = ['dark/003.ppm', 'light/006.ppm'];
const skip = {'on-error': 'skip', epochs: '2', repeats: '2', convert: 'false'} as const;
const stop = {...skip, 'on-error': 'stop'} as const;
let expected: string;

/** The set with two damaged images: one cut, one empty. */
function damagedSet(): void {
  rmSync(small.set, {recursive: true, force: true});
  cpSync(whole, small.set, {recursive: true});
  truncateSync(train(bad[0]!), 100);
  writeFileSync(train(bad[1]!), '');
}
const listed = (name: string): UnreadableImage[] =>
  readFileSync(join(out(name), 'unreadable.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

beforeAll(async () => {
  await small.begin(stop);
  cpSync(small.set, whole, {recursive: true});
  damagedSet();
  await small.run(out('skipping'), skip);
  expected = small.digest(out('skipping'));
});
afterAll(small.remove);
beforeEach(damagedSet);

test('are left out, counted and listed', async () => {
  const result = await small.run(out('listed'), skip);
  expect(result.unreadable.map(({path}) => path).sort()).toEqual(bad.map(train));
  expect(listed('listed')).toEqual(result.unreadable);
  for (const path of bad.map(train)) expect(small.notes).toContainEqual(expect.stringContaining(`left out: ${path}: `));
  const log = readFileSync(join(out('listed'), 'log.txt'), 'utf8');
  expect(log.match(/left out: /g)).toHaveLength(2); // in two epochs, twice each
  expect(small.digest(out('listed'))).toBe(expected);
  expect(expected).not.toBe(small.digest(small.honest));
});

/** Ends the run at its first unreadable image. */
async function endedRun(name: string) {
  const error = await small.run(out(name), stop).catch((caught) => caught);
  expect(error).toMatchObject({code: 'IMAGE_UNREADABLE'});
  expect(bad.map(train)).toContain(error.at);
  expect(error.hint).toMatch(
    /repair or remove the image and repeat with --resume, or go on without it by --resume --on-error skip$/,
  );
  return error;
}

test('stop, then skip: the bits of the run that skipped from the beginning', async () => {
  await endedRun('stopped');
  expect(await small.run(out('stopped'), skip, true)).toMatchObject({complete: true});
  expect(small.digest(out('stopped'))).toBe(expected);
});

test('stop, and remove what ended the run, each time: the same bits', async () => {
  let error = await endedRun('removing');
  for (let times = 1; ; times++) {
    rmSync(error.at);
    const next = await small.run(out('removing'), stop, true).catch((caught) => caught);
    if (next.complete) break;
    expect(next.code).toBe('IMAGE_UNREADABLE');
    expect(times).toBeLessThan(2);
    error = next;
  }
  expect(
    listed('removing')
      .map(({path}) => path)
      .sort(),
  ).toEqual(bad.map(train));
  expect(small.digest(out('removing'))).toBe(expected);
});

test('what was computed before it is saved', async () => {
  // a set that is damaged while the run is under way: the second epoch meets it
  rmSync(small.set, {recursive: true});
  cpSync(whole, small.set, {recursive: true});
  await small.run(out('late'), {...stop, epochs: '1', 'lr-steps': '1'});
  damagedSet();
  const error = await small.run(out('late'), {...stop, 'lr-steps': '1', 'save-every': '0'}, true).catch((caught) => caught);
  const saved = /the run is saved after step (\d+) of epoch 2/.exec(error.hint);
  expect(saved).not.toBeNull();
  expect(existsSync(join(out('late'), 'step.pth.tar'))).toBe(Number(saved![1]) > 0);
});

test('interrupted, skipped images removed, resumed: the same bits', async () => {
  const controller = new AbortController();
  controller.abort();
  for (let rounds = 0; rounds < 20; rounds++) {
    const result = await small.run(out('broken'), skip, true, controller.signal); // one step each time
    if (result.unreadable.length === 2) for (const path of bad.map(train)) rmSync(path, {force: true});
    if (result.complete) break;
  }
  expect(existsSync(train(bad[0]!))).toBe(false);
  expect(small.digest(out('broken'))).toBe(expected);
});

test('an image that was repaired is used again', async () => {
  const error = await endedRun('repaired');
  for (const path of bad) cpSync(join(whole, 'train', path), train(path));
  expect(await small.run(out('repaired'), stop, true)).toMatchObject({complete: true});
  expect(listed('repaired').map(({path}) => path)).toEqual([error.at]);
});

test('other images may not go, nor come', async () => {
  await small.run(out('other'), skip);
  rmSync(train('dark/000.ppm'));
  await expect(small.run(out('other'), skip, true)).rejects.toThrow('the run was begun with 16 images, not 15');
  writeClass(join(small.set, 'train', 'dark'), 0, ['zzz.ppm']);
  await expect(small.run(out('other'), skip, true)).rejects.toThrow('begun with 16 other images: names or labels differ');
});

test('validation images: not counted, and no epoch is lost', async () => {
  rmSync(small.set, {recursive: true});
  cpSync(whole, small.set, {recursive: true});
  writeFileSync(join(small.set, 'val', 'dark', '001.ppm'), 'P6');
  const error = await small.run(out('val'), {...stop, 'save-every': '0'}).catch((caught) => caught);
  expect(error).toMatchObject({code: 'IMAGE_UNREADABLE', at: join(small.set, 'val', 'dark', '001.ppm')});
  expect(error.hint).toContain('the run is saved after step 2 of epoch 1');
  const result = await small.run(out('val'), skip, true);
  expect(result).toMatchObject({complete: true, unreadable: [{set: 'validation', path: error.at}]});
  expect(small.digest(out('val'))).toBe(small.digest(small.honest));
});

test('nothing that can be read', async () => {
  for (const c of ['dark', 'light']) for (let i = 0; i < 8; i++) truncateSync(train(`${c}/00${i}.ppm`), 20);
  await expect(small.run(out('none'), skip)).rejects.toMatchObject({
    code: 'DATASET_INVALID',
    message: expect.stringContaining('none of its 16 images can be read'),
  });
});

test('gaps stand where the images were, whatever the list says', () => {
  const samples = Array.from({length: 5}, (_, index) => ({
    index,
    path: `p${index}`,
    label: index,
    read: async () => new Uint8Array(),
  }));
  const dataset = {
    name: 'd',
    samples: samples.filter((_, i) => i !== 0 && i !== 3),
    classes: [],
    warnings: [],
    async close() {},
  };
  const gone = (index: number): UnreadableImage => ({set: 'training', path: `p${index}`, reason: 'r', index, label: index});
  const {dataset: again, gaps} = withGaps(dataset, [gone(3), gone(0), gone(0), gone(4)]);
  expect(again.samples.map(({path, index, label}) => [path, index, label])).toEqual(
    samples.map(({path, index, label}) => [path, index, label]),
  );
  expect([...gaps]).toEqual([0, 3]);
  expect(withGaps(dataset, [{...gone(3), index: 1e12}]).dataset.samples).toHaveLength(4);
  expect(withGaps(dataset, [{...gone(3), set: 'validation'}]).dataset).toBe(dataset);
});

test('substitutes: all images once, whether or not some are known to be unreadable', () => {
  const all = {images: 7, seed: 1, epoch: 2};
  const drawn = (unreadable: Set<number>) => {
    const next = substitutesFor(3, {...all, unreadable});
    return Array.from({length: 8}, next);
  };
  const order = drawn(new Set());
  expect(order.slice(0, 7).sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(order[7]).toBeUndefined();
  const known = new Set([order[0]!, order[3]!]);
  expect(drawn(known).filter((i) => i !== undefined)).toEqual(drawn(new Set()).filter((i) => i !== undefined && !known.has(i)));
});
