/**
 * Parameters one behind the other: what an optimiser does is the same for every number, so it does it to a few long tensors and not to hundreds of
 * short ones, and machines that average gradients exchange as few. A parameter is a part of such a tensor.
 */
import * as tf from '@tensorflow/tfjs-core';
import {GpdError} from '../../../core/error.js';
import {
  elementCount,
  float32,
  float64,
  formatShape,
  type Shape,
  sameShape,
  type Tensor,
  toFloat32,
} from '../../../core/tensor.js';
import {identity, isIdentity, toPlain} from '../../../tfjs/lowering/value.js';
import type {DecayGroup} from './decay-groups.js';
import type {NamedTensors} from './named-tensors.js';

/** Where one parameter lies. */
export interface Piece {
  readonly key: string;
  readonly offset: number;
  readonly size: number;
  readonly shape: Shape;
  /**
   * In which order its dimensions lie. Filters [O, I, H, W] lie as [H, W, I, O], the order in which their gradients come, so that nothing
   * large is transposed. Depthwise ones have one number a place, and stay.
   */
  readonly order: readonly number[];
}

/** Parameters that decay alike. */
export interface Flat {
  readonly weightDecay: number;
  readonly pieces: readonly Piece[];
  /** Behind the last piece come zeros, and stay. */
  readonly size: number;
}

/** Numbers of a flat tensor: while it is updated without a backend that can do so in place, a few tensors of this size exist beside it. */
const LARGEST = 1 << 23;
/** Long ones have a round size, which can be gone over in blocks. */
const ROUND = 1 << 17;

const orderOf = (shape: Shape): readonly number[] =>
  shape.length === 4 && shape[1]! > 1 ? [2, 3, 1, 0] : identity(shape.length);

/** A flat tensor for each group, or several. */
export function flatsOf(groups: readonly DecayGroup[], tensors: NamedTensors): Flat[] {
  return groups.flatMap(({weightDecay, keys}) => {
    const runs: Piece[][] = [];
    let offset = LARGEST;
    for (const key of keys) {
      const {shape} = tensors.get(key)!;
      const size = elementCount(shape);
      if (offset + size > LARGEST) {
        runs.push([]);
        offset = 0;
      }
      runs.at(-1)!.push({key, offset, size, shape, order: orderOf(shape)});
      offset += size;
    }
    return runs.map((pieces): Flat => ({weightDecay, pieces, size: roundedUp(pieces)}));
  });
}

function roundedUp(pieces: readonly Piece[]): number {
  const {offset, size} = pieces.at(-1)!;
  const end = offset + size;
  return end < ROUND ? end : Math.ceil(end / ROUND) * ROUND;
}

const inverse = (order: readonly number[]): number[] => order.map((_, d) => order.indexOf(d));

/** The parameter in a flat tensor. */
export function pieceOf(flat: tf.Tensor, {offset, size, shape, order}: Piece): tf.Tensor {
  const part = tf.reshape(
    tf.slice(flat, [offset], [size]),
    order.map((d) => shape[d]!),
  );
  return isIdentity(order) ? part : tf.transpose(part, inverse(order));
}

/** The flat tensor of what each piece has; zeros for those that have nothing. */
export function flatten({pieces, size}: Flat, of: (key: string) => tf.Tensor | undefined): tf.Tensor1D {
  const parts = pieces.map(({key, size, order}) => {
    const tensor = of(key);
    if (!tensor) return tf.zeros([size]);
    return tf.reshape(isIdentity(order) ? tensor : tf.transpose(tensor, [...order]), [size]);
  });
  const {offset, size: last} = pieces.at(-1)!;
  const rest = size - offset - last;
  const all = rest > 0 ? [...parts, tf.zeros([rest])] : parts;
  return (all.length === 1 ? all[0]! : tf.concat(all)) as tf.Tensor1D;
}

/** The numbers of a flat tensor. Throws STATE_MISMATCH where a parameter is missing or has another shape. */
export function joined({pieces, size}: Flat, tensors: NamedTensors): Tensor<'float32' | 'float64'> {
  const isDouble = pieces.some(({key}) => savedTensor(tensors, key).dtype === 'float64');
  const data = isDouble ? new Float64Array(size) : new Float32Array(size);
  for (const {key, offset, shape, order} of pieces) {
    const value = savedTensor(tensors, key);
    refuseOtherShape(key, shape, value.shape);
    const lying = order.map((d) => shape[d]!); // as a tensor of that shape, of which `value` is a transpose
    data.set(isIdentity(order) ? numbersOf(value) : toPlain(numbersOf(value), lying, inverse(order)), offset);
  }
  return isDouble ? float64([size], data) : float32([size], data);
}
const numbersOf = (t: Tensor) => (t.dtype === 'float64' ? (t.data as Float64Array) : toFloat32(t).data);

/** The parameters of a flat tensor, as copies. */
export const cut = ({pieces}: Flat, {data}: Tensor<'float32'>): [string, Tensor<'float32'>][] =>
  pieces.map(({key, offset, size, shape, order}) => {
    const part = data.subarray(offset, offset + size);
    return [key, float32(shape, isIdentity(order) ? part.slice() : (toPlain(part, shape, order) as Float32Array))];
  });

export function savedTensor(tensors: NamedTensors, key: string): Tensor {
  const value = tensors.get(key);
  if (!value) throw new GpdError('STATE_MISMATCH', `the saved state has no '${key}', which the run needs`, {at: key});
  return value;
}

export function refuseOtherShape(key: string, run: Shape, saved: Shape): void {
  if (sameShape(run, saved)) return;
  throw new GpdError('STATE_MISMATCH', `'${key}' is ${formatShape(saved)} in the saved state, ${formatShape(run)} in the run`, {
    at: key,
    hint: 'resume with the settings that the run was started with',
  });
}

/** Numbers that are added up one after the other, before the sums are. */
const ROW = 1 << 12;

/** √Σ g² over all flat tensors. */
export const globalNorm = (flats: readonly tf.Tensor[]): tf.Scalar =>
  tf.sqrt(tf.addN(flats.map((g) => tf.sum(sumsOfSquares(g))))) as tf.Scalar;

function sumsOfSquares(g: tf.Tensor): tf.Tensor {
  const rows = g.size % ROW === 0 ? g.size / ROW : 1;
  return tf.sum(tf.square(tf.reshape(g, [rows, g.size / rows])), 1);
}
