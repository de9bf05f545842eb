/** The kernels of layers, as rows of numbers: one for each output channel. */
import {type Tensor, toFloat32} from '../../core/tensor.js';
import {constantTensor} from '../../onnx/constant-tensor.js';
import type {Node, Value} from '../../onnx/graph.js';
import type {LayerValue} from './layer-values.js';

/** What is stored; undefined for what is computed. */
export function storedTensor(value: Value | undefined): Tensor | undefined {
  if (value?.initializer) return value.initializer.read();
  return value?.producer?.opType === 'Constant' ? constantTensor(value.producer.attributes) : undefined;
}

/** Weights of a layer as rows. */
export interface LayerKernel {
  readonly channels: number;
  /** Numbers of one output channel. */
  readonly width: number;
  row(channel: number): Float32Array;
}

/** Undefined where the weights have another form. */
export function kernelFrom(head: Node, weights: Tensor): LayerKernel | undefined {
  const {shape, data} = toFloat32(weights);
  const channelsFirst = head.opType === 'Conv' || head.opType === 'FusedConv' || head.number('transB', 0) === 1;
  if (shape.length < 2 || head.opType === 'ConvTranspose' || (!channelsFirst && shape.length !== 2)) return undefined;
  const channels = channelsFirst ? shape[0]! : shape[1]!;
  const width = data.length / channels;
  const row = channelsFirst
    ? (c: number) => data.subarray(c * width, (c + 1) * width)
    : (c: number) => Float32Array.from({length: width}, (_, i) => data[i * channels + c]!);
  return {channels, width, row};
}

/** Of a chain whose weights are stored. */
export function kernelOf({chain}: LayerValue): LayerKernel | undefined {
  const weights = chain && storedTensor(chain.head.inputs[1]);
  return weights && kernelFrom(chain.head, weights);
}

const ROWS = 32;
/** Fewer numbers are often alike by chance. */
const MIN_WIDTH = 3;

/** |cos| of the angle between two rows: a folded batch norm scales each output channel, which leaves it 1. */
export function cosine(x: Float32Array, y: Float32Array): number {
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    xx += x[i]! * x[i]!;
    yy += y[i]! * y[i]!;
    xy += x[i]! * y[i]!;
  }
  return xx === 0 && yy === 0 ? 1 : Math.abs(xy) / Math.sqrt(xx * yy) || 0;
}

/** The mean over some output channels; 0 for kernels of other sizes. */
export function likeness(a: LayerKernel, b: LayerKernel): number {
  if (a.channels !== b.channels || a.width !== b.width || a.width < MIN_WIDTH) return 0;
  const rows = Math.min(ROWS, a.channels);
  let sum = 0;
  for (let i = 0; i < rows; i++) {
    const c = Math.floor((i * a.channels) / rows);
    sum += cosine(a.row(c), b.row(c));
  }
  return sum / rows;
}

/** Kernels that are the same but for the scale of their channels. */
export const SAME_KERNEL = 0.999;
