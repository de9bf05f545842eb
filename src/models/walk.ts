/**
 * One walk over a network, for every interpreter: it tracks shapes, makes the list of layers with their sizes, asks
 * `LayerParameters` for the numbers of each, and leaves the arithmetic to `LayerOps`.
 */
import {elementCount} from '../core/tensor.js';
import type {BatchNormStatistics, Kernel} from '../reparam/algebra.js';
import type {ConvModule, LinearModule, Module} from '../reparam/modules.js';
import type {LayerParameters} from '../reparam/parameters.js';
import {
  type Architecture,
  BATCH_NORM_EPS,
  type ConvOptions,
  channelsOf,
  type Layers,
  type LinearOptions,
  type Window,
} from './layers.js';

export interface AttentionSize {
  tokens: number;
  headSize: number;
  heads: number;
  /** The qkv outputs are this many blocks of (q, k, v): r for the dynamic teacher, 1 for a student. */
  blocks: number;
  /** Factor of the scores before the softmax. */
  scale: number;
}

/** The arithmetic of one interpreter. Sizes are those of the tensors at hand: widened ones for a teacher. */
export interface LayerOps<T> {
  conv(x: T, kernel: Kernel<T>, m: ConvModule, groups: number): T;
  batchNorm(x: T, statistics: BatchNormStatistics<T>, name: string): T;
  relu(x: T, name: string): T;
  /** min(max(x, 0), 6 / scale): relu6(scale · x) / scale. */
  relu6(x: T, scale: number, name: string): T;
  /** gelu(scale · x) / scale. */
  gelu(x: T, scale: number, name: string): T;
  maxPool(x: T, window: Window, name: string): T;
  averagePool(x: T, window: Window, name: string): T;
  globalAveragePool(x: T, name: string): T;
  flatten(x: T, name: string): T;
  subsample(x: T, stride: number, name: string): T;
  /** Zero channels before and after each of `blocks` equal groups of channels. `shape` is [C, H, W] of x. */
  padChannels(x: T, pad: {before: number; after: number; blocks: number; shape: readonly number[]}, name: string): T;
  add(a: T, b: T, name: string): T;
  /** Over the last dimension of features or tokens. */
  linear(x: T, kernel: Kernel<T>, m: LinearModule, rank: 2 | 3): T;
  layerNorm(x: T, p: {gamma: T; beta: T; eps: number}, name: string): T;
  attention(qkv: T, size: AttentionSize, mask: T | undefined, name: string): T;
  tokens(x: T, shape: readonly [channels: number, tokens: number], name: string): T;
  map(x: T, shape: readonly [channels: number, height: number, width: number], name: string): T;
  meanOfTokens(x: T, name: string): T;
}

/** An activation with its shape in the student, without the batch: [C, H, W], [T, C] or [C]. */
export interface Activation<T> {
  value: T;
  shape: readonly number[];
}

/** A layer as the walk met it. Multiply-accumulates are the student's, for one image; `widens` says how often r multiplies them. */
export interface LayerRecord {
  module?: Module;
  macs: number;
  widens: 0 | 1 | 2;
}

/** Multiply-accumulates for one image at a ratio of widths: 1 for the student, r for the dynamic teacher. */
export const networkMacs = (records: readonly LayerRecord[], ratio: number): number =>
  records.reduce((n, {macs, widens}) => n + macs * ratio ** widens, 0);

/** Where a sliding window fits: floor((n + 2 pad − kernel) / stride) + 1. */
const slide = (n: number, {kernel, stride, pad}: Window) => Math.floor((n + 2 * pad - kernel) / stride) + 1;

export class Walk<T> implements Layers<Activation<T>> {
  readonly records: LayerRecord[] = [];
  private readonly widen: (n: number) => number;

  constructor(
    private readonly arch: Architecture,
    private readonly ops: LayerOps<T>,
    private readonly parameters: LayerParameters<T>,
  ) {
    this.widen = (n) => n * parameters.widening;
  }

