/**
 * ResNets of four stages for small images: a 3x3 convolution of stride 1 in place of the 7x7 one and the max pool. Keys of
 * github.com/kuangliu/pytorch-cifar, or of torchvision's with another `conv1`, as contrastive and robust trainings on CIFAR have them.
 */
import type {Architecture} from '../layers.js';
import type {SizeReader} from '../size-reader.js';
import type {Family, PublishedNetwork, ReadOptions} from './family.js';
import {hasSmallStem, outputsOf, type ResidualSize, readResidual, residual} from './residual.js';
import {describeResidual, initialiseResnet, resnetVariantOf} from './resnet.js';
import {stageFeatures} from './stage-features.js';

const FAMILY = 'resnet-3x3';
const IMAGE_SIZE = 32;

/** Depths and parameters with ten classes, of the code of kuangliu. */
const variants = {
  'resnet18-3x3': {block: 'basic', depths: [2, 2, 2, 2], params: 11_173_962},
  'resnet34-3x3': {block: 'basic', depths: [3, 4, 6, 3], params: 21_282_122},
  'resnet50-3x3': {block: 'bottleneck', depths: [3, 4, 6, 3], params: 23_520_842},
} as const;
type SmallResNetName = keyof typeof variants;

const published = (name: SmallResNetName): PublishedNetwork => {
  const {block, depths, params} = variants[name];
  const size = (classes: number): ResidualSize => ({
    block,
    stem: {channels: 64, kernel: 3, stride: 1, pool: false},
    stages: depths.map((depth, s) => ({depth, inner: 64 * 2 ** s, out: outputsOf(block, 64 * 2 ** s), groups: 1})),
    projection: 'shortcut',
    head: {name: 'linear', classes},
  });
  return {params, build: (classes = 10) => residual(size(classes), {name, family: FAMILY, imageSize: IMAGE_SIZE})};
};

function read(r: SizeReader, options: ReadOptions = {}): Architecture {
  const {size, conventions} = readResidual(r, {stages: 4, head: 'linear'}, options);
  const variant = resnetVariantOf(size);
  const name = variant ? `${variant}-3x3` : describeResidual(FAMILY, size);
  return residual(size, {name, family: FAMILY, imageSize: IMAGE_SIZE, conventions});
}

export const resnet3x3Family = {
  name: FAMILY,
  title: 'ResNet with a 3x3 stem',
  signature: ['layer1.0.conv1', 'layer4.0.conv1'],
  fits: hasSmallStem,
  stem: {module: 'conv1', width: 64},
  read,
  published: Object.fromEntries(Object.keys(variants).map((name) => [name, published(name as SmallResNetName)])) as Record<
    SmallResNetName,
    PublishedNetwork
  >,
  recipe: 'cifar',
  training: 'cifar',
  features: stageFeatures,
  reviewKdWidth: (deepest) => Math.min(512, deepest),
  initialise: initialiseResnet,
} satisfies Family;
