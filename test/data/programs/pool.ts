/** Run by loader.test.ts as a program of its own: threads need the ES modules that the tests are not. Prints what it saw as JSON. */
import {createHash} from 'node:crypto';
import {parseRandAugment} from '../../../src/data/augment/rand-augment.js';
import {fillOf, streamOf, type TrainTransform} from '../../../src/data/augment/transform.js';
import type {Dataset} from '../../../src/data/dataset.js';
import {loadBatches} from '../../../src/data/loader.js';
import {openDataset} from '../../../src/data/open-dataset.js';
import {recipes} from '../../../src/data/recipe.js';

const recipe = recipes.cnn(32);

const transform: TrainTransform = {
  ...{geometry: recipe, side: 32, crop: 'resized', cropArea: [0.08, 1], flip: 0.5, jitter: 0, fill: fillOf(recipe)},
  randAugment: parseRandAugment('rand-m9-mstd0.5-inc1'),
};

async function digest(dataset: Dataset, workers: number) {
  const hash = createHash('sha256');
  const failures: string[] = [];
  const streams = dataset.samples.map(({index}) => streamOf(1, 2, index, 0));
  const augmented = {transform, streams, erasing: {probability: 0.5, mode: 'pixel', count: 1}} as const;
  for (const training of [undefined, augmented]) {
    const how = {recipe, batchSize: 4, workers, onError: 'skip', ...(training && {training})} as const;
    for await (const batch of loadBatches(dataset, how)) {
      const {data} = batch.images;
      hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).update(Uint8Array.from(batch.labels));
      if (!training) failures.push(...batch.failures.map(({index, reason}) => `${index}: ${reason}`));
    }
  }
  return {hash: hash.digest('hex'), failures};
}

/** How many of 500 samples were read when the consumer left after the first batch. */
async function earlyExit(dataset: Dataset): Promise<number> {
  let reads = 0;
  const samples = Array.from({length: 500}, (_, index) => {
    const sample = dataset.samples[index % dataset.samples.length]!;
    const read = () => {
      reads++;
      return sample.read();
    };
    return {...sample, index, read};
  });
  for await (const _ of loadBatches({...dataset, samples}, {recipe, batchSize: 4, workers: 2, onError: 'skip'})) break;
  return reads;
}

const dataset = await openDataset(process.argv[2]!);
const results = [];
for (const workers of [0, 1, 3]) results.push(await digest(dataset, workers));
console.log(JSON.stringify({results, reads: await earlyExit(dataset)}));
await dataset.close();
