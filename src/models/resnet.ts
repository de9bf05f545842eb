/** ResNet, He et al. 2016, arXiv 1512.03385; layout and keys of torchvision's v1.5 (the stride of a bottleneck is on its 3x3). */
import type {Architecture, Layers, Network} from './layers.js';

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
