/** Robust Vision Transformer, Mao et al., CVPR 2022, arXiv 2105.07926; keys of the original code (`PoolingTransformer`). */
import {GpdError} from '../../core/error.js';
import type {Architecture, Layers, Network} from '../layers.js';
import {dashed, type SizeReader} from '../size-reader.js';
import type {Family, PublishedNetwork, ReadOptions} from './family.js';
import {classify, type Head, headOr, readHead} from './head.js';
import {pytorchDefault} from './initialisers.js';

export interface RvtStage {
  dim: number;
  heads: number;
  depth: number;
  /** Width inside the MLP. */
  hidden: number;
  /** Convolutional MLP with batch norms, or (student width 768) plain linear layers. */
  mlp: 'conv' | 'linear';
}
export interface RvtSize {
  stem: number;
  stages: readonly RvtStage[];
  classes: number;
  /** Default: the published one. */
  head?: Head;
  /** Kernel and stride of the second patch convolution: 4 for patches of 16 pixels, 1 for 4. */
  patch: number;
  /** The plus variants: how many blocks of the first stage have a mask, and for how many tokens. */
  masked: {blocks: number; tokens: number};
}

const LAYER_NORM_EPS = 1e-6;

function convMlp<V>(l: Layers<V>, x: V, name: string, {hidden, dim}: RvtStage): V {
  let y = l.map(x, `${name}.map`);
  y = l.batchNorm(l.conv(y, `${name}.fc1`, {out: hidden, kernel: 1, bias: true}), `${name}.bn1`);
  y = l.gelu(y, `${name}.act1`);
  y = l.conv(y, `${name}.dwconv`, {out: hidden, kernel: 3, pad: 1, groups: hidden, bias: true});
  y = l.gelu(l.batchNorm(y, `${name}.bn2`), `${name}.act2`);
  y = l.batchNorm(l.conv(y, `${name}.fc2`, {out: dim, kernel: 1, bias: true}), `${name}.bn3`);
  return l.tokens(y, `${name}.tokens`);
}

function linearMlp<V>(l: Layers<V>, x: V, name: string, {hidden, dim}: RvtStage): V {
  const y = l.gelu(l.linear(x, `${name}.fc1`, {out: hidden}), `${name}.act`);
  return l.linear(y, `${name}.fc2`, {out: dim});
}

function block<V>(l: Layers<V>, x: V, name: string, stage: RvtStage, maskTokens: number | undefined): V {
  const attended = l.attention(l.layerNorm(x, `${name}.norm1`, {eps: LAYER_NORM_EPS}), `${name}.attn`, {
    heads: stage.heads,
    ...(maskTokens !== undefined && {maskTokens}),
  });
  const y = l.add(x, attended, `${name}.add1`);
  const mlp = stage.mlp === 'conv' ? convMlp : linearMlp;
  return l.add(y, mlp(l, l.layerNorm(y, `${name}.norm2`, {eps: LAYER_NORM_EPS}), `${name}.mlp`, stage), `${name}.add2`);
}

export function rvtNetwork(size: RvtSize): Network {
  return (l, image) => {
    let x = l.conv(image, 'patch_embed.proj.0', {out: size.stem, kernel: 7, stride: 2, pad: 2, bias: true});
    x = l.batchNorm(x, 'patch_embed.proj.1');
    x = l.maxPool(x, 'patch_embed.proj.2', {kernel: 3, stride: 2, pad: 1});
    x = l.conv(x, 'patch_embed.proj.3', {out: size.stages[0]!.dim, kernel: size.patch, stride: size.patch, bias: true});
    x = l.tokens(x, 'patch_embed.tokens');
    for (const [s, stage] of size.stages.entries()) {
      for (let b = 0; b < stage.depth; b++) {
        const masked = s === 0 && b < size.masked.blocks;
        x = block(l, x, `transformers.${s}.blocks.${b}`, stage, masked ? size.masked.tokens : undefined);
      }
      const next = size.stages[s + 1];
      if (!next) continue;
      const map = l.map(x, `pools.${s}.map`);
      const pooled = l.conv(map, `pools.${s}.conv`, {
        out: next.dim,
        kernel: 3,
        stride: 2,
        pad: 1,
        groups: stage.dim,
        bias: true,
      });
      x = l.tokens(pooled, `pools.${s}.tokens`);
    }
    x = l.layerNorm(l.meanOfTokens(x, 'mean'), 'norm', {eps: LAYER_NORM_EPS});
    return classify(l, x, headOr('head', size));
  };
}

