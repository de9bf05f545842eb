/** ResNet, He et al. 2016, arXiv 1512.03385; layout and keys of torchvision's v1.5 (the stride of a bottleneck is on its 3x3). */
import type {Architecture, Layers, Network} from '../layers.js';
import {dashed, type SizeReader} from '../size-reader.js';
import type {Family, PublishedNetwork} from './family.js';
import {fanOut, kaimingNormal, pytorchDefault} from './initialisers.js';
import {stageFeatures} from './stage-features.js';

export interface ResNetSize {
  block: 'basic' | 'bottleneck';
  stem: number;
  /** Width of each stage; a bottleneck's output is four times as wide. */
  planes: readonly number[];
  /** Blocks in each stage. */
  depths: readonly number[];
  classes: number;
}

export const BOTTLENECK_EXPANSION = 4;

interface Block {
  name: string;
  planes: number;
  stride: number;
}

function basicBlock<V>(l: Layers<V>, x: V, {name, planes, stride}: Block): V {
  let y = l.batchNorm(l.conv(x, `${name}.conv1`, {out: planes, kernel: 3, stride, pad: 1}), `${name}.bn1`);
  y = l.relu(y, `${name}.relu1`);
  return l.batchNorm(l.conv(y, `${name}.conv2`, {out: planes, kernel: 3, pad: 1}), `${name}.bn2`);
}

function bottleneck<V>(l: Layers<V>, x: V, {name, planes, stride}: Block): V {
  let y = l.relu(l.batchNorm(l.conv(x, `${name}.conv1`, {out: planes, kernel: 1}), `${name}.bn1`), `${name}.relu1`);
  y = l.batchNorm(l.conv(y, `${name}.conv2`, {out: planes, kernel: 3, stride, pad: 1}), `${name}.bn2`);
  y = l.relu(y, `${name}.relu2`);
  return l.batchNorm(l.conv(y, `${name}.conv3`, {out: planes * BOTTLENECK_EXPANSION, kernel: 1}), `${name}.bn3`);
}

/** The block's input as it reaches the addition: itself, or through a 1x1 convolution where the size changes. */
function shortcut<V>(l: Layers<V>, x: V, {name, stride}: Block, out: number): V {
  if (stride === 1 && l.channels(x) === out) return x;
  return l.batchNorm(l.conv(x, `${name}.downsample.0`, {out, kernel: 1, stride}), `${name}.downsample.1`);
}

export function resnetNetwork(size: ResNetSize): Network {
  const [body, expansion] = size.block === 'basic' ? ([basicBlock, 1] as const) : ([bottleneck, BOTTLENECK_EXPANSION] as const);
  return (l, image) => {
    let x = l.conv(image, 'conv1', {out: size.stem, kernel: 7, stride: 2, pad: 3});
    x = l.relu(l.batchNorm(x, 'bn1'), 'relu');
    x = l.maxPool(x, 'maxpool', {kernel: 3, stride: 2, pad: 1});
    for (const [stage, planes] of size.planes.entries()) {
      for (let i = 0; i < size.depths[stage]!; i++) {
        const block = {name: `layer${stage + 1}.${i}`, planes, stride: stage > 0 && i === 0 ? 2 : 1};
        const y = body(l, x, block);
        x = l.relu(l.add(y, shortcut(l, x, block, planes * expansion), `${block.name}.add`), `${block.name}.relu`);
      }
    }
    return l.linear(l.flatten(l.globalAveragePool(x, 'avgpool'), 'flatten'), 'fc', {out: size.classes});
  };
}

export const resnet = (name: string, size: ResNetSize): Architecture => ({
  name,
  family: 'resnet',
  network: resnetNetwork(size),
  first: 'conv1',
  last: 'fc',
  classes: size.classes,
  imageSize: 224,
  refuses: () => undefined,
});

/** torchvision.models.resnet, and the parameters of its documentation. */
const variants = {
  resnet18: {block: 'basic', depths: [2, 2, 2, 2], params: 11_689_512},
  resnet34: {block: 'basic', depths: [3, 4, 6, 3], params: 21_797_672},
  resnet50: {block: 'bottleneck', depths: [3, 4, 6, 3], params: 25_557_032},
  resnet101: {block: 'bottleneck', depths: [3, 4, 23, 3], params: 44_549_160},
  resnet152: {block: 'bottleneck', depths: [3, 8, 36, 3], params: 60_192_808},
} as const;
type ResNetName = keyof typeof variants;
const names = Object.keys(variants) as ResNetName[];

const published = (name: ResNetName): PublishedNetwork => {
  const {block, depths, params} = variants[name];
  return {params, build: (classes = 1000) => resnet(name, {block, stem: 64, planes: [64, 128, 256, 512], depths, classes})};
};

function read(r: SizeReader): Architecture {
  const stages = [1, 2, 3, 4];
  const size = {
    block: r.has('layer1.0.conv3.weight') ? 'bottleneck' : 'basic',
    stem: r.width('conv1'),
    planes: stages.map((s) => r.width(`layer${s}.0.conv1`)),
    depths: stages.map((s) => r.children(`layer${s}.`)),
    classes: r.shape('fc.weight')[0]!,
  } as const;
  const [block, depths] = [size.block, dashed(size.depths)];
  const name = names.find((n) => variants[n].block === block && dashed(variants[n].depths) === depths);
  return resnet(name ?? `resnet-${block}-${depths}`, size);
}

export const resnetFamily = {
  name: 'resnet',
  title: 'ResNet',
  signature: ['layer1.0.conv1', 'layer4.0.conv1'],
  stem: {module: 'conv1', width: 64},
  read,
  published: Object.fromEntries(names.map((name) => [name, published(name)])) as Record<ResNetName, PublishedNetwork>,
  recipe: 'cnn',
  training: 'cnn',
  features: stageFeatures,
  reviewKdWidth: (deepest) => Math.min(512, deepest), // ReviewKD's own rule; it gives the original's 512
  initialise: (m, leaf) => (m.kind === 'conv' && leaf === 'weight' ? kaimingNormal(fanOut(m)) : pytorchDefault(m, leaf)), // torchvision
} satisfies Family;
