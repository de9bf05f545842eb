import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {buildSync} from 'esbuild';
import sharp from 'sharp';
import type {Dataset} from '../../src/data/dataset.js';
import {type Batch, type LoadOptions, loadBatches} from '../../src/data/loader.js';
import {encodePpm} from '../../src/data/ppm.js';
import {recipes} from '../../src/data/recipe.js';

/** Image i is all of value i. */
const plain = (i: number, side = 4) => encodePpm({width: side, height: side, data: new Uint8Array(side * side * 3).fill(i)});
const identity = {...recipes.cifar(4), mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255]} as const; // values come out as they are

function datasetOf(count: number, read: (i: number) => Promise<Uint8Array> = async (i) => plain(i)): Dataset {
  const samples = Array.from({length: count}, (_, index) => ({
    index,
    path: `set/${index}.ppm`,
    label: index % 3,
    read: () => read(index),
  }));
  return {name: 'set', samples, classes: ['a', 'b', 'c'], warnings: [], async close() {}};
}
async function all(dataset: Dataset, options: Partial<LoadOptions> = {}): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of loadBatches(dataset, {recipe: identity, batchSize: 4, workers: 0, ...options})) batches.push(batch);
  return batches;
}
const values = ({images}: Batch) => Array.from({length: images.shape[0]!}, (_, i) => Math.round(images.data[i * 48]!));
const later = (ms: number) => new Promise((done) => setTimeout(done, ms));

test('batches come whole and in order, the last one smaller, whatever is ready first', async () => {
  const slow = datasetOf(10, async (i) => {
    await later(i % 4 === 0 ? 20 : 0);
    return plain(i);
  });
  const batches = await all(slow);
  expect(batches.map(values)).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [8, 9],
  ]);
  expect(batches.map(({images}) => images.shape)).toEqual([
    [4, 3, 4, 4],
    [4, 3, 4, 4],
    [2, 3, 4, 4],
  ]);
  expect([...batches[1]!.labels]).toEqual([1, 2, 0, 1]);
  expect([...batches[2]!.indices]).toEqual([8, 9]);
  expect(batches[2]!.images.data.length).toBe(2 * 48);
});

test('memory is fresh for each batch, or the same where that was asked for', async () => {
  const fresh = await all(datasetOf(10));
  expect(new Set(fresh.map(({images}) => images.data.buffer)).size).toBe(3);
  const seen: number[][] = [];
  const buffers = new Set<ArrayBufferLike>();
  for await (const batch of loadBatches(datasetOf(10), {recipe: identity, batchSize: 4, workers: 0, reuse: true})) {
    seen.push(values(batch));
    buffers.add(batch.images.data.buffer);
  }
  expect(seen).toEqual(fresh.map(values));
  expect(buffers.size).toBe(1);
});

test('a choice of samples, in its own order; unknown labels', async () => {
  const dataset = datasetOf(10);
  const unlabelled = {...dataset, samples: dataset.samples.map((sample) => ({...sample, label: undefined}))};
  const batches = await all(unlabelled, {indices: [9, 2, 2, 5, 0]});
  expect(batches.map(values)).toEqual([[9, 2, 2, 5], [0]]);
  expect([...batches[0]!.labels]).toEqual([-1, -1, -1, -1]);
  expect(await all(dataset, {indices: []})).toEqual([]);
  await expect(all(dataset, {indices: [10]})).rejects.toThrow(/has 10 samples, there is no 10/);
});

