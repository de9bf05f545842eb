/** Robust Vision Transformer, Mao et al., CVPR 2022, arXiv 2105.07926; keys of the original code (`PoolingTransformer`). */
import type {Architecture, Layers, Network} from './layers.js';

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
    return l.linear(x, 'head', {out: size.classes});
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
  last: 'head',
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
