/**
 * A ResNet as `nn.Sequential(*list(resnet.children())[:-1])`, as fastai and many tutorials cut it: its children by number. What follows the
 * pooling is a head of its own.
 */
import type {NameMap} from './name-map.js';

/** torchvision's order; 2 is the ReLU, 3 the max pool, 8 the average pool. */
const children: Readonly<Record<string, string>> = {0: 'conv1', 1: 'bn1', 4: 'layer1', 5: 'layer2', 6: 'layer3', 7: 'layer4'};

function rename(key: string): string | undefined {
  const dot = key.indexOf('.');
  const child = children[key.slice(0, dot)];
  if (child === undefined) return undefined;
  return `${child}${key.slice(dot)}`;
}

export const numberedChildren: NameMap = {
  family: 'resnet',
  title: "a Sequential of the network's children",
  signature: ['0', '4.0.conv1', '7.0.conv1'],
  rename,
};
