/**
 * A run of a network so small that a test can repeat it: `small-run OUT DATA BACKEND [--resume]`. Prints what it came to. Steps are
 * recorded, mixed and saved as in a real run; only the network is not one of those that have a name.
 */
import {createHash} from 'node:crypto';
import {openCheckpoint} from '../../../src/checkpoint/open.js';
import {fileSource} from '../../../src/core/bytes.js';
import {bytesOf} from '../../../src/core/tensor.js';
import {selectBackend} from '../../../src/tfjs/backend/select-backend.js';
import {openImages} from '../../../src/train/run/images.js';
import {trainRun} from '../../../src/train/run/run.js';
import {RunDirectory} from '../../../src/train/run/run-directory.js';
import {smallOptions, smallStart} from '../small.js';

const [out, data, backend, ...more] = process.argv.slice(2) as [string, string, 'onnxruntime' | 'cpu', ...string[]];
const settings = Object.fromEntries(more.filter((arg) => arg.includes('=')).map((arg) => arg.slice(2).split('=')));
const options = smallOptions({data, out, backend, ...settings});
await selectBackend(backend, {threads: 1, smallSteps: 'recorded'});
const images = await openImages(options);
const start = smallStart(options, images);
const controller = new AbortController();
process.on('SIGINT', () => controller.abort());
const started = performance.now();
const directory = new RunDirectory(out);
await directory.open({resume: more.includes('--resume')});
const result = await trainRun({
  ...{options, images, start, directory, signal: controller.signal, resume: more.includes('--resume')},
  onProgress: ({phase}) => process.send?.({phase, ms: performance.now() - started}),
});
const digest = createHash('sha256');
if (directory.has('last')) {
  const checkpoint = openCheckpoint(fileSource(directory.file('last')));
  for (const tensor of checkpoint.stateDict.values()) digest.update(bytesOf(tensor.read()));
  const ema = openCheckpoint(fileSource(directory.file('last')), {ema: true});
  for (const tensor of ema.stateDict.values()) digest.update(bytesOf(tensor.read()));
}
directory.close();
await images.close();
console.log(JSON.stringify({complete: result.complete, epochs: result.epochs.length, digest: digest.digest('hex')}));
