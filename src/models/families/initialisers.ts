/** How PyTorch draws fresh weights, as plain data: the distributions that the families name. */
import type {ConvModule, LinearModule} from '../../reparam/modules.js';

/** Uniform within ±bound, normal with a standard deviation, or one value. */
export type Distribution = {readonly uniform: number} | {readonly normal: number} | {readonly constant: number};
export type Weighted = ConvModule | LinearModule;
/** The distribution of a layer's weight or bias. */
export type Initialiser = (m: Weighted, leaf: 'weight' | 'bias') => Distribution;

const areaOf = (m: Weighted) => (m.kind === 'conv' ? m.kernel[0] * m.kernel[1] : 1);
/** Inputs of one output; torch.nn.init's fan_in. */
export const fanIn = (m: Weighted): number => (m.in / (m.kind === 'conv' ? m.groups : 1)) * areaOf(m);
/** Outputs times the kernel's area, groups or not; torch.nn.init's fan_out. */
export const fanOut = (m: Weighted): number => m.out * areaOf(m);

/** nn.Conv2d and nn.Linear as they are: weights and biases uniform within 1/√fan_in. */
export const pytorchDefault: Initialiser = (m) => ({uniform: 1 / Math.sqrt(fanIn(m))});
/** Kaiming's for normal weights before a ReLU. */
export const kaimingNormal = (fan: number): Distribution => ({normal: Math.sqrt(2 / fan)});
