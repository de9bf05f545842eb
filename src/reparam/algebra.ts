/**
 * The identities that make a kernel from its parts, once, against `TensorOps`.
 * OREPA: Hu et al., "Online Convolutional Re-parameterization", CVPR 2022, with the six branches that GPD trains.
 */
import {sum, type TensorOps} from './tensor-ops.js';

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
 */
export function mergeOrepaBranches<T>(ops: TensorOps<T>, b: OrepaBranches<T>, size: ConvSize): T {
  const {out: O, kernel} = size;
  const depthwise = size.groups > 1;
  if (depthwise && !(size.groups === size.in && size.in === O)) throw new Error('OREPA convolutions are dense or depthwise');
  const products = depthwise ? depthwiseProducts(ops, b, O, kernel) : denseProducts(ops, b, size);
  const branches = [
    b.origin,
    ops.mul(b.avgConv, b.avgKernel),
    ops.mul(b.priorConv, ops.reshape(b.prior, [O, 1, ...kernel])),
    products.sequential,
    b.plain,
    products.separable,
  ]; // each [O, Ig, 3, 3]
  const scales = ops.unstack(ops.reshape(b.scales, [branches.length, O, 1, 1, 1]), branches.length); // each [1, O, 1, 1, 1]
  const scaled = branches.map((branch, k) => ops.mul(scales[k]!, branch));
  return ops.reshape(sum(ops, scaled), [O, size.in / size.groups, ...kernel]);
}

/** sequential[o,i,h,w] = Σₜ conv[o,t,h,w]·(identityConv + identity)[t,i]; separable[o,i,h,w] = Σₛ pw[o,8i+s]·dw[8i+s,h,w]. */
function denseProducts<T>(ops: TensorOps<T>, b: OrepaBranches<T>, {out: O, in: I, kernel}: ConvSize) {
  const area = kernel[0] * kernel[1];
  const first = ops.reshape(ops.add(b.identityConv, b.identity), [I, I]); // [t, i]
  const second = ops.transpose(ops.reshape(b.sequentialConv, [O, I, area]), [0, 2, 1]); // [o, hw, t]
  const sequential = ops.transpose(ops.matmul(second, first), [0, 2, 1]); // [o, i, hw]
  const pointwise = ops.transpose(ops.reshape(b.separablePointwise, [O, I, SEPARABLE_EXPANSION]), [1, 0, 2]); // [i, o, s]
  const depthwise = ops.reshape(b.separableDepthwise, [I, SEPARABLE_EXPANSION, area]); // [i, s, hw]
  const separable = ops.transpose(ops.matmul(pointwise, depthwise), [1, 0, 2]); // [o, i, hw]
  return {sequential: ops.reshape(sequential, [O, I, ...kernel]), separable: ops.reshape(separable, [O, I, ...kernel])};
}

/** The same per channel: one input each. */
function depthwiseProducts<T>(ops: TensorOps<T>, b: OrepaBranches<T>, C: number, kernel: readonly [number, number]) {
  const pointwise = ops.reshape(b.separablePointwise, [C, 1, SEPARABLE_EXPANSION]);
  const depthwise = ops.reshape(b.separableDepthwise, [C, SEPARABLE_EXPANSION, kernel[0] * kernel[1]]);
  return {
    sequential: ops.mul(ops.add(b.identityConv, b.identity), b.sequentialConv),
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
