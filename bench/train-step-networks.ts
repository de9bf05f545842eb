/** The networks whose training step is measured, and what one step of each is. */

import {archs} from '../src/models/families/index.js';
import type {Architecture, Layers, Network} from '../src/models/layers.js';

export interface StepSpec {
  readonly title: string;
  readonly batch: number;
  readonly classes: number;
  /** Of one input, without the batch: [C, H, W] or [T, C]. */
  readonly shape: readonly number[];
  readonly arch: Architecture;
  /** In one round, of both sides: about two seconds. */
  readonly steps: number;
}

const VIT = {tokens: 197, width: 384, heads: 6, hidden: 4 * 384, eps: 1e-6};

/** One block of DeiT-S, pre-norm, between its tokens and a classifier over their mean. */
const vitNetwork: Network = <V>(l: Layers<V>, x: V): V => {
  const attended = l.attention(l.layerNorm(x, 'norm1', {eps: VIT.eps}), 'attn', {heads: VIT.heads});
  const y = l.add(x, attended, 'add1');
  const hidden = l.gelu(l.linear(l.layerNorm(y, 'norm2', {eps: VIT.eps}), 'mlp.fc1', {out: VIT.hidden}), 'mlp.act');
  const z = l.add(y, l.linear(hidden, 'mlp.fc2', {out: VIT.width}), 'add2');
  return l.linear(l.meanOfTokens(z, 'mean'), 'head', {out: 1000});
};

/** A description like those of `models/`, for this one purpose. */
const vitBlock = {
  name: 'vit-block',
  family: 'rvt',
  network: vitNetwork,
  first: '',
  last: 'head',
  classes: 1000,
  imageSize: 0,
  refuses: () => undefined,
} satisfies Architecture;

export const stepSpecs: Readonly<Record<string, StepSpec>> = {
  resnet18: {
    title: 'ResNet-18, 224 pixels, batch 8',
    batch: 8,
    classes: 1000,
    shape: [3, 224, 224],
    arch: archs.resnet18.build(),
    steps: 2,
  },
  resnet20: {
    title: 'CIFAR ResNet-20, 32 pixels, batch 64',
    batch: 64,
    classes: 10,
    shape: [3, 32, 32],
    arch: archs['cifar-resnet20'].build(),
    steps: 10,
  },
  mobilenet: {
    title: 'MobileNet v1, 224 pixels, batch 8',
    batch: 8,
    classes: 1000,
    shape: [3, 224, 224],
    arch: archs.mobilenet.build(),
    steps: 3,
  },
  vit: {
    title: 'ViT block, 197 tokens of 384, 6 heads, batch 8',
    batch: 8,
    classes: 1000,
    shape: [VIT.tokens, VIT.width],
    arch: vitBlock,
    steps: 15,
  },
};