describe('images that cannot be read', () => {
  const bad = async (i: number) => {
    if (i === 1) return new TextEncoder().encode('<html>');
    if (i === 2) throw new Error('the disk is gone');
    return plain(i, i === 6 ? 5 : 4);
  };

  test('stop the run with path and reason', async () => {
    await expect(all(datasetOf(8, bad))).rejects.toMatchObject({
      code: 'IMAGE_UNREADABLE',
      at: 'set/1.ppm',
      message: expect.stringMatching(/set\/1\.ppm: it is a text in XML, SVG or HTML/),
    });
  });

  test('or are skipped and listed; the others keep their places', async () => {
    const batches = await all(datasetOf(8, bad), {onError: 'skip'});
    expect(batches.map(values)).toEqual([
      [0, 3],
      [4, 5, 7],
    ]);
    expect(batches.map(({indices}) => [...indices])).toEqual([
      [0, 3],
      [4, 5, 7],
    ]);
    expect(batches[0]!.failures).toEqual([
      {path: 'set/1.ppm', index: 1, reason: expect.stringContaining('HTML')},
      {path: 'set/2.ppm', index: 2, reason: 'the disk is gone'},
    ]);
    expect(batches[1]!.failures).toEqual([
      {path: 'set/6.ppm', index: 6, reason: expect.stringMatching(/5x5 where 4x4 is needed/)},
    ]);
  });

  test('all of a batch', async () => {
    const [first, second] = await all(
      datasetOf(8, async (i) => (i < 4 ? new Uint8Array(0) : plain(i))),
      {onError: 'skip'},
    );
    expect([first!.images.shape[0], first!.failures.length]).toEqual([0, 4]);
    expect(values(second!)).toEqual([4, 5, 6, 7]);
  });

  test('a consumer that waits long does not make the failure an unhandled one', async () => {
    const iterator = loadBatches(
      datasetOf(8, async (i) => (i < 4 ? plain(i) : new Uint8Array(0))),
      {recipe: identity, batchSize: 4, workers: 0},
    );
    expect((await iterator.next()).done).toBe(false);
    await later(30);
    await expect(iterator.next()).rejects.toThrow(/set\/4\.ppm: the file is empty/);
  });
});

test('nothing is read far ahead of a slow consumer', async () => {
  let reads = 0;
  const dataset = datasetOf(400, async (i) => {
    reads++;
    return plain(i % 256);
  });
  const iterator = loadBatches(dataset, {recipe: identity, batchSize: 16, workers: 0, prefetch: 2});
  await iterator.next();
  await later(50);
  expect(reads).toBeLessThanOrEqual(16 * 4); // given out, being filled, two ahead
  await iterator.return();
  const then = reads;
  await later(20);
  expect(reads).toBe(then);
});

describe('threads', () => {
  const build = (folder: string, program: string, worker: string) => {
    const common = {
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      packages: 'external',
      logLevel: 'error',
    } as const;
    buildSync({...common, entryPoints: [resolve(program)], outfile: join(folder, 'program.mjs')});
    buildSync({...common, entryPoints: [resolve(worker)], outfile: join(folder, 'decode-worker.js')});
    return (...args: string[]) =>
      JSON.parse(execFileSync(process.execPath, [join(folder, 'program.mjs'), ...args], {encoding: 'utf8'}));
  };
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gpd-test-'));
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
    mkdirSync(join(folder, 'set/x'), {recursive: true});
    for (let i = 0; i < 11; i++) {
      const size = {width: 40 + 7 * i, height: 90 - 5 * i, channels: 3} as const;
      const noise = Uint8Array.from({length: size.width * size.height * 3}, (_, k) => (k * (i + 3) * 2654435761) >>> 24);
      writeFileSync(join(folder, `set/x/${String(i).padStart(2, '0')}.jpg`), await sharp(noise, {raw: size}).jpeg().toBuffer());
    }
    writeFileSync(join(folder, 'set/x/05.jpg'), 'no image');
  });
  afterAll(() => rmSync(folder, {recursive: true, force: true}));

  test('their number changes nothing; leaving early ends them', () => {
    const run = build(folder, 'test/data/programs/pool.ts', 'src/data/decode-worker.ts');
    const {results, reads} = run(join(folder, 'set'));
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    expect(results[0].failures).toEqual(['5: it is none of JPEG, PNG, WebP, TIFF, GIF, BMP, PPM']);
    expect(reads).toBeLessThan(30);
  });

  test('one that ends by itself is an error, not an endless wait, even where bad images are skipped', () => {
    const run = build(folder, 'test/data/programs/crash.ts', 'test/data/programs/dying-worker.ts');
    expect(run(join(folder, 'set'))).toMatchObject({
      name: 'GpdError',
      code: 'DECODER_FAILED',
      message: expect.stringContaining('code 7'),
    });
  });
});
