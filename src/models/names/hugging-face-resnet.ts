/** ResNetForImageClassification of Hugging Face's transformers (models/resnet/modeling_resnet.py), below `resnet.`; the classifier lies beside. */
import type {NameMap} from './name-map.js';

const kinds: Readonly<Record<string, string>> = {convolution: 'conv', normalization: 'bn'};

/** `embedder.embedder.convolution.weight` → `conv1.weight`; `encoder.stages.0.layers.1.layer.2.normalization.bias` → `layer1.1.bn3.bias`. */
function rename(key: string): string | undefined {
  const stem = /^embedder\.embedder\.(convolution|normalization)\.(\w+)$/.exec(key);
  if (stem) return `${kinds[stem[1]!]}1.${stem[2]}`;
  const [, stage, block, path] = /^encoder\.stages\.(\d+)\.layers\.(\d+)\.(.+)$/.exec(key) ?? [];
  if (path === undefined) return undefined;
  const name = `layer${Number(stage) + 1}.${block}`;
  const shortcut = /^shortcut\.(convolution|normalization)\.(\w+)$/.exec(path);
  if (shortcut) return `${name}.downsample.${shortcut[1] === 'convolution' ? 0 : 1}.${shortcut[2]}`;
  const layer = /^layer\.(\d)\.(convolution|normalization)\.(\w+)$/.exec(path);
  return layer ? `${name}.${kinds[layer[2]!]}${Number(layer[1]) + 1}.${layer[3]}` : undefined;
}

export const huggingFaceResnet: NameMap = {
  family: 'resnet',
  title: "Hugging Face's names",
  signature: ['embedder.embedder.convolution', 'encoder.stages.3.layers.0.layer.0.convolution'],
  rename,
};
