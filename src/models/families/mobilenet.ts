/** MobileNet v1, Howard et al. 2017, arXiv 1704.04861, table 1; keys of the original GPD code (`model` is one Sequential). */
import type {Architecture, Network} from '../layers.js';
import type {SizeReader} from '../size-reader.js';
import type {Family} from './family.js';
import {classify, type Head, headOr, readHead} from './head.js';
import {pytorchDefault} from './initialisers.js';

export interface MobileNetSize {
  stem: number;
  /** Output channels of the thirteen separable blocks. */
  widths: readonly number[];
  classes: number;
  /** Default: the published one. */
  head?: Head;
}

/** Strides of the depthwise convolutions. */
const strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1];
/** Output channels of the blocks, in units of the stem's. */
export const relativeWidths = [2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32];
const POOL = 7; // nn.AvgPool2d(7): of a larger map it averages the top-left window alone

export function mobilenetNetwork(size: MobileNetSize): Network {
  return (l, image) => {
    let x = l.conv(image, 'model.0.0', {out: size.stem, kernel: 3, stride: 2, pad: 1});
    x = l.relu(l.batchNorm(x, 'model.0.1'), 'model.0.2');
    for (const [i, out] of size.widths.entries()) {
      const name = `model.${i + 1}`;
      const groups = l.channels(x);
      x = l.conv(x, `${name}.0`, {out: groups, kernel: 3, stride: strides[i]!, pad: 1, groups});
      x = l.relu(l.batchNorm(x, `${name}.1`), `${name}.2`);
      x = l.conv(x, `${name}.3`, {out, kernel: 1});
      x = l.relu(l.batchNorm(x, `${name}.4`), `${name}.5`);
    }
    x = l.averagePool(x, 'model.14', {kernel: POOL, stride: POOL, pad: 0});
    return classify(l, l.flatten(x, 'flatten'), headOr('fc', size));
  };
}

/** Five halvings lead to the map that the pooling window must fit exactly once. */
export function mobilenetRefuses(imageSize: number): string | undefined {
  const map = Math.ceil(imageSize / 32);
  if (map >= POOL && map < 2 * POOL) return undefined;
  return `MobileNet averages one 7x7 window: images need 193 to 416 pixels a side, not ${imageSize}`;
}

export const mobilenet = (name: string, size: MobileNetSize): Architecture => ({
  name,
  family: 'mobilenet',
  network: mobilenetNetwork(size),
  first: 'model.0.0',
  last: headOr('fc', size).name,
  classes: size.classes,
  imageSize: 224,
  refuses: mobilenetRefuses,
});

function read(r: SizeReader): Architecture {
  const head = readHead(r, 'fc');
  return mobilenet('mobilenet', {
    stem: r.width('model.0.0'),
    widths: relativeWidths.map((_, i) => r.width(`model.${i + 1}.3`)),
    classes: head.classes,
    head,
  });
}

/** Blocks in each stage of timm's mobilenetv1_100. */
const TIMM_STAGES = [1, 2, 2, 6, 2];
const timmBlocks = TIMM_STAGES.flatMap((count, stage) => Array.from({length: count}, (_, i) => `blocks.${stage}.${i}`));
const timmLayers: Readonly<Record<string, string>> = {0: 'conv_dw', 1: 'bn1', 3: 'conv_pw', 4: 'bn2'};

/** timm/models/efficientnet.py, mobilenetv1_100 with act_layer=nn.ReLU. */
function timmName(key: string): string {
  const [, block, layer, leaf] = /^model\.(\d+)\.(\d+)\.(.+)$/.exec(key) ?? [];
  if (block === undefined) return key.replace(/^fc\./, 'classifier.');
  const stem = layer === '0' ? 'conv_stem' : 'bn1';
  return block === '0' ? `${stem}.${leaf}` : `${timmBlocks[Number(block) - 1]}.${timmLayers[layer!]}.${leaf}`;
}

export const mobilenetFamily = {
  name: 'mobilenet',
  title: 'MobileNet v1',
  signature: ['model.0.0', 'model.1.3'],
  stem: {module: 'model.0.0', width: 32},
  read,
  published: {
    mobilenet: {
      params: 4_231_976,
      build: (classes = 1000) => mobilenet('mobilenet', {stem: 32, widths: relativeWidths.map((w) => w * 32), classes}),
    },
  },
  recipe: 'cnn',
  training: 'cnn',
  features: () => ['model.3.4', 'model.5.4', 'model.11.4', 'model.13.4', 'model.14'],
  reviewKdWidth: () => 256, // the original's
  initialise: pytorchDefault, // the original's models/mobilenet.py
  timmName,
} satisfies Family;
