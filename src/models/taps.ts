/**
 * Where ReviewKD looks into a network: the map of every stage before its last activation, and the pooled vector. The original means
 * the same, but in its ResNets the activations work in place: what it compares is the maps after them.
 */

import type {LayerParameters} from '../reparam/parameters.js';
import {familyOf} from './families/index.js';
import {type Architecture, channelsOf, type Layers} from './layers.js';
import {type Activation, type LayerOps, Walk} from './walk.js';

/** The output of a layer, with its size in the student. */
export interface Tap {
  readonly layer: string;
  readonly channels: number;
  /** Pixels a side. */
  readonly side: number;
}

/** As messages name them: pixels a side, shallow to deep. */
export const sidesOf = (taps: readonly Tap[]): string => taps.map(({side}) => side).join(', ');

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
  return arch.network(see ? watched(walk, see) : walk, {value: image, shape: [channelsOf(arch), imageSize, imageSize]}).value;
}

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
  return familyOf(arch)
    .features([...shapes.keys()], activated)
    .map((layer) => {
      const shape = shapes.get(layer);
      if (!shape) throw new Error(`${arch.name} has no layer '${layer}' to take features from`);
      return {layer, ...sizeOf(shape)};
    });
}
