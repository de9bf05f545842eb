/**
 * Images made larger or smaller. Along each dimension that is a matrix [new, old] with one or two numbers in a row; its gradient is
 * the matrix transposed. ONNX's Resize has no gradient and rounds differently.
 */
import type {Value} from '../../onnx/graph.js';
import {float32Only, type KernelEntry} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import type {LazyValue} from '../lowering/value.js';

interface ResizeAttributes {
  alignCorners: boolean;
  halfPixelCenters: boolean;
}
/** Numbers of the old row that make up one of the new: [index, share]. */
type Mixture = [number, number][];
type Interpolation = (at: number, scale: number, old: number, attrs: ResizeAttributes) => Mixture;

/** As the cpu kernels of the same name. */
const nearest: Interpolation = (at, scale, old, {alignCorners, halfPixelCenters}) => {
  const source = scale * (halfPixelCenters ? at + 0.5 : at);
  return [[Math.min(old - 1, alignCorners ? Math.round(source) : Math.floor(source)), 1]];
};
const bilinear: Interpolation = (at, scale, old, {halfPixelCenters}) => {
  const source = halfPixelCenters ? scale * (at + 0.5) - 0.5 : scale * at;
  const low = Math.max(0, Math.floor(source));
  const share = source - low;
  return [
    [low, 1 - share],
    [Math.min(old - 1, Math.ceil(source)), share],
  ];
};

function mixtures(mix: Interpolation, old: number, size: number, attrs: ResizeAttributes): Mixture[] {
  const inset = attrs.alignCorners && size > 1 ? 1 : 0;
  const scale = (old - inset) / (size - inset);
  return Array.from({length: size}, (_, at) => mix(at, scale, old, attrs));
}

/** [size, old], or its transpose. */
function matrix(g: Lowering, rows: readonly Mixture[], old: number, transposed: boolean): Value {
  const numbers = new Array<number>(rows.length * old).fill(0);
  for (const [at, row] of rows.entries())
    for (const [index, share] of row) numbers[transposed ? index * rows.length + at : at * old + index]! += share;
  return g.matrix(transposed ? [old, rows.length] : [rows.length, old], numbers);
}

/** x [N, H, W, C] times one matrix along H and one along W. */
function alongBoth(g: Lowering, x: LazyValue, rows: Value, columns: Value, [n, h, w, c]: readonly number[]): Value {
  const width = x.shape[2]!;
  const resized = g.op('MatMul', [rows, g.reshape(g.plain(x), [n!, x.shape[1]!, width * c!])]); // [N, H′, W·C]
  return g.reshape(g.op('MatMul', [columns, g.reshape(resized, [n! * h!, width, c!])]), [n!, h!, w!, c!]);
}

const resize = (mix: Interpolation): KernelEntry => ({
  inputs: ['images'],
  infer: ([x], {size}: {size: [number, number]}) => [{dtype: 'float32', shape: [x!.shape[0]!, ...size, x!.shape[3]!]}],
  refuses: float32Only,
  lower(g, [x], attrs, [out]) {
    const [rows, columns] = [1, 2].map((d) =>
      matrix(g, mixtures(mix, x!.shape[d]!, out!.shape[d]!, attrs), x!.shape[d]!, false),
    );
    g.define(out!, alongBoth(g, x!, rows!, columns!, out!.shape));
  },
});

const resizeGradient = (mix: Interpolation): KernelEntry => ({
  inputs: ['dy', 'images'],
  infer: ([, images]) => [{dtype: 'float32', shape: images!.shape}],
  refuses: (inputs, {halfPixelCenters}: ResizeAttributes) =>
    float32Only(inputs) ?? (halfPixelCenters ? 'centres of pixels: TensorFlow.js gives a gradient without them' : undefined),
  lower(g, [dy], attrs, [out]) {
    const [rows, columns] = [1, 2].map((d) =>
      matrix(g, mixtures(mix, out!.shape[d]!, dy!.shape[d]!, attrs), out!.shape[d]!, true),
    );
    g.define(out!, alongBoth(g, dy!, rows!, columns!, out!.shape));
  },
});

export const resizeKernels: Readonly<Record<string, KernelEntry>> = {
  ResizeBilinear: resize(bilinear),
  ResizeBilinearGrad: resizeGradient(bilinear),
  ResizeNearestNeighbor: resize(nearest),
  ResizeNearestNeighborGrad: resizeGradient(nearest),
};
