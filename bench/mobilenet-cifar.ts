/**
 * A MobileNet for 32 pixels (half as wide, stem of stride 1, global average), trained on CIFAR-10 by the trainer of `gpd train` and
 * written as an ONNX student, because no published one exists and depthwise networks are the ones that int8 breaks.
 * `node scripts/run.js bench/mobilenet-cifar.ts TRAIN VAL OUT [--epochs=6] [more options of gpd train, as --name=value]`, then
 * `gpd export OUT/mobilenet.onnx --precision int8 --calibrate TRAIN --check-data VAL`. Goes on where it stopped.
 */
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {openCheckpoint} from '../src/checkpoint/open.js';
import {fileSource} from '../src/core/bytes.js';
import {relativeWidths} from '../src/models/families/mobilenet.js';
import type {Architecture, Layers, Network} from '../src/models/layers.js';
import {trainingForm} from '../src/models/training-form.js';
import {modelBytes} from '../src/onnx/encode.js';
import {runPasses} from '../src/onnx/pass.js';
import {minimalPasses} from '../src/onnx/passes/index.js';
import {selectBackend} from '../src/tfjs/backend/select-backend.js';
import {resolveOptions} from '../src/train/options/config.js';
import type {OptionName} from '../src/train/options/options.js';
import {openImages} from '../src/train/run/images.js';
import {initialState} from '../src/train/run/initial-state.js';
import {trainRun} from '../src/train/run/run.js';
import {RunDirectory} from '../src/train/run/run-directory.js';
import {stepConfigOf} from '../src/train/run/step-settings.js';

const SIDE = 32;
const STEM = 16;
const halvings = new Set([1, 3, 5, 11]); // blocks of stride 2: 32 pixels become 2

const network: Network = <V>(l: Layers<V>, image: V): V => {
  let x = l.conv(image, 'model.0.0', {out: STEM, kernel: 3, pad: 1});
  x = l.relu(l.batchNorm(x, 'model.0.1'), 'model.0.2');
  for (const [i, width] of relativeWidths.entries()) {
    const name = `model.${i + 1}`;
    const groups = l.channels(x);
    x = l.conv(x, `${name}.0`, {out: groups, kernel: 3, stride: halvings.has(i) ? 2 : 1, pad: 1, groups});
    x = l.relu(l.batchNorm(x, `${name}.1`), `${name}.2`);
    x = l.conv(x, `${name}.3`, {out: width * STEM, kernel: 1});
    x = l.relu(l.batchNorm(x, `${name}.4`), `${name}.5`);
  }
  return l.linear(l.flatten(l.globalAveragePool(x, 'model.14'), 'flatten'), 'fc', {out: 10});
};

const arch: Architecture = {
  ...{name: 'cifar-mobilenet', family: 'mobilenet', network, first: 'model.0.0', last: 'fc'},
  ...{classes: 10, imageSize: SIDE, refuses: () => undefined},
};

const [data, val, out, ...more] = process.argv.slice(2) as [string, string, string, ...string[]];
const settings: Partial<Record<OptionName, string>> = {
  // the recipe of CIFAR ResNets: padding of 4, random places and flips, SGD with momentum
  ...{arch: 'cifar-resnet20', data, val, out, ratio: '1', epochs: '6', 'batch-size': '64', lr: '0.05', schedule: 'cosine'},
  ...Object.fromEntries(more.map((arg) => arg.replace(/^--/, '').split('=') as [string, string])),
};
const given = Object.entries(settings).map(([name, value]) => [name as OptionName, {value, from: 'bench'}] as const);
const options = resolveOptions([new Map(given)]);
await selectBackend(undefined, {threads: 2});
const images = await openImages(options);
const {ratio, orepa, seed, compat} = options;
const initial = initialState({arch, imageSize: SIDE, ratio, orepa, seed, compat});
mkdirSync(out, {recursive: true});
const directory = new RunDirectory(out);
await directory.open({resume: true});
let shown = performance.now();
const result = await trainRun({
  ...{options, images, directory, resume: true, signal: new AbortController().signal},
  start: {initial, config: stepConfigOf(options, {arch, initial, staticTeacher: undefined})},
  onProgress(progress) {
    if (performance.now() - shown < 10_000) return;
    shown = performance.now();
    console.error(JSON.stringify(progress).slice(0, 200));
  },
});
directory.close();
await images.close();
for (const row of result.epochs) console.log(JSON.stringify(row).slice(0, 400));

const checkpoint = openCheckpoint(fileSource(directory.file('last')));
const model = trainingForm(arch, checkpoint.stateDict, initial.form, {
  role: 'student',
  imageSize: SIDE,
  opset: 20,
  batch: undefined,
});
await runPasses(model, minimalPasses);
writeFileSync(join(out, 'mobilenet.onnx'), modelBytes(model));
console.log(join(out, 'mobilenet.onnx'));
