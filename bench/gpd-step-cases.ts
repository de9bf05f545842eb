/** The networks whose step of Gap Preserving Distillation is measured, both of ratio 2 with OREPA; and what a round of it is. */
import {archs} from '../src/models/families/index.js';
import type {Architecture, Layers, Network} from '../src/models/layers.js';

/** Of the teacher's channels to the student's. */
export const RATIO = 2;

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

export interface GpdStepCase {
  readonly title: string;
  readonly arch: Architecture;
  readonly imageSize: number;
  readonly batch: number;
  readonly rounds: number;
  /** In one round, of either side. */
  readonly steps: number;
  /** The original's as once measured: PyTorch 1.13 on two shared cores. */
  readonly original: {readonly imagesPerSecond: number; readonly peakBytes: number};
}

export const gpdStepCases: Readonly<Record<string, GpdStepCase>> = {
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
    rounds: 5,
    steps: 4,
    original: {imagesPerSecond: 70, peakBytes: 1.4e9},
  },
  resnet18: {
    title: 'ResNet-18, 224 pixels, ratio 2, OREPA, batch 8',
    arch: archs.resnet18.build(),
    imageSize: 224,
    batch: 8,
    rounds: 3,
    steps: 2,
    original: {imagesPerSecond: 0.81, peakBytes: 7.7e9},
  },
};
