/**
 * The identities that make a kernel from its parts, once, against `TensorOps`.
 * OREPA: Hu et al., "Online Convolutional Re-parameterization", CVPR 2022, with the six branches that GPD trains.
 */
import {sum, type TensorOps} from './tensor-ops.js';

/** A stored tensor that counts times a factor. */
export interface Scaled<T> {
  tensor: T;
  factor: number;
}
/** The parts of an OREPA convolution. O outputs, I inputs, k = 3, Ig = I / groups. */
export interface OrepaBranches<T> {
  origin: T; // [O, Ig, 3, 3]
  avgConv: T; // [O, Ig, 1, 1]
  avgKernel: T; // [3, 3]
  priorConv: T; // [O, Ig, 1, 1]
  prior: T; // [O, 3, 3]
  identityConv: T; // [I, Ig, 1, 1]
  identity: T; // [I, Ig, 1, 1]
  sequentialConv: T; // [O, Ig, 3, 3]
  plain: T; // [O, Ig, 3, 3]
  separableDepthwise: T; // [8 I, 1, 3, 3]
  separablePointwise: T; // [O, 8 I / groups, 1, 1]
  scales: T; // [6, O]
}
export interface ConvSize {
  out: number;
  in: number;
  groups: number;
  kernel: readonly [number, number];
}

/** Every input channel of the separable branch has this many depthwise kernels. */
export const SEPARABLE_EXPANSION = 8;

/**
 * Six branches to one kernel [O, Ig, 3, 3]:
 *
 *     K = v₀·origin + v₁·avgConv·avgKernel + v₂·priorConv·prior + v₃·(sequentialConv ∘ (identityConv + identity))
 *       + v₄·plain + v₅·(separablePointwise ∘ separableDepthwise)
 *
 * with vₖ = scales[k], one number per output channel. Dense (groups = 1) and depthwise (groups = I = O) convolutions only.
 * A branch is linear in each of its tensors, so their factors and its vₖ are applied where the fewest numbers are.
 */
export function mergeOrepaBranches<T>(ops: TensorOps<T>, b: OrepaBranches<Scaled<T>>, size: ConvSize): T {
  const {out: O, kernel} = size;
  const depthwise = size.groups > 1;
  if (depthwise && !(size.groups === size.in && size.in === O)) throw new Error('OREPA convolutions are dense or depthwise');
  if (b.identityConv.factor !== b.identity.factor)
    throw new Error('the two addends of the identity convolution are scaled alike');
  const rows = ops.unstack(b.scales.tensor, 6); // each [1, O]
  const scale = (k: number, ...parts: Scaled<T>[]) => {
    const factor = parts.reduce((product, part) => product * part.factor, b.scales.factor);
    const row = ops.reshape(rows[k]!, [O, 1, 1, 1]);
    return factor === 1 ? row : ops.mul(row, ops.scalar(factor));
  };
  const identity = ops.add(b.identityConv.tensor, b.identity.tensor); // [I, Ig, 1, 1]
  const priorKernel = ops.reshape(b.prior.tensor, [O, 1, ...kernel]);
  const {sequential, separable} = depthwise
    ? depthwiseProducts(ops, b, identity, O, kernel)
    : denseProducts(ops, b, identity, size);
  return sum(ops, [
    ops.mul(scale(0, b.origin), b.origin.tensor),
    ops.mul(ops.mul(scale(1, b.avgConv, b.avgKernel), b.avgConv.tensor), b.avgKernel.tensor),
    ops.mul(ops.mul(scale(2, b.priorConv, b.prior), b.priorConv.tensor), priorKernel),
    ops.mul(scale(3, b.sequentialConv, b.identity), sequential),
    ops.mul(scale(4, b.plain), b.plain.tensor),
    ops.mul(scale(5, b.separablePointwise, b.separableDepthwise), separable),
  ]); // each [O, Ig, 3, 3]
}

interface Products<T> {
  sequential: T;
  separable: T;
}

/** sequential[o,i,h,w] = Σₜ conv[o,t,h,w]·identity[t,i]; separable[o,i,h,w] = Σₛ pw[o,8i+s]·dw[8i+s,h,w]. Factors are left out. */
function denseProducts<T>(
  ops: TensorOps<T>,
  b: OrepaBranches<Scaled<T>>,
  identity: T,
  {out: O, in: I, kernel}: ConvSize,
): Products<T> {
  const area = kernel[0] * kernel[1];
  const second = ops.transpose(ops.reshape(b.sequentialConv.tensor, [O, I, area]), [0, 2, 1]); // [o, hw, t]
  const sequential = ops.transpose(ops.matmul(second, ops.reshape(identity, [I, I])), [0, 2, 1]); // [o, i, hw]
  const pointwise = ops.transpose(ops.reshape(b.separablePointwise.tensor, [O, I, SEPARABLE_EXPANSION]), [1, 0, 2]); // [i, o, s]
  const depthwise = ops.reshape(b.separableDepthwise.tensor, [I, SEPARABLE_EXPANSION, area]); // [i, s, hw]
  const separable = ops.transpose(ops.matmul(pointwise, depthwise), [1, 0, 2]); // [o, i, hw]
  return {sequential: ops.reshape(sequential, [O, I, ...kernel]), separable: ops.reshape(separable, [O, I, ...kernel])};
}

/** The same per channel: one input each. */
function depthwiseProducts<T>(
  ops: TensorOps<T>,
  b: OrepaBranches<Scaled<T>>,
  identity: T,
  C: number,
  kernel: readonly [number, number],
): Products<T> {
  const pointwise = ops.reshape(b.separablePointwise.tensor, [C, 1, SEPARABLE_EXPANSION]);
  const depthwise = ops.reshape(b.separableDepthwise.tensor, [C, SEPARABLE_EXPANSION, kernel[0] * kernel[1]]);
  return {
    sequential: ops.mul(identity, b.sequentialConv.tensor),
    separable: ops.reshape(ops.matmul(pointwise, depthwise), [C, 1, ...kernel]),
  };
}

export interface Kernel<T> {
  weight: T; // [O, I/g, kH, kW]
  bias?: T; // [O]
}
export interface BatchNormStatistics<T> {
  gamma: T; // [C]
  beta: T; // [C]
  mean: T; // [C]
  variance: T; // [C]
  eps: number;
}

/** BN(W∗x + b) = (W·s)∗x + (b − μ)·s + β with s = γ/√(σ² + ε), one s per output channel. */
export function fuseBatchNorm<T>(
  ops: TensorOps<T>,
  {weight, bias}: Kernel<T>,
  bn: BatchNormStatistics<T>,
  out: number,
): Required<Kernel<T>> {
  const s = ops.div(bn.gamma, ops.sqrt(ops.add(bn.variance, ops.scalar(bn.eps)))); // [O]
  const centred = bias === undefined ? ops.sub(ops.scalar(0), bn.mean) : ops.sub(bias, bn.mean);
  return {weight: ops.mul(weight, ops.reshape(s, [out, 1, 1, 1])), bias: ops.add(ops.mul(centred, s), bn.beta)};
}
