/**
 * What a call costs in TensorFlow.js's own cpu code, from its shapes alone: the same program decides the same way on every machine and in every run.
 * Measured on one core; a factor of two either way changes little.
 */

import {slice_util} from '@tensorflow/tfjs-core';
import {elementCount} from '../../core/tensor.js';

type Shape = readonly number[];
// biome-ignore lint/suspicious/noExplicitAny: attributes are the kernel's own, as TensorFlow.js documents them
type Attributes = any;

/** Nanoseconds for one number of the operands, where it is not 20 as for most elementwise kernels. */
const COPIED = 5;
const FILTER_GRADIENT = 150; // a product
const perNumber: Readonly<Record<string, number>> = {
  ...{Square: 3, Cast: 5, Concat: COPIED, Pack: COPIED, ArgMax: COPIED, ArgMin: COPIED, Max: COPIED, Min: COPIED},
  ...{Sum: 40, Mean: 40, Transpose: 50, Tile: 50, PadV2: 200, MirrorPad: 200, Reverse: 100, StridedSlice: 900},
  ...{Softmax: 400, LogSoftmax: 400, MaxPoolGrad: 600, AvgPoolGrad: 600, MaxPool: 25, AvgPool: 25},
  ...{ScatterNd: 100, Cumsum: 50, Cumprod: 50, LRN: 400, LRNGrad: 800, ResizeBilinear: 60, ResizeBilinearGrad: 200},
};

/** Products of a convolution: each pixel with the taps that reach it. */
const products = (pixels: Shape, channels: number, taps: Shape): number =>
  (elementCount(pixels) / channels) * elementCount(taps);
const channelsOf = (shape: Shape, {dataFormat}: Attributes): number => (dataFormat === 'NCHW' ? shape[1]! : shape.at(-1)!);

const convolution =
  (nanoseconds: number) =>
  ([x, filter]: readonly Shape[], attrs: Attributes): number => {
    const steps = [attrs.strides].flat() as number[];
    const fewer = steps.length === 1 ? steps[0]! ** 2 : elementCount(steps);
    return (nanoseconds * products(x!, channelsOf(x!, attrs), filter!)) / fewer;
  };
const inputGradient = ([dy, filter]: readonly Shape[], attrs: Attributes): number =>
  FILTER_GRADIENT * products(dy!, channelsOf(dy!, attrs), filter!);
const filterGradient = ([, dy]: readonly Shape[], attrs: Attributes): number =>
  FILTER_GRADIENT * products(dy!, channelsOf(dy!, attrs), attrs.filterShape);
const matrixProduct = ([a, b]: readonly Shape[], {transposeB}: Attributes): number =>
  5 * elementCount(a!) * b!.at(transposeB ? -2 : -1)!;

/** Kernels whose cost is not that of the numbers of their operands. */
const special: Readonly<Record<string, (shapes: readonly Shape[], attrs: Attributes) => number>> = {
  BatchMatMul: matrixProduct,
  _FusedMatMul: matrixProduct,
  Conv2D: convolution(6),
  FusedConv2D: convolution(6),
  Conv3D: convolution(10),
  DepthwiseConv2dNative: convolution(8),
  FusedDepthwiseConv2D: convolution(8),
  Conv2DBackpropInput: inputGradient,
  Conv3DBackpropInputV2: inputGradient,
  DepthwiseConv2dNativeBackpropInput: inputGradient,
  Conv2DBackpropFilter: filterGradient,
  Conv3DBackpropFilterV2: filterGradient,
  DepthwiseConv2dNativeBackpropFilter: filterGradient,
  Fill: (_, {shape}) => elementCount(shape),
  OnesLike: ([x]) => elementCount(x!),
  ZerosLike: ([x]) => elementCount(x!),
  OneHot: ([indices], {depth}) => COPIED * elementCount(indices!) * depth,
  GatherV2: ([x, indices], {axis = 0}) => (100 * elementCount(x!) * elementCount(indices!)) / x!.at(axis)!,
  GatherNd: ([x, indices]) => 100 * (elementCount(indices!) + elementCount(x!.slice(indices!.at(-1)))),
  UnsortedSegmentSum: ([x], {numSegments}) => 400 * elementCount(x!) * numSegments,
  Slice: ([x], {begin, size}) => {
    const [first, sizes] = slice_util.parseSliceParams({shape: [...x!]} as never, begin, size);
    return slice_util.isSliceContinous([...x!], first!, sizes!) ? 0 : 900 * elementCount(sizes!);
  },
  SplitV: ([x], {axis}) => (axis === 0 ? 0 : 900 * elementCount(x!)),
};

/** Nanoseconds that the loops of a kernel take, beside what any call costs. `shapes` has its operands in the order of its entry. */
export function workOf(kernel: string, shapes: readonly Shape[], attrs: object): number {
  const own = special[kernel]?.(shapes, attrs);
  if (own === undefined) return together(shapes) * (perNumber[kernel] ?? 20);
  return Number.isFinite(own) ? own : 0; // of nothing
}

/** Numbers of what the operands are together: they may repeat each other. */
function together(shapes: readonly Shape[]): number {
  const [first = [], ...others] = shapes;
  if (others.length === 0) return elementCount(first);
  const rank = Math.max(...shapes.map((shape) => shape.length));
  let numbers = 1;
  for (let d = 1; d <= rank; d++) numbers *= Math.max(...shapes.map((shape) => shape.at(-d) ?? 1));
  return numbers;
}
