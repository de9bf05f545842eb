/**
 * Affine quantisation, as ONNX defines it: q = clamp(round(x/s) + z) with halves to even, and back x̂ = (q − z)·s. Activations have one
 * scale and zero point a tensor, weights one scale a channel and zero point 0, biases the scale of what they are added to.
 * Source: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html; Jacob et al. 2018, arXiv 1712.05877.
 */
import {type Tensor, tensor, toFloat64} from '../../core/tensor.js';

export type QuantisedType = 'uint8' | 'int8';
export interface QuantParameters {
  readonly dtype: QuantisedType;
  /** A float32 number: what is stored is what was computed with. */
  readonly scale: number;
  readonly zeroPoint: number;
}
export interface QuantRange {
  readonly low: number;
  readonly high: number;
}

/** The levels of a type. */
export const levels: Readonly<Record<QuantisedType, QuantRange>> = {
  uint8: {low: 0, high: 255},
  int8: {low: -128, high: 127},
};
/**
 * `asymmetric`: uint8 from the lowest to the highest value, which absorbs a ReLU. `symmetric`: int8 with zero point 0, for runtimes that
 * know nothing else (TensorRT).
 */
export type ActivationScheme = 'asymmetric' | 'symmetric';

/**
 * Weights keep to ±127: −128 has no opposite, and two products of int8 with int8 then sum without overflow in 16 bits. Two of uint8 with
 * int8 may not, which x86 processors with AVX2 or AVX-512 but without VNNI do (VPMADDUBSW): `reduced`, in 7 bits, they do: 2·255·64 < 2¹⁵.
 * https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#data-type-selection
 */
export const weightLevels = {full: 127, reduced: 63} as const;
export type WeightRange = keyof typeof weightLevels;
/** Smaller scales are those of dead channels. The product of two, a bias's scale, is still a normal float32 with a reciprocal. */
const MIN_SCALE = 2 ** -60;
/** A bias has this much room in int32, with a bit to spare for the sums it is added to. */
const MAX_BIAS_LEVEL = 2 ** 30;

/** Adding it leaves no room for fractions, and the processor rounds halves to even, as IEEE 754 and ONNX do; Math.round rounds them up. */
const NO_FRACTION = 1.5 * 2 ** 52;
/** For numbers up to 2⁵¹; larger ones have no fraction to speak of, and are clamped anyway. */
export const roundHalfEven = (x: number): number => x + NO_FRACTION - NO_FRACTION;
const clamp = (x: number, {low, high}: QuantRange): number => Math.min(high, Math.max(low, x));

/** Zero is always a level: padding and ReLU depend on it. */
export function affineOf(range: QuantRange, scheme: ActivationScheme): QuantParameters {
  const [low, high] = [Math.min(0, range.low), Math.max(0, range.high)];
  if (scheme === 'symmetric') {
    const scale = Math.max(-low, high) / levels.int8.high;
    return {dtype: 'int8', scale: usable(scale), zeroPoint: 0};
  }
  const scale = usable((high - low) / levels.uint8.high);
  return {dtype: 'uint8', scale, zeroPoint: clamp(roundHalfEven(-low / scale), levels.uint8)};
}
/** A range of nothing but zeros gets a scale all the same. */
const usable = (scale: number): number => (scale < MIN_SCALE ? 1 : Math.fround(scale));

/** What a number becomes: in float32 up to the division, as onnxruntime computes it. */
export const quantise = (x: number, {dtype, scale, zeroPoint}: QuantParameters): number =>
  clamp(roundHalfEven(Math.fround(Math.fround(x) / scale)) + zeroPoint, levels[dtype]);
export const dequantise = (q: number, {scale, zeroPoint}: QuantParameters): number => Math.fround((q - zeroPoint) * scale);

/** Values that survive: those between the lowest and the highest level. */
export const intervalOf = ({dtype, scale, zeroPoint}: QuantParameters): QuantRange => ({
  low: (levels[dtype].low - zeroPoint) * scale,
  high: (levels[dtype].high - zeroPoint) * scale,
});

export interface QuantisedWeight {
  readonly values: Tensor<'int8'>;
  /** [channels] */
  readonly scales: Tensor<'float32'>;
  /** The dimension of the channels. */
  readonly axis: number;
}

export interface WeightOptions {
  readonly inputScale: number;
  /** What is stored as int32 with the weight; undefined: nothing. */
  readonly bias?: ArrayLike<number> | undefined;
  /** Default full. */
  readonly range?: WeightRange | undefined;
}

/** Every element of a tensor with its index along an axis. */
export function forEachInChannel(
  shape: readonly number[],
  axis: number,
  visit: (index: number, channel: number) => void,
): void {
  const product = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);
  const [outer, inner, channels] = [product(shape.slice(0, axis)), product(shape.slice(axis + 1)), shape[axis]!];
  let index = 0;
  for (let o = 0; o < outer; o++)
    for (let c = 0; c < channels; c++) for (const end = index + inner; index < end; index++) visit(index, c);
}

/** Largest magnitude in each channel. */
export function channelMaxima({shape, data}: Tensor<'float64'>, axis: number): Float64Array {
  const maxima = new Float64Array(shape[axis]!);
  forEachInChannel(shape, axis, (i, c) => {
    maxima[c] = Math.max(maxima[c]!, Math.abs(data[i]!));
  });
  return maxima;
}

/**
 * One scale a channel, symmetric. A channel whose bias would not fit into int32 beside such small weights (they are dead, or nearly)
 * gets a scale in which it does: `bias` and the input's scale say so.
 */
export function quantiseWeight(weight: Tensor, axis: number, options: WeightOptions): QuantisedWeight {
  const {inputScale, bias, range = 'full'} = options;
  const w = toFloat64(weight);
  const level = weightLevels[range];
  const scales = channelMaxima(w, axis).map((maximum, c) => {
    const forBias = Math.abs(bias?.[c] ?? 0) / (MAX_BIAS_LEVEL * inputScale);
    return usable(Math.max(maximum / level, forBias));
  });
  const values = new Int8Array(w.data.length);
  forEachInChannel(w.shape, axis, (i, c) => {
    values[i] = clamp(roundHalfEven(w.data[i]! / scales[c]!), {low: -level, high: level});
  });
  return {values: tensor('int8', w.shape, values), scales: tensor('float32', [scales.length], Float32Array.from(scales)), axis};
}

export interface QuantisedBias {
  readonly values: Tensor<'int32'>;
  /** [channels]: input scale · weight scale, rounded to float32. */
  readonly scales: Tensor<'float32'>;
}

export function quantiseBias(bias: ArrayLike<number>, inputScale: number, weightScales: ArrayLike<number>): QuantisedBias {
  const scales = Float32Array.from(weightScales, (s) => s * inputScale);
  const values = Int32Array.from(bias, (b, c) => roundHalfEven(b / scales[c]!));
  const shape = [scales.length];
  return {values: tensor('int32', shape, values), scales: tensor('float32', shape, scales)};
}
