/** The identities, each against what it stands for: the branches or the batch norm run as they are, on random images. */
import fc from 'fast-check';
import {float64, type Shape} from '../../src/core/tensor.js';
import {
  type ConvSize,
  fuseBatchNorm,
  mergeOrepaBranches,
  type OrepaBranches,
  type Scaled,
  SEPARABLE_EXPANSION,
} from '../../src/reparam/algebra.js';
import {referenceOps} from '../../src/reparam/reference.js';
import {expectClose} from '../close.js';
import {convolve, perChannel, plus, randomTensor, randomVariance, streamOf, type T, times} from './naive.js';

const because = 'float64 sums of a few hundred products in another order';
const runs = {numRuns: 60, seed: 20260804};

/** Random parts with random factors; the addends of the identity share theirs, as they do in every checkpoint. */
function randomBranches(seed: number, {out: O, in: I, groups}: ConvSize): OrepaBranches<Scaled<T>> {
  const r = streamOf(seed);
  const perGroup = I / groups;
  const part = (factor: number, ...shape: number[]) => ({tensor: randomTensor(r, shape), factor});
  const factor = () => [1, 2, 3, 0.5][r.integer(4)]!;
  const shared = factor();
  return {
    origin: part(factor(), O, perGroup, 3, 3),
    avgConv: part(factor(), O, perGroup, 1, 1),
    avgKernel: part(factor(), 3, 3),
    priorConv: part(factor(), O, perGroup, 1, 1),
    prior: part(factor(), O, 3, 3),
    identityConv: part(shared, I, perGroup, 1, 1),
    identity: part(shared, I, perGroup, 1, 1),
    sequentialConv: part(factor(), O, perGroup, 3, 3),
    plain: part(factor(), O, perGroup, 3, 3),
    separableDepthwise: part(factor(), SEPARABLE_EXPANSION * I, 1, 3, 3),
    separablePointwise: part(factor(), O, (SEPARABLE_EXPANSION * I) / groups, 1, 1),
    scales: part(factor(), 6, O),
  };
}

const value = ({tensor, factor}: Scaled<T>): T => times(tensor, factor);
const reshape = (x: T, shape: Shape): T => float64(shape, x.data);
/** Every channel `count` times in succession. */
const repeated = (x: T, count: number): T => {
  const area = x.data.length / x.shape[0]!;
  const rows = Array.from({length: x.shape[0]! * count}, (_, c) => {
    const from = Math.floor(c / count) * area;
    return [...x.data.slice(from, from + area)];
  });
  return float64([x.shape[0]! * count, ...x.shape.slice(1)], rows.flat());
};

/** The six branches as six little networks on the image [I, H, W]; their sum and the bias. */
function runBranches(x: T, b: OrepaBranches<Scaled<T>>, bias: T, {out: O, in: I, groups}: ConvSize): T {
  const scales = value(b.scales);
  const row = (k: number) => scales.data.slice(k * O, (k + 1) * O);
  const wide = {pad: 1, groups};
  const point = {groups};
  const averageOfEach = float64([I, 1, 3, 3], Array.from({length: I}, () => [...value(b.avgKernel).data]).flat());
  const ownPrior = reshape(value(b.prior), [O, 1, 3, 3]);
  const between = convolve(x, plus(value(b.identityConv), value(b.identity)), undefined, point);
  const separated = convolve(repeated(x, SEPARABLE_EXPANSION), value(b.separableDepthwise), undefined, {
    pad: 1,
    groups: SEPARABLE_EXPANSION * I,
  });
  const branches = [
    convolve(x, value(b.origin), undefined, wide),
    convolve(convolve(x, averageOfEach, undefined, {pad: 1, groups: I}), value(b.avgConv), undefined, point),
    convolve(convolve(x, value(b.priorConv), undefined, point), ownPrior, undefined, {pad: 1, groups: O}),
    convolve(between, value(b.sequentialConv), undefined, wide),
    convolve(x, value(b.plain), undefined, wide),
    convolve(separated, value(b.separablePointwise), undefined, point),
  ];
  const sum = branches.map((y, k) => perChannel(y, row(k))).reduce(plus);
  const area = sum.data.length / O;
  return plus(
    sum,
    float64(
      sum.shape,
      sum.data.map((_, i) => bias.data[Math.floor(i / area)]!),
    ),
  );
}

