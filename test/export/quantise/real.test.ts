/** Real weights on real photographs: ResNet-20 on CIFAR, the size and the accuracy of its int8 form. */

import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {convertFile} from '../../../src/convert/convert.js';
import {fileSource} from '../../../src/core/bytes.js';
import {argmax} from '../../../src/core/compare-outputs.js';
import type {Tensor} from '../../../src/core/tensor.js';
import type {Dataset} from '../../../src/data/dataset.js';
import {type Batch, loadBatches} from '../../../src/data/loader.js';
import {openDataset} from '../../../src/data/open-dataset.js';
import {recipes} from '../../../src/data/recipe.js';
import {logitsOfBatches} from '../../../src/export/quantise/observe.js';
import {quantiseModel} from '../../../src/export/quantise/quantise.js';
import {decodeModel} from '../../../src/onnx/decode.js';
import {modelBytes} from '../../../src/onnx/encode.js';
import type {Model} from '../../../src/onnx/graph.js';
import {describeShared, shared} from '../../shared.js';
import {exactRange} from './exact-range.js';

/** Every n-th photograph from the first: classes are in order. */
async function some(dataset: Dataset, first: number, count: number): Promise<Batch> {
  const step = Math.floor(dataset.samples.length / count);
  const indices = Array.from({length: count}, (_, i) => first + i * step);
  for await (const batch of loadBatches(dataset, {recipe: recipes.cifar(32), batchSize: count, indices})) return batch;
  throw new Error('the set is empty');
}

describeShared('data/pretrained', 'ResNet-20 on CIFAR', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-int8-'));
  afterAll(() => rmSync(folder, {recursive: true}));

  test('below 35 % of the bytes, and as accurate as float32 within what 500 photographs can tell', async () => {
    const path = join(folder, 'resnet20.onnx');
    await convertFile(shared('data/pretrained/resnet20-12fca82f.th'), {outputs: {student: path}});
    const model = decodeModel(fileSource(path));
    const dataset = await openDataset(shared('data/cifar10-val.tar'));
    const [calibration, labelled] = [await some(dataset, 1, 100), await some(dataset, 0, 500)];
    await dataset.close();
    const batches = (images: Tensor<'float32'>) =>
      async function* () {
        yield images;
      };
    const check = async (candidate: Model) => {
      const {data, classes} = await logitsOfBatches(candidate, batches(labelled.images));
      const right = labelled.labels.filter((label, i) => argmax(data.subarray(i * classes, (i + 1) * classes)) === label);
      return (100 * right.length) / labelled.labels.length;
    };
    const {weightRange} = await exactRange();
    const {model: int8, report} = await quantiseModel(model, {
      calibration: batches(calibration.images),
      check,
      method: 'mse',
      weightRange,
    });
    expect(modelBytes(int8).length).toBeLessThan(0.35 * modelBytes(model).length);
    expect(report.accuracy!.float32).toBeGreaterThan(75);
    expect(Math.abs(report.accuracy!.drop)).toBeLessThan(2); // 10 of 500: three times what 1 % of answers that change, half of them right, scatter
    expect(report.agreement.sameTop1).toBeGreaterThan(95);
    expect(report.quantised).toBe(35); // 19 convolutions, 9 additions, 2 slices, 2 pads, pool, flatten, classifier
  });
});
