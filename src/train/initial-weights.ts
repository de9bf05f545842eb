/** Fresh weights of a plain network, as its usual PyTorch code draws them: the table of families. The same seed gives the same bits everywhere. */
import {type Random, random} from '../core/random.js';
import {elementCount, float32, int64, type Shape, type Tensor} from '../core/tensor.js';
import type {Architecture} from '../models/layers.js';
import type {ConvModule, LinearModule, Module} from '../reparam/modules.js';
import {keyOf, storedTensors} from '../reparam/stored-tensors.js';

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
export const constant = (shape: Shape, value: number): Tensor<'float32'> =>
  float32(shape, new Float32Array(elementCount(shape)).fill(value));

type Weighted = ConvModule | LinearModule;
const areaOf = (m: Weighted) => (m.kind === 'conv' ? m.kernel[0] * m.kernel[1] : 1);
const fanIn = (m: Weighted) => (m.in / (m.kind === 'conv' ? m.groups : 1)) * areaOf(m);
const fanOut = (m: Weighted) => m.out * areaOf(m);

/** nn.Conv2d and nn.Linear as they are: weights and biases uniform within 1/√fan. */
const pytorchDefault = (m: Weighted) => uniform(1 / Math.sqrt(fanIn(m)));
/** Kaiming for uniform weights before a ReLU: the bound of OREPA's branches and of ReviewKD's convolutions (there without the 2). */
export const kaimingUniform = (fan: number, gain = 2): Draw => uniform(Math.sqrt((3 * gain) / fan));

/** Biases have PyTorch's default in every family. */
const weights: Readonly<Record<Architecture['family'], (m: Weighted) => Draw>> = {
  resnet: (m) => (m.kind === 'conv' ? normal(Math.sqrt(2 / fanOut(m))) : pytorchDefault(m)), // torchvision
  'cifar-resnet': (m) => normal(Math.sqrt(2 / fanIn(m))), // github.com/akamaster/pytorch_resnet_cifar10
  mobilenet: pytorchDefault, // the original's models/mobilenet.py
  rvt: pytorchDefault, // the original's robust_models.py
};

/** Weights 1, biases 0, means 0, variances 1. */
const normalisation = (leaf: string) => (leaf === 'weight' || leaf === 'running_var' ? 1 : 0);

function tensorOf(family: Architecture['family'], m: Module, leaf: string, shape: Shape, seed: string): Tensor {
  if (leaf === 'num_batches_tracked') return int64([], [0]);
  if (m.kind === 'batchNorm' || m.kind === 'layerNorm') return constant(shape, normalisation(leaf));
  if (m.kind === 'mask') return drawn(shape, seed, normal(0.02));
  return drawn(shape, seed, leaf === 'bias' ? pytorchDefault(m) : weights[family](m));
}

/** In PyTorch's order. */
export function freshWeights(arch: Architecture, modules: readonly Module[], seed: number): Map<string, Tensor> {
  const state = new Map<string, Tensor>();
  for (const m of modules) {
    for (const row of storedTensors(m, {ratio: 1, orepa: false})) {
      if (row.leaf === 'bias' && m.kind === 'conv' && !m.bias) continue;
      const key = keyOf(m, row);
      state.set(key, tensorOf(arch.family, m, row.leaf, row.shape, `weights ${seed}/${key}`));
    }
  }
  return state;
}
