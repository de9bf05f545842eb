/** THE table of published networks: their sizes, and the parameter counts by which the descriptions are checked. */
import {cifarResnet} from './cifar-resnet.js';
import type {Architecture} from './layers.js';
import {mobilenet, relativeWidths} from './mobilenet.js';
import {resnet} from './resnet.js';
import {type RvtStage, rvt} from './rvt.js';

export interface PublishedArchitecture {
  /** Parameters of the plain network with the published number of classes. */
  readonly params: number;
  readonly build: (classes?: number) => Architecture;
}

const resnetEntry = (name: string, block: 'basic' | 'bottleneck', depths: readonly number[], params: number) => ({
  params,
  build: (classes = 1000) => resnet(name, {block, stem: 64, planes: [64, 128, 256, 512], depths, classes}),
});

/** Depth 6n + 2: three stages of n blocks of two layers, the stem and the classifier. */
const cifarEntry = (depth: number, params: number) => {
  const n = (depth - 2) / 6;
  const size = {widths: [16, 32, 64], depths: [n, n, n], classifier: 'linear'};
  return {params, build: (classes = 10) => cifarResnet(`cifar-resnet${depth}`, {...size, classes})};
};

const rvtStage = (dim: number, heads: number, depth: number): RvtStage => ({
  dim,
  heads,
  depth,
  hidden: 4 * dim,
  mlp: dim === 768 ? 'linear' : 'conv',
});
const rvtEntry = (name: string, stages: RvtStage[], params: number, maskedBlocks = 0) => ({
  params,
  build: (classes = 1000) => rvt(name, {stem: 32, stages, patch: 4, masked: {blocks: maskedBlocks, tokens: 196}, classes}),
});
const rvtStages = {
  tiny: [rvtStage(192, 6, 10), rvtStage(384, 12, 2)],
  small: [rvtStage(384, 6, 12)],
  base: [rvtStage(768, 12, 12)],
};

export const archs = {
  resnet18: resnetEntry('resnet18', 'basic', [2, 2, 2, 2], 11_689_512),
  resnet34: resnetEntry('resnet34', 'basic', [3, 4, 6, 3], 21_797_672),
  resnet50: resnetEntry('resnet50', 'bottleneck', [3, 4, 6, 3], 25_557_032),
  resnet101: resnetEntry('resnet101', 'bottleneck', [3, 4, 23, 3], 44_549_160),
  resnet152: resnetEntry('resnet152', 'bottleneck', [3, 8, 36, 3], 60_192_808),
  mobilenet: {
    params: 4_231_976,
    build: (classes = 1000) => mobilenet('mobilenet', {stem: 32, widths: relativeWidths.map((w) => w * 32), classes}),
  },
  rvt_tiny: rvtEntry('rvt_tiny', rvtStages.tiny, 8_646_376),
  rvt_tiny_plus: rvtEntry('rvt_tiny_plus', rvtStages.tiny, 10_951_336, 10),
  rvt_small: rvtEntry('rvt_small', rvtStages.small, 22_148_392),
  rvt_small_plus: rvtEntry('rvt_small_plus', rvtStages.small, 23_300_872, 5),
  rvt_base: rvtEntry('rvt_base', rvtStages.base, 86_223_784),
  rvt_base_plus: rvtEntry('rvt_base_plus', rvtStages.base, 88_528_744, 5),
  'cifar-resnet20': cifarEntry(20, 269_722),
  'cifar-resnet32': cifarEntry(32, 464_154),
  'cifar-resnet44': cifarEntry(44, 658_586),
  'cifar-resnet56': cifarEntry(56, 853_018),
  'cifar-resnet110': cifarEntry(110, 1_727_962),
} satisfies Record<string, PublishedArchitecture>;
export type ArchName = keyof typeof archs;
export const archNames = Object.keys(archs) as ArchName[];

/** Published head counts, by the widths of the stages. They are not stored in a checkpoint. */
export const publishedHeads: ReadonlyMap<string, readonly number[]> = new Map(
  Object.values(rvtStages).map((stages) => [stages.map((s) => s.dim).join(','), stages.map((s) => s.heads)]),
);
