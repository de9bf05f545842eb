/** The flags of `gpd export`, and what they mean to `exportFile`. */
import {CLIError} from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';
import type {InferredFlags} from '@oclif/core/interfaces';
import {MAX_WRITTEN_OPSET, MIN_OPSET} from '../../convert/build.js';
import {formatNames, ownModelOf} from '../../export/formats.js';
import {precisionNames} from '../../export/precisions.js';
import {resizerNames} from '../../export/preprocess/resize.js';
import {rangeMethods} from '../../export/quantise/ranges.js';
import {targetNames} from '../../export/targets.js';
import {batchNormChoices, weightNames} from '../../export/weights.js';
import {classNames, knownClassNames} from '../../workflows/class-names.js';
import type {ExportFileOptions} from '../../workflows/export/options.js';
import {exitCodes} from '../exit-codes.js';
import {gateFlags, imageFlags, modelFlags, recipeOverrides} from './eval.js';
import {memoryFlags} from './memory.js';
import {recogniseFlags, recogniseOptions} from './shared.js';

const list = {multiple: true, multipleNonGreedy: true, delimiter: ','} as const;
const methods = Object.keys(rangeMethods) as (keyof typeof rangeMethods)[];
const {labels: _, fast: __, 'label-base': ___, 'label-column': ____, ...preparation} = imageFlags;

const form = {helpGroup: 'form'} as const;
const inside = {helpGroup: 'inside the model'} as const;
const weights = {helpGroup: 'weights for PyTorch'} as const;
const calibration = {helpGroup: 'calibration'} as const;

/** A whole number, or `dynamic`. */
const batch = Flags.custom<number | 'dynamic'>({
  helpValue: 'N|dynamic',
  parse: async (text) => {
    if (text === 'dynamic') return text;
    if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
    throw new CLIError(`expected a number of images or 'dynamic', got '${text}'`, {exit: exitCodes.usage});
  },
});

export const exportFlags = {
  output: Flags.string({
    char: 'o',
    description: 'file or folder to write to; default: named after the input, in the current folder',
    helpValue: 'PATH',
  }),
  force: Flags.boolean({char: 'f', description: 'replace files that exist'}),
  report: Flags.string({description: 'also write the comparison as one HTML file', helpValue: 'FILE'}),
  rounds: Flags.integer({
    description: 'how often each form is timed in turn; 0: not at all',
    min: 0,
    default: 5,
    helpValue: 'N',
  }),
  threads: Flags.integer({description: 'threads for each model; default: one a core', min: 1, helpValue: 'N'}),
  precision: Flags.option({
    ...{...list, ...form, options: precisionNames, helpValue: 'NAME'},
    description: `numbers to compute with, separated by commas: ${precisionNames.join(', ')}; default: fp32`,
  })(),
  format: Flags.option({
    ...{...list, ...form, options: formatNames, helpValue: 'KIND'},
    description: `kinds of files, separated by commas: ${formatNames.join(', ')}; default: onnx`,
  })(),
  target: Flags.option({
    ...{...form, options: targetNames, helpValue: 'NAME'},
    description: `the runtime that it is for (${targetNames.join(', ')}): chooses opset, IR version and batch, refuses what it lacks`,
  })(),
  opset: Flags.integer({
    ...form,
    description: `ONNX opset, ${MIN_OPSET} to ${MAX_WRITTEN_OPSET}`,
    min: MIN_OPSET,
    max: MAX_WRITTEN_OPSET,
    helpValue: 'N',
  }),
  batch: batch({...form, description: 'fixed batch size, or dynamic'}),
  io: Flags.option({
    ...{...form, options: ['float32', 'float16'] as const, default: 'float32' as const, helpValue: 'TYPE'},
    description: 'type of the images and logits of a float16 model',
  })(),
  'external-data': Flags.boolean({...form, description: 'weights in a file of their own beside an ONNX model'}),
  'embed-preprocessing': Flags.boolean({
    ...inside,
    description: 'take photographs as bytes [N, H, W, 3] of any size: resize, crop and normalise inside the model',
  }),
  resizer: Flags.option({
    ...{...inside, options: resizerNames, helpValue: 'NAME'},
    description: 'how photographs are resized inside; default: matrices, which are exact, or what the target can do',
  })(),
  softmax: Flags.boolean({...inside, description: 'also give probabilities'}),
  'top-k': Flags.integer({...inside, description: 'also give the best K classes', min: 1, helpValue: 'K'}),
  labels: Flags.string({
    ...{...inside, helpValue: 'NAMES'},
    description: `names of the classes (${knownClassNames.join(', ')}, or a file): in the metadata, and with --top-k as an output`,
  }),
  'batch-norm': Flags.option({
    ...{...weights, options: batchNormChoices, default: 'keep' as const, helpValue: 'WHAT'},
    description: 'keep batch norms, as the networks of torchvision and timm have them, or fold them into the convolutions',
  })(),
  names: Flags.option({
    ...{...weights, options: weightNames, default: 'original' as const, helpValue: 'WHOSE'},
    description: "names of the tensors: the checkpoint's own (torchvision's, for ResNets), or timm's",
  })(),
  calibrate: Flags.string({
    ...calibration,
    description: 'images from which ranges are measured; default: random ones',
    helpValue: 'PATH',
  }),
  samples: Flags.integer({...calibration, description: 'how many of them', min: 1, default: 512, helpValue: 'N'}),
  'int8-ranges': Flags.option({
    ...{...calibration, options: methods, helpValue: 'METHOD'},
    description: `how ranges are chosen (${methods.join(', ')}); default: the one whose logits are nearest`,
  })(),
  symmetric: Flags.boolean({...calibration, description: 'int8 activations around zero, for runtimes that know no others'}),
  'reduce-range': Flags.boolean({
    ...calibration,
    description: 'int8 weights in 7 bits, for x86 processors without VNNI, whose 16-bit sums would saturate',
  }),
  'allow-float': Flags.boolean({
    ...calibration,
    description: 'write an int8 form although less than a third of its arithmetic is on integers',
  }),
  'check-data': Flags.string({
    char: 'd',
    description: 'images with labels on which every form is evaluated beside the float32 student',
    helpValue: 'PATH',
    helpGroup: 'gates',
  }),
  'check-samples': Flags.integer({
    description: 'only so many of them, evenly spread',
    min: 1,
    helpValue: 'N',
    helpGroup: 'gates',
  }),
  ...gateFlags,
  ...memoryFlags,
  ...modelFlags,
  ...preparation,
  ...recogniseFlags,
};

