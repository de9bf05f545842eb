/** Run by loader.test.ts beside the dying worker: prints the error that reaches the consumer. */
import type {Dataset} from '../../../src/data/dataset.js';
import {loadBatches} from '../../../src/data/loader.js';
import {openDataset} from '../../../src/data/open-dataset.js';
import {recipes} from '../../../src/data/recipe.js';

async function failure(dataset: Dataset): Promise<unknown> {
  try {
    for await (const _ of loadBatches(dataset, {recipe: recipes.cnn(32), batchSize: 4, workers: 1, onError: 'skip'}));
  } catch (error) {
    const {name, code, message} = error as Error & {code?: string};
    return {name, code, message};
  }
  return 'none';
}

const dataset = await openDataset(process.argv[2]!);
console.log(JSON.stringify(await failure(dataset)));
await dataset.close();
