/** Fresh weights of a plain network, drawn as its family says. The same seed gives the same bits everywhere. */
import {type Random, random} from '../../core/random.js';
import {elementCount, float32, int64, type Shape, type Tensor} from '../../core/tensor.js';
import type {Family} from '../../models/families/family.js';
import {familyOf} from '../../models/families/index.js';
import type {Distribution} from '../../models/families/initialisers.js';
import type {Architecture} from '../../models/layers.js';
import type {Module} from '../../reparam/modules.js';
import {keyOf, storedTensors} from '../../reparam/stored-tensors.js';

type Draw = (r: Random) => number;
const uniform =
  (bound: number): Draw =>
  (r) =>
    (2 * r.uniform() - 1) * bound;
const normal =
  (deviation: number): Draw =>
  (r) =>
    deviation * r.normal();

export function drawn(shape: Shape, seed: string, draw: Draw): Tensor<'float32'> {
  const r = random(seed);
  const data = new Float32Array(elementCount(shape));
  for (let i = 0; i < data.length; i++) data[i] = draw(r);
  return float32(shape, data);
}
export const repeated = (shape: Shape, value: number): Tensor<'float32'> =>
  float32(shape, new Float32Array(elementCount(shape)).fill(value));

/** Kaiming for uniform weights before a ReLU: the bound of OREPA's branches and of ReviewKD's convolutions (there without the 2). */
export const kaimingUniform = (fan: number, gain = 2): Draw => uniform(Math.sqrt((3 * gain) / fan));

const drawOf = (distribution: Distribution): Draw => {
  if ('uniform' in distribution) return uniform(distribution.uniform);
  return 'normal' in distribution ? normal(distribution.normal) : () => distribution.constant;
};

/** Weights 1, biases 0, means 0, variances 1. */
const normalisation = (leaf: string) => (leaf === 'weight' || leaf === 'running_var' ? 1 : 0);

function tensorOf(family: Family, m: Module, leaf: string, shape: Shape, seed: string): Tensor {
  if (leaf === 'num_batches_tracked') return int64([], [0]);
  if (m.kind === 'batchNorm' || m.kind === 'layerNorm') return repeated(shape, normalisation(leaf));
  if (m.kind === 'mask') return drawn(shape, seed, normal(0.02));
  return drawn(shape, seed, drawOf(family.initialise(m, leaf as 'weight' | 'bias')));
}

/** In PyTorch's order. */
export function freshWeights(arch: Architecture, modules: readonly Module[], seed: number): Map<string, Tensor> {
  const state = new Map<string, Tensor>();
  for (const m of modules) {
    for (const row of storedTensors(m, {ratio: 1, orepa: false})) {
      if (row.leaf === 'bias' && m.kind === 'conv' && !m.bias) continue;
      const key = keyOf(m, row);
      state.set(key, tensorOf(familyOf(arch), m, row.leaf, row.shape, `weights ${seed}/${key}`));
    }
  }
  return state;
}