/** Throws CLIError for flags that contradict each other; GpdError where the labels cannot be read. */
export function exportOptions(flags: InferredFlags<typeof exportFlags>) {
  const usage = (problem: string) => new CLIError(problem, {exit: exitCodes.usage});
  const gates = {minTop1: flags['min-top1'], maxDrop: flags['max-drop'], minAgreement: flags['min-agreement']};
  const gated = Object.values(gates).some((bound) => bound !== undefined);
  if (gated && flags['check-data'] === undefined) throw usage('gates need images: give some with --check-data');
  const embeds = flags['embed-preprocessing'] || flags.format?.some((format) => ownModelOf(format));
  if (flags.resizer && !embeds) throw usage('--resizer needs --embed-preprocessing');
  if (flags['external-data'] && !(flags.format ?? ['onnx']).includes('onnx'))
    throw usage('--external-data needs --format onnx: no other has its weights in a file beside it');
  const labels = flags.labels === undefined ? undefined : classNames(flags.labels);
  return {
    ...recogniseOptions(flags),
    outputName: flags['output-name'],
    ...{force: flags.force, output: flags.output, rounds: flags.rounds, threads: flags.threads},
    memoryLimit: flags['memory-limit'],
    precisions: [...new Set(flags.precision ?? ['fp32' as const])],
    formats: [...new Set(flags.format ?? ['onnx' as const])],
    ...{target: flags.target, opset: flags.opset, batch: flags.batch, io: flags.io, externalData: flags['external-data']},
    ...{embed: flags['embed-preprocessing'], resizer: flags.resizer, softmax: flags.softmax, topK: flags['top-k'], labels},
    ...{batchNorm: flags['batch-norm'], names: flags.names},
    ...{calibrate: flags.calibrate, calibrationSamples: flags.samples, workers: flags.workers, onError: flags['on-error']},
    int8: {
      method: flags['int8-ranges'],
      allowFloat: flags['allow-float'],
      ...(flags.symmetric && {activations: 'symmetric' as const}),
      ...(flags['reduce-range'] && {weightRange: 'reduced' as const}),
    },
    ...{data: flags['check-data'], checkSamples: flags['check-samples'], gates, recipe: flags.recipe},
    overrides: recipeOverrides(flags),
    strictData: flags['strict-data'],
  } satisfies ExportFileOptions;
}
