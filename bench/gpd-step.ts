/**
 * Images per second of a whole step of Gap Preserving Distillation: both passes forward and backward, clipping, SGD, moving average; as
 * the original's was measured (two networks, two threads). Run: `npm run bench -- gpd-step [cifar|resnet18]`.
 *
 * The floor beside it: `gpd-step-floor.ts`.
 */
import {readFileSync} from 'node:fs';
import {random} from '../src/core/random.js';
import {float32, type Tensor} from '../src/core/tensor.js';
import {archs} from '../src/models/archs.js';
import type {Architecture, Layers, Network} from '../src/models/layers.js';
import {registerOnnxruntimeBackend} from '../src/tfjs/register.js';
import {initialState} from '../src/train/initial-state.js';
import {isParameter} from '../src/train/store.js';
import {createTrainer} from '../src/train/trainer.js';
import {peaks, workOf} from './gpd-step-floor.js';
import {mb} from './measure.js';

/** ResNet-18 for 32 pixels: a 3x3 stem without pooling, four stages from 16 channels. */
const cifarNetwork: Network = <V>(l: Layers<V>, image: V): V => {
  let x = l.relu(l.batchNorm(l.conv(image, 'conv1', {out: 16, kernel: 3, pad: 1}), 'bn1'), 'relu');
  for (const [stage, planes] of [16, 32, 64, 128].entries()) {
    for (const i of [0, 1]) {
      const name = `layer${stage + 1}.${i}`;
      const stride = stage > 0 && i === 0 ? 2 : 1;
      const inner = l.batchNorm(l.conv(x, `${name}.conv1`, {out: planes, kernel: 3, stride, pad: 1}), `${name}.bn1`);
      const y = l.conv(l.relu(inner, `${name}.relu1`), `${name}.conv2`, {out: planes, kernel: 3, pad: 1});
      const shortcut =
        stride === 1
          ? x
          : l.batchNorm(l.conv(x, `${name}.downsample.0`, {out: planes, kernel: 1, stride}), `${name}.downsample.1`);
      x = l.relu(l.add(l.batchNorm(y, `${name}.bn2`), shortcut, `${name}.add`), `${name}.relu`);
    }
  }
  return l.linear(l.flatten(l.globalAveragePool(x, 'avgpool'), 'flatten'), 'fc', {out: 10});
};

interface Case {
  readonly title: string;
  readonly arch: Architecture;
  readonly imageSize: number;
  readonly batch: number;
  readonly steps: number;
  /** The original's, PyTorch 1.13 on two shared cores of this kind. */
  readonly original: {readonly imagesPerSecond: number; readonly peakBytes: number};
}

const cases: Readonly<Record<string, Case>> = {
  cifar: {
    title: 'CIFAR-size ResNet-18, width 16, ratio 2, OREPA, batch 64',
    arch: {
      name: 'cifar-resnet18',
      family: 'resnet',
      network: cifarNetwork,
      first: 'conv1',
      last: 'fc',
      classes: 10,
      imageSize: 32,
      refuses: () => undefined,
    },
    imageSize: 32,
    batch: 64,
    steps: 12,
    original: {imagesPerSecond: 70, peakBytes: 1.4e9},
  },
  resnet18: {
    title: 'ResNet-18, 224 pixels, ratio 2, OREPA, batch 8',
    arch: archs.resnet18.build(),
    imageSize: 224,
    batch: 8,
    steps: 5,
    original: {imagesPerSecond: 0.81, peakBytes: 7.7e9},
  },
};

const WARM_UP = 4;
const peakBytes = () => 1024 * Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);

function randomBatch({batch, imageSize, arch}: Case): {images: Tensor<'float32'>; labels: number[]} {
  const stream = random('gpd-step');
  const pixels = Float32Array.from({length: batch * 3 * imageSize ** 2}, () => stream.uniform() * 2 - 1);
  const labels = Array.from({length: batch}, () => stream.integer(arch.classes));
  return {images: float32([batch, 3, imageSize, imageSize], pixels), labels};
}

async function measure(spec: Case): Promise<void> {
  const {arch, imageSize, batch, steps, original} = spec;
  const options = {arch, imageSize, ratio: 2, orepa: true, seed: 1, compat: 'default'} as const;
  const {form, state} = initialState(options);
  const trainer = createTrainer(
    {
      arch,
      imageSize,
      form,
      gpd: {kd: {kind: 'sce', weight: 3}},
      optimizer: {kind: 'sgd', momentum: 0.9, nesterov: false},
      decay: {kind: 'all', weightDecay: 1e-4},
      clipNorm: 5,
      emaDecay: 0.99996,
      compat: 'default',
    },
    {model: state},
  );
  const data = randomBatch(spec);
  const parameters = [...state].filter(([key]) => isParameter(key)).reduce((sum, [, t]) => sum + t.data.length, 0);
  const work = workOf(arch, imageSize, batch, options.ratio, parameters);
  const times: number[] = [];
  for (let i = 0; i < WARM_UP + steps; i++) {
    const start = performance.now();
    await trainer.step(data, {lr: 0.01});
    if (i >= WARM_UP) times.push((performance.now() - start) / 1000);
  }
  times.sort((a, b) => a - b);
  const rate = (seconds: number) => batch / seconds;
  const median = rate(times[times.length >> 1]!);
  console.log(
    `${spec.title}: ${median.toFixed(2)} (${rate(times.at(-1)!).toFixed(2)} … ${rate(times[0]!).toFixed(2)}) images/s, ${mb(peakBytes())}`,
  );
  console.log(
    `  the original about ${original.imagesPerSecond} images/s, ${mb(original.peakBytes)}: ${(median / original.imagesPerSecond).toFixed(2)} times its speed`,
  );
  const {flopsPerSecond, bytesPerSecond} = peaks();
  const floor = work.flops / flopsPerSecond + work.bytes / bytesPerSecond;
  console.log(
    `  the floor ${floor.toFixed(2)} s: ${(work.flops / 1e9).toFixed(0)} GFLOP at ${(flopsPerSecond / 1e9).toFixed(0)} GFLOP/s, ${mb(work.bytes)} at ${(bytesPerSecond / 1e9).toFixed(1)} GB/s; ${(batch / median / floor).toFixed(2)} times as long`,
  );
}

const spec = cases[process.argv[2] ?? ''];
if (!spec) throw new Error(`name one of ${Object.keys(cases).join(', ')}`);
await registerOnnxruntimeBackend({threads: 2});
await measure(spec);
