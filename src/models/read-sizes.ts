/** From names and shapes to the sizes of a network, one function a family. Widths are divided by the ratio: the student's. */
import {GpdError} from '../core/error.js';
import {nearest} from '../core/nearest.js';
import type {StateDict} from '../core/tensor.js';
import {publishedHeads} from './archs.js';
import {cifarResnet} from './cifar-resnet.js';
import type {Architecture} from './layers.js';
import {mobilenet, relativeWidths} from './mobilenet.js';
import {resnet} from './resnet.js';
import {rvt} from './rvt.js';

export type Family = Architecture['family'];

export interface SizeReader {
  readonly ratio: number;
  has(key: string): boolean;
  /** The shape of a tensor that must be there. */
  shape(key: string): readonly number[];
  /** A student width: a dimension of a convolution or other weight, over the ratio. */
  width(module: string, dim?: number): number;
  /** How many numbered children a prefix has: `layer1.` → 2. */
  children(prefix: string): number;
}

export function sizeReader(stateDict: StateDict, ratio: number): SizeReader {
  const shape = (key: string) => {
    const found = stateDict.get(key);
    if (found) return found.shape;
    // A name with other numbers is another layer's, and rightly there: a slip is looked for among the rest first.
    const sameNumbers = [...stateDict.keys()].filter((other) => other.replace(/\D+/g, ' ') === key.replace(/\D+/g, ' '));
    const near = nearest(key, sameNumbers) ?? nearest(key, stateDict.keys());
    throw new GpdError('KEY_MISSING', `the checkpoint has no '${key}'`, {
      at: key,
      ...(near && {hint: `did you mean '${near}'?`}),
    });
  };
  return {
    ratio,
    has: (key) => stateDict.has(key),
    shape,
    width(module, dim = 0) {
      const key = stateDict.has(`${module}.weight_orepa_origin`) ? `${module}.weight_orepa_origin` : `${module}.weight`;
      const stored = shape(key)[dim] ?? 0;
      if (stored > 0 && stored % ratio === 0) return stored / ratio;
      throw new GpdError('SHAPE_MISMATCH', `'${key}' has ${stored} channels, which ratio ${ratio} does not divide`, {
        at: key,
        hint: 'the ratio is not the one this network was trained with: set --ratio',
      });
    },
    children(prefix) {
      let count = 0;
      for (const key of stateDict.keys()) {
        if (key.startsWith(prefix)) count = Math.max(count, Number.parseInt(key.slice(prefix.length), 10) + 1 || 0);
      }
      if (count <= stateDict.size) return count;
      throw new GpdError('KEY_MISSING', `a key counts up to '${prefix}${count - 1}', but there are ${stateDict.size} tensors`, {
        at: `${prefix}${count - 1}`,
        hint: 'the file is damaged or was edited: save it again, whole',
      });
    },
  };
}

const list = (values: readonly number[]) => values.join('-');

const resnetNames: Readonly<Record<string, string>> = {
  'basic:2-2-2-2': 'resnet18',
  'basic:3-4-6-3': 'resnet34',
  'bottleneck:3-4-6-3': 'resnet50',
  'bottleneck:3-4-23-3': 'resnet101',
  'bottleneck:3-8-36-3': 'resnet152',
};
const rvtNames: Readonly<Record<string, string>> = {'192,384:10-2': 'rvt_tiny', '384:12': 'rvt_small', '768:12': 'rvt_base'};

function readResNet(r: SizeReader): Architecture {
  const stages = [1, 2, 3, 4];
  const block = r.has('layer1.0.conv3.weight') ? 'bottleneck' : 'basic';
  const size = {
    block,
    stem: r.width('conv1'),
    planes: stages.map((s) => r.width(`layer${s}.0.conv1`)),
    depths: stages.map((s) => r.children(`layer${s}.`)),
    classes: r.shape('fc.weight')[0]!,
  } as const;
  const name = resnetNames[`${block}:${list(size.depths)}`];
  return resnet(name ?? `resnet-${block}-${list(size.depths)}`, size);
}

