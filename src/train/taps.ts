/**
 * Where ReviewKD looks into a network: the map of every stage before its last activation, and the pooled vector. The original means
 * the same, but in its ResNets the activations work in place: what it compares is the maps after them.
 */
import type {Architecture, Layers} from '../models/layers.js';
import {type Activation, type LayerOps, Walk} from '../models/walk.js';
import type {LayerParameters} from '../reparam/parameters.js';

/** The output of a layer, with its size in the student. */
export interface Tap {
  readonly layer: string;
  readonly channels: number;
  /** Pixels a side. */
  readonly side: number;
}

type See<V> = (layer: string, value: V) => void;

/** The same layers; `see` is told what comes out of those that a tap may ask for. */
function watched<V>(layers: Layers<V>, see: See<V>): Layers<V> {
  const noted = (layer: string, value: V): V => {
    see(layer, value);
    return value;
  };
  const watching: Partial<Layers<V>> = {
    add: (a, b, name) => noted(name, layers.add(a, b, name)),
    relu: (x, name) => noted(name, layers.relu(x, name)),
    batchNorm: (x, name) => noted(name, layers.batchNorm(x, name)),
    averagePool: (x, name, window) => noted(name, layers.averagePool(x, name, window)),
    globalAveragePool: (x, name) => noted(name, layers.globalAveragePool(x, name)),
  };
  return Object.assign(Object.create(layers), watching);
}

/** Runs a network; `see` is told of every layer that can be tapped, with its output. */
export function runNetwork<T>(
  arch: Architecture,
  ops: LayerOps<T>,
  parameters: LayerParameters<T>,
  image: T,
  imageSize: number,
  see?: See<Activation<T>>,
): T {
  const walk = new Walk(arch, ops, parameters);
  return arch.network(see ? watched(walk, see) : walk, {value: image, shape: [3, imageSize, imageSize]}).value;
}

/** Last block of each stage: `layer1.1`, … In a stage of one block the original has no map before the activation. */
function residualTaps(layers: readonly string[], activated: boolean): string[] {
  const blocks = layers.flatMap((name) => /^layer(\d+)\.(\d+)\.add$/.exec(name)?.slice(1).map(Number) ?? []);
  const lastOf = new Map<number, number>();
  for (let i = 0; i < blocks.length; i += 2) lastOf.set(blocks[i]!, blocks[i + 1]!);
  const stages = [...lastOf].map(([stage, block]) => `layer${stage}.${block}.${block > 0 && !activated ? 'add' : 'relu'}`);
  return [...stages, 'avgpool'];
}

/** Four blocks at about a quarter of the depth each, and the last but one and the last of the first stage. */
function transformerTaps(layers: readonly string[]): string[] {
  const depth = layers.filter((name) => /^transformers\.0\.blocks\.\d+\.add2$/.test(name)).length;
  const quarter = Math.floor(depth / 4);
  const blocks = [quarter - 1, 2 * quarter - 1, 3 * quarter - 1, depth - 2, depth - 1];
  return blocks.map((block) => `transformers.0.blocks.${block}.add2`);
}

const tapsOfFamily: Readonly<Record<Architecture['family'], (layers: readonly string[], activated: boolean) => string[]>> = {
  resnet: residualTaps,
  'cifar-resnet': residualTaps,
  mobilenet: () => ['model.3.4', 'model.5.4', 'model.11.4', 'model.13.4', 'model.14'],
  rvt: transformerTaps,
};

/** [C, H, W] of a map, [T, C] of tokens in a square. */
const sizeOf = (shape: readonly number[]): Omit<Tap, 'layer'> =>
  shape.length === 3 ? {channels: shape[0]!, side: shape[1]!} : {channels: shape[1]!, side: Math.round(Math.sqrt(shape[0]!))};

/** The taps of a network, shallow to deep. `activated`: after the activations. */
export function tapsOf(arch: Architecture, imageSize: number, activated: boolean): Tap[] {
  const shapes = new Map<string, readonly number[]>();
  const nothing = new Proxy({} as LayerOps<null>, {get: () => () => null});
  const noNumbers = new Proxy({widening: 1} as LayerParameters<null>, {
    get: (target, name) => (name === 'widening' ? target.widening : () => ({})),
  });
  runNetwork(arch, nothing, noNumbers, null, imageSize, (layer, {shape}) => shapes.set(layer, shape));
  return tapsOfFamily[arch.family]([...shapes.keys()], activated).map((layer) => {
    const shape = shapes.get(layer);
    if (!shape) throw new Error(`${arch.name} has no layer '${layer}' to take features from`);
    return {layer, ...sizeOf(shape)};
  });
}
