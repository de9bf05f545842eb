/** int8 as two precisions: static, from real images, and dynamic, for matrix products alone. */
import {GpdError} from '../core/error.js';
import type {Model} from '../onnx/graph.js';
import type {Int8Options, Precise, Precision, PrecisionContext} from './precision.js';
import {quantiseDynamically} from './quantise/dynamic.js';
import {type QuantiseReport, quantiseModel} from './quantise/quantise.js';

function describe({
  method,
  images,
  quantised,
  inFloat32,
  equalised,
  biasesCorrected,
  accuracy,
  agreement,
}: QuantiseReport): string[] {
  const extras = [biasesCorrected && 'biases corrected', equalised > 0 && `${equalised} pairs of layers equalised`].filter(
    Boolean,
  );
  return [
    `${quantised} nodes on integers; ranges by ${method} of ${images} images${extras.length > 0 ? `, ${extras.join(', ')}` : ''}`,
    ...(inFloat32.length > 0 ? [`in float32, because the gate asked for it: ${inFloat32.join(', ')}`] : []),
    `same top class as float32 on ${agreement.sameTop1.toFixed(2)} % of the calibration images`,
    ...(accuracy ? [`top-1 ${accuracy.int8.toFixed(2)} %, float32 ${accuracy.float32.toFixed(2)} %`] : []),
  ];
}

/** Said always: the machine that quantises is seldom the one that runs the model. Float32 biases are for runtimes that are no CPU. */
const saturation = ({weightRange, biasType}: Int8Options): string[] =>
  weightRange === 'reduced' || biasType === 'float32'
    ? []
    : [
        'on x86 processors without VNNI (AVX2, the first AVX-512) 16-bit sums may saturate: check accuracy there, or give --reduce-range',
      ];

async function make(model: Model, {calibration, int8, onProgress}: PrecisionContext): Promise<Precise> {
  if (!calibration.real)
    throw new GpdError('EXPORT_REFUSED', 'int8: ranges from random images would be far from those of photographs', {
      hint: 'give a few hundred images of the training set with --calibrate',
    });
  const onStep = ({tried}: {tried: string}) => onProgress?.(`quantise: ${tried}`);
  const {model: quantised, report} = await quantiseModel(model, {...int8, calibration: calibration.batches, onStep});
  const notes = [...describe(report), ...saturation(int8)];
  return {model: quantised, notes, details: {...report, calibration: calibration.description}};
}

/** Random images say nothing about int8: its ranges are those of photographs. */
export const staticInt8: Precision = {
  suffix: '.int8',
  description: 'int8 arithmetic, scales from real images',
  bound: undefined,
  make,
};

export const dynamicInt8: Precision = {
  suffix: '.int8-dynamic',
  description: 'int8 matrix products, scales while running',
  bound: undefined,
  async make(model, {int8}) {
    const {model: made, products} = quantiseDynamically(model, int8.weightRange);
    const notes = [`${products} matrix products on integers, convolutions in float32`, ...saturation(int8)];
    return {model: made, notes, details: {products}};
  },
};