/** Pixels a side of the map of the first stage. */
export function rvtGrid(imageSize: number, patch: number): number {
  const stem = Math.floor((imageSize + 4 - 7) / 2) + 1;
  const pooled = Math.floor((stem + 2 - 3) / 2) + 1;
  return Math.floor((pooled - patch) / patch) + 1;
}

export const rvt = (name: string, size: RvtSize): Architecture => ({
  name,
  family: 'rvt',
  network: rvtNetwork(size),
  first: 'patch_embed.proj.0',
  last: headOr('head', size).name,
  topLevel: ['patch_embed', 'transformers', 'pools', 'norm', 'head'],
  classes: size.classes,
  imageSize: 224,
  refuses(imageSize) {
    const grid = rvtGrid(imageSize, size.patch);
    if (grid < 1) return `the patches of this RVT need larger images than ${imageSize} pixels`;
    if (size.masked.blocks > 0 && grid * grid > size.masked.tokens) {
      return `the attention masks are made for ${size.masked.tokens} tokens, ${imageSize} pixels give ${grid * grid}`;
    }
    return undefined;
  },
});

const stage = (dim: number, heads: number, depth: number): RvtStage => {
  const mlp = dim === 768 ? 'linear' : 'conv';
  return {dim, heads, depth, hidden: 4 * dim, mlp};
};
const stagesOf = {
  rvt_tiny: [stage(192, 6, 10), stage(384, 12, 2)],
  rvt_small: [stage(384, 6, 12)],
  rvt_base: [stage(768, 12, 12)],
};

const published = (name: keyof typeof stagesOf, params: number, maskedBlocks = 0): PublishedNetwork => {
  const masked = {blocks: maskedBlocks, tokens: 196};
  const full = maskedBlocks > 0 ? `${name}_plus` : name;
  return {params, build: (classes = 1000) => rvt(full, {stem: 32, stages: stagesOf[name], patch: 4, masked, classes})};
};

/** Published head counts, by the widths of the stages. They are not stored in a checkpoint. */
const publishedHeads: ReadonlyMap<string, readonly number[]> = new Map(
  Object.values(stagesOf).map((stages) => [dashed(stages.map((s) => s.dim)), stages.map((s) => s.heads)]),
);

/** The number of heads is in no tensor but a mask; the published widths have published head counts. */
function headsOf(dims: readonly number[], asked: readonly number[] | undefined): readonly number[] {
  const heads = asked ?? publishedHeads.get(dashed(dims));
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

function read(r: SizeReader, {heads: asked}: ReadOptions = {}): Architecture {
  const stages = [...Array(r.children('transformers.')).keys()];
  const dims = stages.map((s) => r.width(`transformers.${s}.blocks.0.norm1`));
  const heads = headsOf(dims, asked);
  const depths = stages.map((s) => r.children(`transformers.${s}.blocks.`));
  let blocks = 0;
  while (r.has(`transformers.0.blocks.${blocks}.attn.att_mask`)) blocks++;
  const head = readHead(r, 'head');
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
    classes: head.classes,
    head,
  };
  const plus = blocks > 0 ? '_plus' : '';
  const name = Object.entries(stagesOf).find(
    ([, own]) => dashed(own.map((s) => s.dim)) === dashed(dims) && dashed(own.map((s) => s.depth)) === dashed(depths),
  )?.[0];
  return rvt(name ? name + plus : `rvt${plus}-${dashed(dims)}`, size);
}

/** Four blocks at about a quarter of the depth each, and the last but one and the last of the first stage. */
function features(layers: readonly string[]): string[] {
  const depth = layers.filter((name) => /^transformers\.0\.blocks\.\d+\.add2$/.test(name)).length;
  const quarter = Math.floor(depth / 4);
  const blocks = [quarter - 1, 2 * quarter - 1, 3 * quarter - 1, depth - 2, depth - 1];
  return blocks.map((block) => `transformers.0.blocks.${block}.add2`);
}

export const rvtFamily = {
  name: 'rvt',
  title: 'RVT',
  signature: ['patch_embed.proj.0'],
  stem: {module: 'patch_embed.proj.0', width: 32},
  read,
  published: {
    rvt_tiny: published('rvt_tiny', 8_646_376),
    rvt_tiny_plus: published('rvt_tiny', 10_951_336, 10),
    rvt_small: published('rvt_small', 22_148_392),
    rvt_small_plus: published('rvt_small', 23_300_872, 5),
    rvt_base: published('rvt_base', 86_223_784),
    rvt_base_plus: published('rvt_base', 88_528_744, 5),
  },
  recipe: 'rvt',
  training: 'rvt',
  features,
  reviewKdWidth: () => 256, // the original's
  initialise: pytorchDefault, // the original's robust_models.py
} satisfies Family;
