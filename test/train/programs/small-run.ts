/**
 * A run of a network so small that a test can repeat it: `small-run OUT DATA BACKEND [--resume]`. Prints what it came to. Steps are
 * recorded, mixed and saved as in a real run; only the network is not one of those that have a name.
 */
import {createHash} from 'node:crypto';
import {openCheckpoint} from '../../../src/checkpoint/open.js';
import {fileSource} from '../../../src/core/bytes.js';
import {bytesOf} from '../../../src/core/tensor.js';
import {cifarResnet} from '../../../src/models/cifar-resnet.js';
import {selectBackend} from '../../../src/tfjs/select-backend.js';
import {resolveOptions} from '../../../src/train/config.js';
import {openImages} from '../../../src/train/images.js';
import {initialState} from '../../../src/train/initial-state.js';
import type {OptionName} from '../../../src/train/options.js';
import {trainRun} from '../../../src/train/run.js';
import {RunDirectory} from '../../../src/train/run-directory.js';
import {stepConfigOf} from '../../../src/train/step-settings.js';

const [out, data, backend, ...more] = process.argv.slice(2) as [string, string, 'onnxruntime' | 'cpu', ...string[]];
const settings: Partial<Record<OptionName, string>> = {
  ...{arch: 'cifar-resnet20', 'image-size': '8', data, out, epochs: '3', 'batch-size': '8', lr: '0.05', 'ema-decay': '0.9'},
  ...{erasing: '0.3', orepa: 'true', 'save-every': '2', 'log-every': '1', keep: '2', backend, threads: '1'},
  ...Object.fromEntries(more.filter((arg) => arg.includes('=')).map((arg) => arg.slice(2).split('='))),
};
const options = resolveOptions([
  new Map(Object.entries(settings).map(([name, value]) => [name as OptionName, {value, from: 'test'}])),
]);
await selectBackend(backend, {threads: 1});
const images = await openImages(options);
const arch = cifarResnet('small', {widths: [2, 4, 4], depths: [1, 1, 1], classes: images.classes, classifier: 'linear'});
const {ratio, orepa, seed, compat} = options;
const initial = initialState({arch, imageSize: 8, ratio, orepa, seed, compat});
const start = {initial, config: stepConfigOf(options, {arch, initial, staticTeacher: undefined})};
const controller = new AbortController();
process.on('SIGINT', () => controller.abort());
const started = performance.now();
const directory = new RunDirectory(out);
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
await images.close();
console.log(JSON.stringify({complete: result.complete, epochs: result.epochs.length, digest: digest.digest('hex')}));
