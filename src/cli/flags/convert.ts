/** The flags of `gpd convert`, and what they mean to `convertFile`. */
import {CLIError} from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';
import type {InferredFlags} from '@oclif/core/interfaces';
import {DEFAULT_OPSET, emitNames, MAX_WRITTEN_OPSET, MIN_OPSET} from '../../convert/build.js';
import type {ConvertOptions} from '../../convert/convert.js';
import type {WeightsFormatName} from '../../convert/write.js';
import {planOutputs, weightsFormatNames} from '../../workflows/output-paths.js';
import {readLabels} from '../../workflows/read-labels.js';
import {exitCodes} from '../exit-codes.js';
import {recogniseFlags, recogniseOptions} from './shared.js';

/** Several values, separated by commas: an argument may follow. */
const list = {multiple: true, multipleNonGreedy: true, delimiter: ','} as const;

export const convertFlags = {
  output: Flags.string({
    char: 'o',
    description: 'file or folder to write to; default: named after the checkpoint, in the current folder',
    helpValue: 'PATH',
  }),
  force: Flags.boolean({char: 'f', description: 'replace files that exist'}),
  emit: Flags.option({
    ...list,
    options: emitNames,
    description: `ONNX models to write, separated by commas: ${emitNames.join(', ')}; default: student`,
    helpValue: 'FORM',
  })(),
  all: Flags.boolean({description: 'write every form', exclusive: ['emit']}),
  format: Flags.option({
    ...list,
    options: ['onnx' as const, ...weightsFormatNames],
    description: `kinds of files: onnx, and the merged weights of the student for PyTorch as ${weightsFormatNames.join(' or ')}; default: onnx`,
    helpValue: 'KIND',
  })(),
  ...recogniseFlags,
  opset: Flags.integer({
    description: `ONNX opset, ${MIN_OPSET} to ${MAX_WRITTEN_OPSET}`,
    min: MIN_OPSET,
    max: MAX_WRITTEN_OPSET,
    default: DEFAULT_OPSET,
    helpValue: 'N',
    helpGroup: 'model',
  }),
  batch: Flags.integer({description: 'fixed batch size; default: dynamic', min: 1, helpValue: 'N', helpGroup: 'model'}),
  'input-name': Flags.string({description: 'name of the input', helpValue: 'NAME', helpGroup: 'model'}),
  'output-name': Flags.string({description: 'name of the output', helpValue: 'NAME', helpGroup: 'model'}),
  labels: Flags.string({
    description: 'names of the classes for the metadata, one on each line or as a JSON array',
    helpValue: 'FILE',
    helpGroup: 'model',
  }),
  seed: Flags.integer({description: 'seed of the random images of the proof; default: 0', helpValue: 'N', helpGroup: 'model'}),
};

/** Throws CLIError for flags that contradict each other; GpdError where the labels cannot be read. */
export function convertOptions(checkpoint: string, flags: InferredFlags<typeof convertFlags>): ConvertOptions {
  const formats = new Set(flags.format ?? ['onnx']);
  const emits = flags.all ? emitNames : [...new Set(flags.emit ?? ['student' as const])];
  if (!formats.has('onnx') && (flags.all || flags.emit)) {
    throw new CLIError('--emit and --all choose ONNX models, but --format leaves them out', {exit: exitCodes.usage});
  }
  const weights = [...formats].filter((format): format is WeightsFormatName => format !== 'onnx');
  const {opset, batch, seed, force} = flags;
  return {
    ...recogniseOptions(flags),
    ...planOutputs(checkpoint, {emits: formats.has('onnx') ? emits : [], weights}, flags.output),
    ...{opset, batch, seed, force, inputName: flags['input-name'], outputName: flags['output-name']},
    labels: flags.labels === undefined ? undefined : readLabels(flags.labels),
  };
}