function expectMerged(seed: number, size: ConvSize, height: number, width: number): void {
  const branches = randomBranches(seed, size);
  const r = streamOf(seed + 1);
  const [image, bias] = [randomTensor(r, [size.in, height, width]), randomTensor(r, [size.out])];
  const merged = convolve(image, mergeOrepaBranches(referenceOps, branches, size), bias, {pad: 1, groups: size.groups});
  expectClose(merged.data, runBranches(image, branches, bias, size).data, {rtol: 1e-13, because});
}

const seed = fc.nat(2 ** 20);
const channels = fc.integer({min: 1, max: 6});
const side = fc.integer({min: 1, max: 6}); // one pixel: everything is border

describe('six OREPA branches are one kernel', () => {
  test('dense', () =>
    fc.assert(
      fc.property(seed, channels, channels, side, side, (s, out, input, height, width) =>
        expectMerged(s, {out, in: input, groups: 1, kernel: [3, 3]}, height, width),
      ),
      runs,
    ));

  test('depthwise', () =>
    fc.assert(
      fc.property(seed, fc.integer({min: 2, max: 9}), side, side, (s, n, height, width) =>
        expectMerged(s, {out: n, in: n, groups: n, kernel: [3, 3]}, height, width),
      ),
      runs,
    ));

  test('in groups of several channels there is no such thing', () => {
    const size: ConvSize = {out: 4, in: 4, groups: 2, kernel: [3, 3]};
    expect(() => mergeOrepaBranches(referenceOps, randomBranches(0, size), size)).toThrow('dense or depthwise');
  });
  test('addends that are scaled apart are refused', () => {
    const size: ConvSize = {out: 2, in: 2, groups: 1, kernel: [3, 3]};
    const b = randomBranches(0, size);
    const apart = {...b, identity: {...b.identity, factor: b.identityConv.factor + 1}};
    expect(() => mergeOrepaBranches(referenceOps, apart, size)).toThrow('scaled alike');
  });
});

test('a convolution and its batch norm are one convolution', () => {
  const size = fc.record({
    seed,
    groups: fc.integer({min: 1, max: 4}),
    perGroup: fc.integer({min: 1, max: 3}),
    outPerGroup: fc.integer({min: 1, max: 3}),
    kernel: fc.constantFrom([1, 1], [3, 3], [7, 7], [1, 3], [4, 2]),
    stride: fc.integer({min: 1, max: 3}),
    pad: fc.integer({min: 0, max: 3}),
    bias: fc.boolean(),
    eps: fc.constantFrom(1e-5, 1e-5 / 4, 0.1),
  });
  fc.assert(
    fc.property(size, ({seed, groups, perGroup, outPerGroup, kernel, stride, pad, bias, eps}) => {
      const r = streamOf(seed);
      const out = groups * outPerGroup;
      const image = randomTensor(r, [groups * perGroup, 7 + r.integer(4), 7 + r.integer(4)]);
      const weight = randomTensor(r, [out, perGroup, ...kernel]);
      const own = bias ? randomTensor(r, [out]) : undefined;
      const [gamma, beta, mean] = [0, 1, 2].map(() => randomTensor(r, [out])) as [T, T, T];
      const bn = {gamma, beta, mean, variance: randomVariance(r, out), eps};
      const y = convolve(image, weight, own, {stride, pad, groups});
      const area = y.data.length / out;
      const normalised = y.data.map((v, i) => {
        const c = Math.floor(i / area);
        return ((v - mean.data[c]!) / Math.sqrt(bn.variance.data[c]! + eps)) * gamma.data[c]! + beta.data[c]!;
      });
      const fused = fuseBatchNorm(referenceOps, own ? {weight, bias: own} : {weight}, bn, out);
      const once = convolve(image, fused.weight, fused.bias, {stride, pad, groups});
      expectClose(once.data, normalised, {rtol: 1e-12, because: `${because}, amplified by 1/√variance`});
    }),
    {...runs, numRuns: 200},
  );
});
