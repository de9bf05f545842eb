/** The CIFAR-10 ResNets of He et al. 2016, section 4.2: three stages of basic blocks, shortcuts without parameters (option A). */
import type {Architecture, Network} from '../layers.js';
import {dashed, type SizeReader} from '../size-reader.js';
import type {Family, PublishedNetwork} from './family.js';
import {fanIn, kaimingNormal, pytorchDefault} from './initialisers.js';
import {stageFeatures} from './stage-features.js';

export interface CifarResNetSize {
  widths: readonly number[];
  /** Blocks in each stage. */
  depths: readonly number[];
  classes: number;
  /** Name of the classifier: `linear` in the usual PyTorch implementation, `fc` in others. */
  classifier: string;
}

export function cifarResNetNetwork(size: CifarResNetSize): Network {
  return (l, image) => {
    let x = l.conv(image, 'conv1', {out: size.widths[0]!, kernel: 3, pad: 1});
    x = l.relu(l.batchNorm(x, 'bn1'), 'relu');
    for (const [stage, out] of size.widths.entries()) {
      for (let i = 0; i < size.depths[stage]!; i++) {
        const [name, stride] = [`layer${stage + 1}.${i}`, stage > 0 && i === 0 ? 2 : 1];
        let y = l.batchNorm(l.conv(x, `${name}.conv1`, {out, kernel: 3, stride, pad: 1}), `${name}.bn1`);
        y = l.relu(y, `${name}.relu1`);
        y = l.batchNorm(l.conv(y, `${name}.conv2`, {out, kernel: 3, pad: 1}), `${name}.bn2`);
        const same = stride === 1 && l.channels(x) === out;
        const short = same ? x : l.subsampleAndPad(x, `${name}.shortcut`, {stride, out});
        x = l.relu(l.add(y, short, `${name}.add`), `${name}.relu`);
      }
    }
    return l.linear(l.flatten(l.globalAveragePool(x, 'avgpool'), 'flatten'), size.classifier, {out: size.classes});
  };
}

export const cifarResnet = (name: string, size: CifarResNetSize): Architecture => ({
  name,
  family: 'cifar-resnet',
  network: cifarResNetNetwork(size),
  first: 'conv1',
  last: size.classifier,
  classes: size.classes,
  imageSize: 32,
  refuses: () => undefined,
});

/** Depth 6n + 2: three stages of n blocks of two layers, the stem and the classifier. */
const published = (depth: number, params: number): PublishedNetwork => {
  const n = (depth - 2) / 6;
  const size = {widths: [16, 32, 64], depths: [n, n, n], classifier: 'linear'};
  return {params, build: (classes = 10) => cifarResnet(`cifar-resnet${depth}`, {...size, classes})};
};

function read(r: SizeReader): Architecture {
  const stages = [1, 2, 3];
  const classifier = r.has('linear.weight') ? 'linear' : 'fc';
  const depths = stages.map((s) => r.children(`layer${s}.`));
  const widths = stages.map((s) => r.width(`layer${s}.0.conv1`));
  const size = {widths, depths, classifier, classes: r.shape(`${classifier}.weight`)[0]!};
  const depth = 2 * depths.reduce((a, b) => a + b) + 2;
  const even = depths.every((d) => d === depths[0]);
  return cifarResnet(even ? `cifar-resnet${depth}` : `cifar-resnet-${dashed(depths)}`, size);
}

export const cifarResnetFamily = {
  name: 'cifar-resnet',
  title: 'CIFAR ResNet',
  signature: ['layer1.0.conv1', 'layer3.0.conv1'],
  stem: {module: 'conv1', width: 16},
  read,
  published: {
    'cifar-resnet20': published(20, 269_722),
    'cifar-resnet32': published(32, 464_154),
    'cifar-resnet44': published(44, 658_586),
    'cifar-resnet56': published(56, 853_018),
    'cifar-resnet110': published(110, 1_727_962),
  },
  recipe: 'cifar',
  training: 'cifar',
  features: stageFeatures,
  reviewKdWidth: (deepest) => Math.min(512, deepest),
  initialise: (m, leaf) => (leaf === 'weight' ? kaimingNormal(fanIn(m)) : pytorchDefault(m, leaf)), // github.com/akamaster/pytorch_resnet_cifar10
} satisfies Family;
