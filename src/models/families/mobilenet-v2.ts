/** MobileNetV2, Sandler et al. 2018, arXiv 1801.04381, table 2; layout and keys of torchvision.models.mobilenet_v2. */
import type {Architecture, Layers, Network} from '../layers.js';
import type {SizeReader} from '../size-reader.js';
import type {Family} from './family.js';
import {classify, type Head, headOr, readHead} from './head.js';
import {fanOut, kaimingNormal} from './initialisers.js';

export interface MobileNetV2Size {
  stem: number;
  blocks: readonly BlockSize[];
  /** Channels of the last convolution. */
  features: number;
  classes: number;
  /** Default: the published one. */
  head?: Head;
}
interface BlockSize {
  /** Channels between the expansion and the projection; undefined where the block has no expansion. */
  hidden: number | undefined;
  out: number;
}

const CLASSIFIER = 'classifier.1';

/** Expansion, output channels, blocks, and stride of the first: table 2. */
const stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;
const strides = stages.flatMap(([, , count, stride]) => Array.from({length: count}, (_, i) => (i === 0 ? stride : 1)));
/** The last block before each halving, and the last of all: `features.3`, … */
const lastOfResolution = [3, 6, 13, 17];

/** Expand by a 1x1 convolution, filter each channel, project to few channels without an activation. */
function invertedResidual<V>(l: Layers<V>, x: V, name: string, {hidden, out}: BlockSize, stride: number): V {
  const own = l.channels(x);
  const wide = hidden ?? own;
  const depthwise = hidden === undefined ? 0 : 1;
  let y = x;
  if (hidden !== undefined)
    y = l.relu6(l.batchNorm(l.conv(y, `${name}.0.0`, {out: wide, kernel: 1}), `${name}.0.1`), `${name}.0.2`);
  y = l.conv(y, `${name}.${depthwise}.0`, {out: wide, kernel: 3, stride, pad: 1, groups: wide});
  y = l.relu6(l.batchNorm(y, `${name}.${depthwise}.1`), `${name}.${depthwise}.2`);
  y = l.batchNorm(l.conv(y, `${name}.${depthwise + 1}`, {out, kernel: 1}), `${name}.${depthwise + 2}`);
  return stride === 1 && own === out ? l.add(x, y, `${name}.add`) : y;
}

export function mobilenetV2Network(size: MobileNetV2Size): Network {
  return (l, image) => {
    let x = l.conv(image, 'features.0.0', {out: size.stem, kernel: 3, stride: 2, pad: 1});
    x = l.relu6(l.batchNorm(x, 'features.0.1'), 'features.0.2');
    for (const [i, block] of size.blocks.entries()) x = invertedResidual(l, x, `features.${i + 1}.conv`, block, strides[i]!);
    const last = `features.${size.blocks.length + 1}`;
    x = l.relu6(l.batchNorm(l.conv(x, `${last}.0`, {out: size.features, kernel: 1}), `${last}.1`), `${last}.2`);
    return classify(l, l.flatten(l.globalAveragePool(x, 'avgpool'), 'flatten'), headOr(CLASSIFIER, size));
  };
}

export const mobilenetV2 = (name: string, size: MobileNetV2Size): Architecture => ({
  name,
  family: 'mobilenet_v2',
  network: mobilenetV2Network(size),
  first: 'features.0.0',
  last: headOr(CLASSIFIER, size).name,
  classes: size.classes,
  imageSize: 224,
  refuses: () => undefined,
});

const published: MobileNetV2Size = {
  stem: 32,
  blocks: stages.flatMap(([expansion, out, count], stage) =>
    Array.from({length: count}, (_, i) => {
      const own = i > 0 ? out : stage > 0 ? stages[stage - 1]![1] : 32;
      return {hidden: expansion === 1 ? undefined : expansion * own, out};
    }),
  ),
  features: 1280,
  classes: 1000,
};

function read(r: SizeReader): Architecture {
  const blocks = strides.map((_, i) => {
    const name = `features.${i + 1}.conv`;
    const hidden = r.has(`${name}.3.weight`) ? r.width(`${name}.0.0`) : undefined;
    return {hidden, out: r.width(hidden === undefined ? `${name}.1` : `${name}.2`)};
  });
  const features = r.width(`features.${blocks.length + 1}.0`);
  const head = readHead(r, CLASSIFIER);
  return mobilenetV2('mobilenet_v2', {stem: r.width('features.0.0'), blocks, features, classes: head.classes, head});
}

/** The maps that ReviewKD compares: after a block's addition, or after its last batch norm where it has none. */
function features(layers: readonly string[]): string[] {
  const known = new Set(layers);
  const outputs = lastOfResolution.map((i) =>
    [`features.${i}.conv.add`, `features.${i}.conv.3`].find((name) => known.has(name)),
  );
  return [...outputs.filter((name) => name !== undefined), 'avgpool'];
}

/** timm/models/efficientnet.py, mobilenetv2_100: `blocks.<stage>.<block>` with a name for each layer. */
function timmName(key: string): string {
  const place = stages.flatMap(([, , count], stage) => Array.from({length: count}, (_, i) => `blocks.${stage}.${i}`));
  const [, number, path] = /^features\.(\d+)\.(.+)$/.exec(key) ?? [];
  if (number === undefined) return key.replace(/^classifier\.1\./, 'classifier.');
  const i = Number(number);
  if (i === 0 || i === place.length + 1) {
    const [layer, leaf] = [path!.slice(0, 1), path!.slice(2)];
    const names = i === 0 ? ['conv_stem', 'bn1'] : ['conv_head', 'bn2'];
    return `${names[Number(layer)]}.${leaf}`;
  }
  const layers =
    i === 1
      ? {'conv.0.0': 'conv_dw', 'conv.0.1': 'bn1', 'conv.1': 'conv_pw', 'conv.2': 'bn2'}
      : {
          'conv.0.0': 'conv_pw',
          'conv.0.1': 'bn1',
          'conv.1.0': 'conv_dw',
          'conv.1.1': 'bn2',
          'conv.2': 'conv_pwl',
          'conv.3': 'bn3',
        };
  const [from, to] = Object.entries(layers).find(([layer]) => path!.startsWith(`${layer}.`))!;
  return `${place[i - 1]}.${to}.${path!.slice(from.length + 1)}`;
}

export const mobilenetV2Family = {
  name: 'mobilenet_v2',
  title: 'MobileNetV2',
  signature: ['features.0.0', 'features.17.conv.2'],
  stem: {module: 'features.0.0', width: 32},
  read,
  published: {
    mobilenet_v2: {params: 3_504_872, build: (classes = 1000) => mobilenetV2('mobilenet_v2', {...published, classes})},
  },
  recipe: 'cnn',
  training: 'cnn',
  features,
  reviewKdWidth: () => 256, // as for MobileNet v1
  /** torchvision's. */
  initialise: (m, leaf) => {
    if (leaf === 'bias') return {constant: 0};
    return m.kind === 'conv' ? kaimingNormal(fanOut(m)) : {normal: 0.01};
  },
  timmName,
} satisfies Family;