  run(image: T, imageSize: number): T {
    return this.arch.network(this, {value: image, shape: [channelsOf(this.arch), imageSize, imageSize]}).value;
  }

  channels = (x: Activation<T>): number => (x.shape.length === 3 ? x.shape[0]! : x.shape.at(-1)!);

  conv(x: Activation<T>, name: string, options: ConvOptions): Activation<T> {
    const {out, kernel, stride = 1, pad = 0, groups = 1, bias = false} = options;
    const [channels, height, width] = x.shape as [number, number, number];
    const m: ConvModule = {
      kind: 'conv',
      name,
      in: channels,
      out,
      kernel: [kernel, kernel],
      stride,
      pad,
      groups,
      bias,
      ...this.widening(name),
    };
    const window = {kernel, stride, pad};
    const shape = [out, slide(height, window), slide(width, window)];
    this.record(m, elementCount(shape) * (channels / groups) * kernel * kernel);
    const actualGroups = groups > 1 ? this.widen(groups) : 1;
    return {value: this.ops.conv(x.value, this.parameters.conv(m), m, actualGroups), shape};
  }

  batchNorm(x: Activation<T>, name: string): Activation<T> {
    if (this.arch.fused?.has(name)) return x;
    const m = {kind: 'batchNorm', name, channels: this.channels(x), eps: BATCH_NORM_EPS} as const;
    this.record(m, 0);
    return {value: this.ops.batchNorm(x.value, this.parameters.batchNorm(m), name), shape: x.shape};
  }

  relu = (x: Activation<T>, name: string) => ({value: this.ops.relu(x.value, name), shape: x.shape});
  relu6 = (x: Activation<T>, name: string) => ({
    value: this.ops.relu6(x.value, this.parameters.widening, name),
    shape: x.shape,
  });
  gelu = (x: Activation<T>, name: string) => ({value: this.ops.gelu(x.value, this.parameters.widening, name), shape: x.shape});

  maxPool = (x: Activation<T>, name: string, window: Window) => ({
    value: this.ops.maxPool(x.value, window, name),
    shape: [x.shape[0]!, slide(x.shape[1]!, window), slide(x.shape[2]!, window)],
  });
  averagePool = (x: Activation<T>, name: string, window: Window) => ({
    value: this.ops.averagePool(x.value, window, name),
    shape: [x.shape[0]!, slide(x.shape[1]!, window), slide(x.shape[2]!, window)],
  });
  globalAveragePool = (x: Activation<T>, name: string) => ({
    value: this.ops.globalAveragePool(x.value, name),
    shape: [x.shape[0]!, 1, 1],
  });
  flatten = (x: Activation<T>, name: string) => ({value: this.ops.flatten(x.value, name), shape: [elementCount(x.shape)]});

  subsampleAndPad(x: Activation<T>, name: string, {stride, out}: {stride: number; out: number}): Activation<T> {
    const [channels, height, width] = x.shape as [number, number, number];
    const shape = [out, Math.ceil(height / stride), Math.ceil(width / stride)];
    const before = Math.floor((out - channels) / 2);
    const value = stride > 1 ? this.ops.subsample(x.value, stride, name) : x.value;
    const pad = {
      before,
      after: out - channels - before,
      blocks: this.parameters.widening,
      shape: [this.widen(channels), shape[1]!, shape[2]!],
    };
    return {value: this.ops.padChannels(value, pad, name), shape};
  }

  add = (a: Activation<T>, b: Activation<T>, name: string) => ({value: this.ops.add(a.value, b.value, name), shape: a.shape});

