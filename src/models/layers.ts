/**
 * The vocabulary in which a network is written, once. A network is a function over these layers; it knows PyTorch's own
 * state-dict names and the student's widths, and nothing of GPD, OREPA, ONNX or TensorFlow.js.
 */

export interface ConvOptions {
  out: number;
  kernel: number;
  stride?: number;
  pad?: number;
  groups?: number;
  bias?: boolean;
}
export interface LinearOptions {
  out: number;
  bias?: boolean;
  pointwise?: boolean;
}
export interface Window {
  kernel: number;
  stride: number;
  pad: number;
}

/** `V` is an activation: a map [N, C, H, W], tokens [N, T, C], or features [N, C]. Names are state-dict prefixes. */
export interface Layers<V> {
  channels(x: V): number;
  conv(x: V, name: string, options: ConvOptions): V;
  batchNorm(x: V, name: string): V;
  relu(x: V, name: string): V;
  /** min(max(x, 0), 6). */
  relu6(x: V, name: string): V;
  /** The exact form, with erf. */
  gelu(x: V, name: string): V;
  maxPool(x: V, name: string, window: Window): V;
  averagePool(x: V, name: string, window: Window): V;
  /** Map to a map of one pixel. */
  globalAveragePool(x: V, name: string): V;
  /** A map of one pixel to features. */
  flatten(x: V, name: string): V;
  /** Every stride-th row and column, and zero channels on both sides until there are `out`: He et al., option A. */
  subsampleAndPad(x: V, name: string, options: {stride: number; out: number}): V;
  add(a: V, b: V, name: string): V;
  /** With a bias, unless that is false. `pointwise`: stored as a 1x1 convolution. */
  linear(x: V, name: string, options: LinearOptions): V;
  layerNorm(x: V, name: string, options: {eps: number}): V;
  /** softmax(q·kᵀ/√headSize [· sigmoid(mask)])·v with q|k|v from `<name>.qkv`, then `<name>.proj`. */
  attention(x: V, name: string, options: {heads: number; maskTokens?: number}): V;
  /** Map to tokens, row by row. */
  tokens(x: V, name: string): V;
  /** Tokens back to a square map. */
  map(x: V, name: string): V;
  /** Tokens to features: their mean. */
  meanOfTokens(x: V, name: string): V;
}

export type Network = <V>(layers: Layers<V>, image: V) => V;

/** Something that no tensor says, and how it was decided. */
export interface Convention {
  readonly what: string;
  readonly value: string;
  readonly from: string;
}

/** A network with what its description does not say. */
export interface Architecture {
  /** As users call it: `resnet18`, `mobilenet`, `rvt_tiny`, or a description of the sizes when they match no published model. */
  readonly name: string;
  /** Its family's name: `families/index.ts` is the table. */
  readonly family: string;
  readonly network: Network;
  /** The first layer keeps its inputs, the last its outputs, when GPD widens the network. */
  readonly first: string;
  readonly last: string;
  /** The order of the top-level names in the state dict, where it is not the order of computation. */
  readonly topLevel?: readonly string[];
  /** Batch norms that were merged into the convolutions before them: they compute nothing. */
  readonly fused?: ReadonlySet<string>;
  /** Channels of the images. Default: three colours. */
  readonly channels?: number | undefined;
  /** What was decided by convention. */
  readonly conventions?: readonly Convention[] | undefined;
  readonly classes: number;
  /** Pixels a side that the network was made for. */
  readonly imageSize: number;
  /** Where the network normalises its images itself, in its first layer: they are given between 0 and 1. */
  readonly normalisation?: {readonly mean: readonly number[]; readonly std: readonly number[]};
  /** Why an image size does not fit, or undefined when it does. */
  readonly refuses: (imageSize: number) => string | undefined;
}

/** Channels of the images that a network takes. */
export const channelsOf = ({channels = 3}: Pick<Architecture, 'channels'>): number => channels;

export const BATCH_NORM_EPS = 1e-5; // PyTorch's default, never changed by the original
