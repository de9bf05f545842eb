/** The geometry of convolutions and pools: what TensorFlow.js computes from its attributes, in the words of ONNX. */
import {backend_util} from '@tensorflow/tfjs-core';
import type {Attributes} from '../../lowering/kernel-entry.js';
import type {Permutation} from '../../lowering/value.js';

/** Along one dimension of the image. */
export interface Span {
  size: number;
  kernel: number;
  stride: number;
  dilation: number;
  /** Zeros before the image. */
  before: number;
  out: number;
}

export interface Windows {
  spans: readonly [Span, Span];
  /** Physical order [N, C, H, W] of a tensor of images. */
  perm: Permutation;
  outShape: number[];
}

type Info = backend_util.Conv2DInfo;
const NCHW_OF_NHWC = [0, 3, 1, 2];

export function convWindows(
  inShape: readonly number[],
  filterShape: readonly number[],
  attrs: Attributes,
  depthwise: boolean,
): Windows {
  const {strides, pad, dilations = 1, dimRoundingMode, dataFormat = 'NHWC'} = attrs;
  const [format, filter] = [
    backend_util.convertConv2DDataFormat(dataFormat),
    [...filterShape] as [number, number, number, number],
  ];
  const shape = [...inShape] as [number, number, number, number];
  return windows(
    backend_util.computeConv2DInfo(shape, filter, strides, dilations ?? 1, pad, dimRoundingMode, depthwise, format),
  );
}

export function poolWindows(inShape: readonly number[], attrs: Attributes): Windows {
  const {filterSize, strides, pad, dimRoundingMode} = attrs;
  const shape = [...inShape] as [number, number, number, number];
  return windows(backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode));
}

const windows = (info: Info): Windows => ({
  spans: [
    {
      size: info.inHeight,
      kernel: info.filterHeight,
      stride: info.strideHeight,
      dilation: info.dilationHeight,
      before: info.padInfo.top,
      out: info.outHeight,
    },
    {
      size: info.inWidth,
      kernel: info.filterWidth,
      stride: info.strideWidth,
      dilation: info.dilationWidth,
      before: info.padInfo.left,
      out: info.outWidth,
    },
  ],
  perm: info.dataFormat === 'channelsLast' ? NCHW_OF_NHWC : [0, 1, 2, 3],
  outShape: info.outShape,
});

/** How far the last window reaches beyond the image: negative where it ends before the image does. */
export const overhang = ({size, kernel, stride, dilation, before, out}: Span): number =>
  (out - 1) * stride + (kernel - 1) * dilation + 1 - size - before;

/** Padding after the image with which ONNX makes the same windows: those that reach out decide, a remainder is cut off. */
export const after = (span: Span): number => Math.max(0, overhang(span));

/**
 * Why ONNX cannot have these windows: TensorFlow.js takes the height for the width in a rounding rule, and can then leave out
 * whole windows.
 */
export function refusesWindows({spans}: Windows): string | undefined {
  const cut = spans.find((s) => overhang(s) <= -s.stride);
  if (cut) return `windows that leave out ${-overhang(cut)} numbers at the end with stride ${cut.stride}`;
  return spans.every((s) => Number.isInteger(s.before) && s.before >= 0 && s.out > 0) ? undefined : 'fractional padding';
}

export const pads = ([h, w]: Windows['spans']): number[] => [h.before, w.before, after(h), after(w)];
export const each = <K extends keyof Span>([h, w]: Windows['spans'], key: K): [Span[K], Span[K]] => [h[key], w[key]];

/**
 * The gradient of x for stride 1 is a convolution of dy with the filter turned by half a circle. Each side is padded by what the windows reach
 * minus the padding of the forward.
 */
export function turnedPads({spans}: Windows): number[] {
  const reach = spans.map((s) => (s.kernel - 1) * s.dilation);
  const before = spans.map((s, i) => reach[i]! - s.before);
  return [...before, ...spans.map((s, i) => s.size + reach[i]! - (s.out + before[i]!))];
}
export const canTurn = ({spans}: Windows): boolean =>
  spans.every(
    (s) =>
      s.stride === 1 &&
      s.before <= (s.kernel - 1) * s.dilation &&
      overhang(s) >= 0 &&
      overhang(s) <= (s.kernel - 1) * s.dilation,
  );