  linear(x: Activation<T>, name: string, {out, bias = true, pointwise = false}: LinearOptions): Activation<T> {
    const form = {...(!bias && {bias}), ...(pointwise && {pointwise})};
    const m: LinearModule = {kind: 'linear', name, in: this.channels(x), out, ...form, ...this.widening(name)};
    const shape = [...x.shape.slice(0, -1), out];
    this.record(m, elementCount(shape) * m.in);
    return {value: this.ops.linear(x.value, this.parameters.linear(m), m, x.shape.length === 1 ? 2 : 3), shape};
  }

  layerNorm(x: Activation<T>, name: string, {eps}: {eps: number}): Activation<T> {
    const m = {kind: 'layerNorm', name, channels: this.channels(x), eps} as const;
    this.record(m, 0);
    return {value: this.ops.layerNorm(x.value, this.parameters.layerNorm(m), name), shape: x.shape};
  }

  attention(x: Activation<T>, name: string, {heads, maskTokens}: {heads: number; maskTokens?: number}): Activation<T> {
    const [tokens, channels] = x.shape as [number, number];
    const mask = maskTokens === undefined ? undefined : this.mask(name, heads, maskTokens);
    const qkv = this.linear(x, `${name}.qkv`, {out: 3 * channels});
    const headSize = channels / heads;
    const blocks = this.parameters.widening;
    // The original multiplies q and k by r each: the scores of a teacher carry r².
    const size = {tokens, headSize, heads, blocks, scale: blocks ** 2 / Math.sqrt(headSize)};
    this.records.push({macs: 2 * tokens * tokens * channels, widens: 1}); // scores and values
    const attended = this.ops.attention(qkv.value, size, mask, name);
    return this.linear({value: attended, shape: x.shape}, `${name}.proj`, {out: channels});
  }

  tokens(x: Activation<T>, name: string): Activation<T> {
    const [channels, height, width] = x.shape as [number, number, number];
    const shape = [height * width, channels];
    return {value: this.ops.tokens(x.value, [this.widen(channels), height * width], name), shape};
  }

  map(x: Activation<T>, name: string): Activation<T> {
    const [tokens, channels] = x.shape as [number, number];
    const side = Math.round(Math.sqrt(tokens));
    return {value: this.ops.map(x.value, [this.widen(channels), side, side], name), shape: [channels, side, side]};
  }

  meanOfTokens = (x: Activation<T>, name: string) => ({value: this.ops.meanOfTokens(x.value, name), shape: [x.shape[1]!]});

  private mask(name: string, heads: number, tokens: number): T {
    const m = {kind: 'mask', name, heads, tokens} as const;
    this.record(m, 0);
    return this.parameters.mask(m);
  }

  private widening(name: string) {
    return {widensIn: name !== this.arch.first, widensOut: name !== this.arch.last};
  }

  private record(module: Module, macs: number): void {
    const sides = 'widensIn' in module ? Number(module.widensIn) + Number(module.widensOut) : 0;
    const widens = (module.kind === 'conv' && module.groups > 1 ? 1 : sides) as 0 | 1 | 2;
    this.records.push({module, macs, widens});
  }
}

export interface Manifest {
  modules: readonly Module[];
  records: readonly LayerRecord[];
}

/** The layers of a network, in the order of its state dict, without computing anything. */
export function manifestOf(arch: Architecture, imageSize = arch.imageSize): Manifest {
  const nothing = new Proxy({} as LayerOps<null>, {get: () => () => null});
  const noNumbers = {
    role: 'student',
    widening: 1,
    conv: () => ({}),
    linear: () => ({}),
    batchNorm: () => ({}),
    layerNorm: () => ({}),
  };
  const parameters = {...noNumbers, mask: () => null} as unknown as LayerParameters<null>;
  const walk = new Walk(arch, nothing, parameters);
  walk.run(null, imageSize);
  const modules = walk.records.flatMap((r) => r.module ?? []);
  const rank = ({name}: Module) => arch.topLevel?.indexOf(name.split('.')[0]!) ?? 0;
  return {modules: modules.sort((a, b) => rank(a) - rank(b)), records: walk.records};
}
