/** What is said of a model before it runs. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {subjectOfFile} from '../../src/eval/subject.js';
import {concatenate, encodeModel} from '../../src/onnx/encode.js';
import {tinyNetwork} from './networks.js';

test('the bytes of a model are those of all its files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-subject-'));
  try {
    const encoded = encodeModel(tinyNetwork(), {externalData: 'always', location: 'tiny.onnx.data'});
    const [model, weights] = [concatenate(encoded), concatenate(encoded.external!)];
    writeFileSync(join(folder, 'tiny.onnx'), model);
    writeFileSync(join(folder, 'tiny.onnx.data'), weights);
    expect(weights.length).toBeGreaterThan(2000);
    expect(subjectOfFile(join(folder, 'tiny.onnx')).size.fileBytes).toBe(model.length + weights.length);
  } finally {
    rmSync(folder, {recursive: true});
  }
});
