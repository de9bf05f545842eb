/**
 * The CIFAR-10 ResNets of He et al. 2016, section 4.2: three stages, usually of basic blocks; shortcuts without parameters (option A), or
 * projections (option B), as distillation research has them.
 */
import type {Architecture} from '../layers.js';
import {dashed, type SizeReader} from '../size-reader.js';
import type {Family, PublishedNetwork, ReadOptions} from './family.js';
import {fanIn, kaimingNormal, pytorchDefault} from './initialisers.js';
import {blockFormSuffix, type ResidualSize, readResidual, residual} from './residual.js';
import {describeResidual} from './resnet.js';
import {stageFeatures} from './stage-features.js';

export interface CifarResNetSize {
  widths: readonly number[];
  /** Blocks in each stage. */
  depths: readonly number[];
  classes: number;
  /** Name of the classifier: `linear` in the usual PyTorch implementation, `fc` in others. */
  classifier: string;
}

const own = {family: 'cifar-resnet', imageSize: 32} as const;

const residualSizeOf = ({widths, depths, classes, classifier}: CifarResNetSize): ResidualSize => ({
  block: 'basic',
  stem: {channels: widths[0]!, kernel: 3, stride: 1, pool: false},
  stages: widths.map((width, s) => ({depth: depths[s]!, inner: width, out: width, groups: 1})),
  projection: undefined,
  head: {name: classifier, classes},
});

export const cifarResnet = (name: string, size: CifarResNetSize): Architecture =>
  residual(residualSizeOf(size), {name, ...own});

/** Depth 6n + 2: three stages of n blocks of two layers, the stem and the classifier. */
const published = (depth: number, params: number): PublishedNetwork => {
  const n = (depth - 2) / 6;
  const size = {widths: [16, 32, 64], depths: [n, n, n], classifier: 'linear'};
  return {params, build: (classes = 10) => cifarResnet(`cifar-resnet${depth}`, {...size, classes})};
};

function nameOf(size: ResidualSize): string {
  const depths = size.stages.map(({depth}) => depth);
  if (size.block === 'bottleneck' || blockFormSuffix(size) !== '') return describeResidual(own.family, size);
  const even = depths.every((depth) => depth === depths[0]);
  return even ? `cifar-resnet${2 * depths.reduce((a, b) => a + b) + 2}` : `cifar-resnet-${dashed(depths)}`;
}

function read(r: SizeReader, options: ReadOptions = {}): Architecture {
  const {size, conventions} = readResidual(r, {stages: 3, head: 'linear'}, options);
  return residual(size, {name: nameOf(size), ...own, conventions});
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
