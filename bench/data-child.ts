/** A contender of `bench/data.ts`: prepares the archive's images once for each line of stdin, and prints what that took. */
import {createInterface} from 'node:readline';
import type {Dataset} from '../src/data/dataset.js';
import {type Decoder, defaultWorkers, openDecoder} from '../src/data/decoders.js';
import {loadBatches} from '../src/data/loader.js';
import {openDataset} from '../src/data/open-dataset.js';
import {recipes} from '../src/data/recipe.js';

const [archive, repeats, work] = process.argv.slice(2) as [string, string, string];

/** The decoder stays, so that its threads start and compile in the round that warms up. */
async function serve(): Promise<void> {
  const dataset = await openDataset(archive);
  const indices = Array.from({length: dataset.samples.length * Number(repeats)}, (_, i) => i % dataset.samples.length);
  const fast = work.startsWith('fast');
  const decoder = openDecoder(defaultWorkers(fast));
  const pass = () => (work.endsWith('crops') ? crops(dataset, indices, decoder, fast) : batches(dataset, indices, fast));
  for await (const _ of createInterface({input: process.stdin})) {
    const start = performance.now();
    const before = process.cpuUsage();
    const images = await pass();
    const {user, system} = process.cpuUsage(before);
    console.log(JSON.stringify({images, seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6}));
  }
  await decoder.close();
}

async function batches(dataset: Dataset, indices: number[], fast: boolean): Promise<number> {
  let images = 0;
  for await (const batch of loadBatches(dataset, {
    recipe: recipes.cnn(224),
    batchSize: 64,
    fast,
    indices,
    reuse: true,
  })) {
    images += batch.labels.length;
  }
  return images;
}

/** As many under way as a batch has, like the loader. */
async function crops(dataset: Dataset, indices: number[], decoder: Decoder, fast: boolean): Promise<number> {
  const rest = indices.values();
  let images = 0;
  const lane = async () => {
    for (const i of rest) {
      await decoder.prepare(await dataset.samples[i]!.read(), {recipe: recipes.cnn(224), fast});
      images++;
    }
  };
  await Promise.all(Array.from({length: 64}, lane));
  return images;
}

await serve();
