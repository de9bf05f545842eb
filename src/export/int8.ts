/** int8 as two precisions: static, from real images, and dynamic, for matrix products alone. */
import {GpdError} from '../core/error.js';
import type {Graph, Model} from '../onnx/graph.js';
import {macsOf} from '../onnx/macs.js';
import {refuseReduced} from './float-source.js';
import type {CalibrationImages, Int8Options, Precise, Precision, PrecisionContext} from './precision.js';
import {quantiseDynamically} from './quantise/dynamic.js';
import {type QuantiseReport, quantiseModel} from './quantise/quantise.js';
import {saturates} from './quantise/saturation.js';

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

/**
 * Said always: the machine that quantises is seldom the one that runs the model, so each kind hears of the other. Float32 biases are for
 * runtimes that are no CPU.
 */
async function saturation({weightRange, biasType}: Int8Options): Promise<string[]> {
  if (weightRange === 'reduced' || biasType === 'float32') return [];
  return (await saturates())
    ? [
        'this processor saturates 16-bit sums (x86 without VNNI), which costs accuracy: --reduce-range avoids it; others compute more exactly than measured here',
      ]
    : [
        'on x86 processors without VNNI (AVX2, the first AVX-512) 16-bit sums may saturate: check accuracy there, or give --reduce-range',
      ];
}

/** Below, most of the time is float32's: such a file is no int8 form, whatever its name. */
const LEAST_SHARE = 1 / 3;
/** Ranges of fewer images miss what is rare; PyTorch's and onnxruntime's guides ask for a hundred or more. */
const FEW_IMAGES = 32;

interface Share {
  readonly integers: number;
  readonly macs: number;
  readonly share: number;
}
function shareOf(model: Model): Share {
  const {integers, macs} = macsOf(model.graph);
  return {integers, macs, share: macs === 0 ? 0 : integers / macs};
}
const shareText = ({share}: Share): string =>
  `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} % of the multiply-accumulates are on integers`;

/** What is wrong with the images that ranges were measured on. */
function imageWarnings({images, distinct, classes}: CalibrationImages): string[] {
  const equal = distinct < images ? `, ${images - distinct} of which equal another` : '';
  const few = distinct < FEW_IMAGES;
  return [
    ...(few || equal !== ''
      ? [
          `calibrated on ${images} image${images === 1 ? '' : 's'}${equal}: give ${few ? 'a few hundred' : 'only'} different ones of the training set`,
        ]
      : []),
    ...(classes?.found === 1
      ? [
          `all calibration images are of one class${classes.of > 1 ? ` of ${classes.of}` : ''}: ranges of other classes were not seen`,
        ]
      : []),
  ];
}

/** Graphs inside a node see values of the one around it, which would be integers there. */
function refuseNested({nodes}: Graph): void {
  const nested = nodes.find(({attributes}) => [...attributes.values()].some(({kind}) => kind === 'graph'));
  if (!nested) return;
  throw new GpdError('EXPORT_REFUSED', `int8: ${nested} holds a graph of its own, which cannot be put on integers here`, {
    at: nested.name,
    hint: 'export the model from its framework without the branch or loop, or use int8-dynamic or fp32',
  });
}

async function make(model: Model, {calibration, int8, onProgress}: PrecisionContext): Promise<Precise> {
  refuseReduced(model.graph, 'int8');
  refuseNested(model.graph);
  if (!calibration.real)
    throw new GpdError('EXPORT_REFUSED', 'int8: ranges from random images would be far from those of photographs', {
      hint: 'give a few hundred images of the training set with --calibrate',
    });
  const onStep = ({tried}: {tried: string}) => onProgress?.(`quantise: ${tried}`);
  const {allowFloat = false, ...options} = int8;
  const {model: quantised, report} = await quantiseModel(model, {...options, calibration: calibration.batches, onStep});
  const macs = shareOf(quantised);
  const warnings = imageWarnings(calibration.seen);
  const refused =
    macs.share < LEAST_SHARE && !allowFloat
      ? `only ${shareText(macs)}, less than a third: calibrate with other images or loosen the gate; --allow-float writes it all the same`
      : undefined;
  const details = {...report, calibration: calibration.description, images: calibration.seen, macs};
  return {
    model: quantised,
    notes: [shareText(macs), ...describe(report), ...(await saturation(int8))],
    warnings,
    ...(refused && {refused}),
    details,
  };
}

/** Random images say nothing about int8: its ranges are those of photographs. */
export const staticInt8: Precision = {
  suffix: '.int8',
  description: 'int8 arithmetic, scales from real images',
  bound: undefined,
  opset: {since: 13, because: 'one scale per channel exists since then'},
  make,
};

export const dynamicInt8: Precision = {
  suffix: '.int8-dynamic',
  description: 'int8 matrix products, scales while running',
  bound: undefined,
  opset: {since: 11, because: 'DynamicQuantizeLinear exists since then'},
  async make(model, {int8}) {
    refuseReduced(model.graph, 'int8-dynamic');
    const {model: made, products} = quantiseDynamically(model, int8.weightRange);
    const macs = shareOf(made);
    const plural = products === 1 ? '' : 's';
    const notes = [
      `${products} matrix product${plural} on integers, scales measured while running; convolutions in float32`,
      shareText(macs),
      ...(await saturation(int8)),
    ];
    const refused =
      products === 0 ? 'the network has no matrix product with constant weights: nothing would be on integers' : undefined;
    const warnings =
      products > 0 && macs.share < LEAST_SHARE ? [`only ${shareText(macs)}: int8 with --calibrate takes convolutions too`] : [];
    return {model: made, notes, warnings, ...(refused && {refused}), details: {products, macs}};
  },
};
