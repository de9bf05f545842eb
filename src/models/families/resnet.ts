/**
 * ResNet, He et al. 2016, arXiv 1512.03385; layout and keys of torchvision's v1.5 (the stride of a bottleneck is on its 3x3). With wider
 * bottlenecks: Zagoruyko and Komodakis 2016, arXiv 1605.07146; with groups: ResNeXt, Xie et al. 2017, arXiv 1611.05431.
 */
import type {Architecture} from '../layers.js';
import {dashed, type SizeReader} from '../size-reader.js';
import type {Family, PublishedNetwork, ReadOptions} from './family.js';
import {fanOut, type Initialiser, kaimingNormal, pytorchDefault} from './initialisers.js';
import {
  type BlockForm,
  blockFormOf,
  blockFormSuffix,
  hasSmallStem,
  outputsOf,
  type ResidualSize,
  readResidual,
  residual,
} from './residual.js';
import {stageFeatures} from './stage-features.js';

export interface ResNetSize {
  block: 'basic' | 'bottleneck';
  stem: number;
  /** Width of each stage; a bottleneck's output is four times as wide. */
  planes: readonly number[];
  /** Blocks in each stage. */
  depths: readonly number[];
  classes: number;
  /** A bottleneck's inside over its published width, and the groups of its 3x3 convolution. Default: 1. */
  wide?: number;
  groups?: number;
}

const residualSizeOf = ({block, stem, planes, depths, classes, wide = 1, groups = 1}: ResNetSize): ResidualSize => ({
  block,
  stem: {channels: stem, kernel: 7, stride: 2, pool: true},
  stages: planes.map((p, s) => ({depth: depths[s]!, inner: p * wide, out: outputsOf(block, p), groups})),
  projection: 'downsample',
  head: {name: 'fc', classes},
});

const IMAGE_SIZE = 224;

export const resnet = (name: string, size: ResNetSize): Architecture =>
  residual(residualSizeOf(size), {name, family: 'resnet', imageSize: IMAGE_SIZE});

interface Variant extends Partial<BlockForm> {
  readonly block: ResNetSize['block'];
  readonly depths: readonly number[];
  readonly params: number;
}

/** torchvision.models.resnet, and the parameters of its documentation. */
const variants = {
  resnet18: {block: 'basic', depths: [2, 2, 2, 2], params: 11_689_512},
  resnet34: {block: 'basic', depths: [3, 4, 6, 3], params: 21_797_672},
  resnet50: {block: 'bottleneck', depths: [3, 4, 6, 3], params: 25_557_032},
  resnet101: {block: 'bottleneck', depths: [3, 4, 23, 3], params: 44_549_160},
  resnet152: {block: 'bottleneck', depths: [3, 8, 36, 3], params: 60_192_808},
  wide_resnet50_2: {block: 'bottleneck', depths: [3, 4, 6, 3], wide: 2, params: 68_883_240},
  wide_resnet101_2: {block: 'bottleneck', depths: [3, 4, 23, 3], wide: 2, params: 126_886_696},
  resnext50_32x4d: {block: 'bottleneck', depths: [3, 4, 6, 3], wide: 2, groups: 32, params: 25_028_904},
  resnext101_32x8d: {block: 'bottleneck', depths: [3, 4, 23, 3], wide: 4, groups: 32, params: 88_791_336},
  resnext101_64x4d: {block: 'bottleneck', depths: [3, 4, 23, 3], wide: 4, groups: 64, params: 83_455_272},
} as const satisfies Record<string, Variant>;
type ResNetName = keyof typeof variants;
const names = Object.keys(variants) as ResNetName[];

const published = (name: ResNetName): PublishedNetwork => {
  const {params, ...form} = variants[name];
  return {params, build: (classes = 1000) => resnet(name, {...form, stem: 64, planes: [64, 128, 256, 512], classes})};
};

/** The published network of these depths and blocks, whatever its width. */
export function resnetVariantOf(size: ResidualSize): ResNetName | undefined {
  const [form, depths] = [blockFormOf(size), dashed(size.stages.map(({depth}) => depth))];
  return names.find((name) => {
    const {block, depths: own, wide = 1, groups = 1}: Variant = variants[name];
    return block === size.block && dashed(own) === depths && form?.wide === wide && form.groups === groups;
  });
}

/** A description of the sizes where they are of no published network. */
export const describeResidual = (family: string, size: ResidualSize): string =>
  `${family}-${size.block}-${dashed(size.stages.map(({depth}) => depth))}${blockFormSuffix(size)}`;

function read(r: SizeReader, options: ReadOptions = {}): Architecture {
  const {size, conventions} = readResidual(r, {stages: 4, head: 'fc'}, options);
  const name = resnetVariantOf(size) ?? describeResidual('resnet', size);
  return residual(size, {name, family: 'resnet', imageSize: IMAGE_SIZE, conventions});
}

/** torchvision's. */
export const initialiseResnet: Initialiser = (m, leaf) =>
  m.kind === 'conv' && leaf === 'weight' ? kaimingNormal(fanOut(m)) : pytorchDefault(m, leaf);

export const resnetFamily = {
  name: 'resnet',
  title: 'ResNet',
  signature: ['layer1.0.conv1', 'layer4.0.conv1'],
  fits: (stateDict) => !hasSmallStem(stateDict),
  stem: {module: 'conv1', width: 64},
  read,
  published: Object.fromEntries(names.map((name) => [name, published(name)])) as Record<ResNetName, PublishedNetwork>,
  recipe: 'cnn',
  training: 'cnn',
  features: stageFeatures,
  reviewKdWidth: (deepest) => Math.min(512, deepest), // ReviewKD's own rule; it gives the original's 512
  initialise: initialiseResnet,
} satisfies Family;