function readCifarResNet(r: SizeReader): Architecture {
  const stages = [1, 2, 3];
  const classifier = r.has('linear.weight') ? 'linear' : 'fc';
  const depths = stages.map((s) => r.children(`layer${s}.`));
  const widths = stages.map((s) => r.width(`layer${s}.0.conv1`));
  const size = {widths, depths, classifier, classes: r.shape(`${classifier}.weight`)[0]!};
  const depth = 2 * depths.reduce((a, b) => a + b) + 2;
  const even = depths.every((d) => d === depths[0]);
  return cifarResnet(even ? `cifar-resnet${depth}` : `cifar-resnet-${list(depths)}`, size);
}

const readMobileNet = (r: SizeReader): Architecture =>
  mobilenet('mobilenet', {
    stem: r.width('model.0.0'),
    widths: relativeWidths.map((_, i) => r.width(`model.${i + 1}.3`)),
    classes: r.shape('fc.weight')[0]!,
  });

/** The number of heads is in no tensor but a mask; the published widths have published head counts. */
function headsOf(dims: readonly number[], asked: readonly number[] | undefined): readonly number[] {
  const heads = asked ?? publishedHeads.get(dims.join(','));
  if (!heads) {
    throw new GpdError(
      'ARCH_AMBIGUOUS',
      `an RVT of widths ${dims.join(', ')} is not a published one, and no tensor says how many attention heads it has`,
      {
        hint: `name them, one number a stage: --heads ${dims.map(() => 'N').join(',')}`,
      },
    );
  }
  if (
    heads.length !== dims.length ||
    dims.some((d, i) => !(Number.isInteger(heads[i]) && heads[i]! > 0 && d % heads[i]! === 0))
  ) {
    throw new GpdError('SHAPE_MISMATCH', `heads ${heads.join(',')} do not divide the widths ${dims.join(',')} of the stages`, {
      hint: `--heads takes ${dims.length} number${dims.length === 1 ? '' : 's'} that divide these widths`,
    });
  }
  return heads;
}

function readRvt(r: SizeReader, asked: readonly number[] | undefined): Architecture {
  const stages = [...Array(r.children('transformers.')).keys()];
  const dims = stages.map((s) => r.width(`transformers.${s}.blocks.0.norm1`));
  const heads = headsOf(dims, asked);
  const depths = stages.map((s) => r.children(`transformers.${s}.blocks.`));
  let blocks = 0;
  while (r.has(`transformers.0.blocks.${blocks}.attn.att_mask`)) blocks++;
  const size = {
    stem: r.width('patch_embed.proj.0'),
    stages: stages.map((s) => ({
      dim: dims[s]!,
      heads: heads[s]!,
      depth: depths[s]!,
      hidden: r.width(`transformers.${s}.blocks.0.mlp.fc1`),
      mlp: r.has(`transformers.${s}.blocks.0.mlp.bn1.weight`) ? ('conv' as const) : ('linear' as const),
    })),
    patch: r.shape('patch_embed.proj.3.weight')[2]!,
    masked: {blocks, tokens: blocks > 0 ? r.shape('transformers.0.blocks.0.attn.att_mask')[1]! : 0},
    classes: r.shape('head.weight')[0]!,
  };
  const plus = blocks > 0 ? '_plus' : '';
  const name = rvtNames[`${dims.join(',')}:${list(depths)}`];
  return rvt(name ? name + plus : `rvt${plus}-${list(dims)}`, size);
}

export interface FamilyEntry {
  /** Keys that every member has, whatever GPD did to it. The first family whose keys are all there is the one. */
  readonly signature: readonly string[];
  /** The stem's convolution and its published width: how the ratio shows in a network of published size. */
  readonly stem: {readonly module: string; readonly width: number};
  read(r: SizeReader, heads?: readonly number[]): Architecture;
}

/** THE table of families. ResNets of both kinds share their keys; the stem's kernel tells them apart. */
export const families: Record<Family, FamilyEntry> = {
  rvt: {signature: ['patch_embed.proj.0.weight'], stem: {module: 'patch_embed.proj.0', width: 32}, read: readRvt},
  mobilenet: {signature: ['model.0.0.weight', 'model.1.3.weight'], stem: {module: 'model.0.0', width: 32}, read: readMobileNet},
  resnet: {signature: ['bn1.weight', 'layer4.0.bn1.weight'], stem: {module: 'conv1', width: 64}, read: readResNet},
  'cifar-resnet': {signature: ['bn1.weight', 'layer3.0.bn1.weight'], stem: {module: 'conv1', width: 16}, read: readCifarResNet},
};
