/** What is exported: an ONNX student as it is, or a checkpoint, which is converted and proven first. */
import {basename, dirname, join} from 'node:path';
import type {Checkpoint} from '../../checkpoint/checkpoint.js';
import {checkpointSource} from '../../checkpoint/checkpoint-source.js';
import {openCheckpoint} from '../../checkpoint/open.js';
import {type ConversionReport, convertFile} from '../../convert/convert.js';
import {deployedWeights} from '../../convert/deployed-weights.js';
import {fileSource} from '../../core/bytes.js';
import {GpdError} from '../../core/error.js';
import {makeTemporary, removeHidden} from '../../core/temporary.js';
import type {StateDict} from '../../core/tensor.js';
import {giveInner} from '../../eval/class-output.js';
import {shapeOf, withoutEmptyBatch} from '../../eval/image-input.js';
import {measuredSubject, type Subject, subjectOfFile} from '../../eval/subject.js';
import {type BatchNormChoice, foldedWeights, modulesOf, restoreBatchNorms, withoutBiases} from '../../export/weights.js';
import {type RecogniseOptions, recognise} from '../../models/recognise.js';
import {cloneModel} from '../../onnx/clone-model.js';
import {decodeModel} from '../../onnx/decode.js';
import {externalFilesIn} from '../../onnx/external-data.js';
import type {Model} from '../../onnx/graph.js';
import {isModel} from '../../onnx/is-model.js';
import {measureShapes} from '../../onnx/measure-shapes.js';
import type {Module} from '../../reparam/modules.js';
import {refuseUnusedIgnore} from '../subjects.js';

export interface SourceOptions extends RecogniseOptions {
  ema: boolean;
  key?: string | undefined;
  opset?: number | undefined;
  outputName?: string | undefined;
}
export interface ExportSource {
  /** Float32. */
  readonly model: Model;
  /** The same as what every form is held against. */
  readonly subject: Subject;
  /** The ONNX file: the input, or what was made of a checkpoint. */
  readonly onnxPath: string;
  /** Of a checkpoint. */
  readonly conversion: ConversionReport | undefined;
  /** Its layers; undefined for an ONNX student of unpublished size. */
  readonly modules: readonly Module[] | undefined;
  /** Under the original's names. */
  weights(batchNorm: BatchNormChoice): Promise<StateDict>;
  close(): void;
}

export async function openSource(path: string, options: SourceOptions): Promise<ExportSource> {
  const source = checkpointSource(path);
  const isOnnx = isModel(source);
  source.close();
  if (isOnnx) refuseUnusedIgnore([{form: 'onnx', path}], options);
  return isOnnx ? await onnxSource(path, options) : await convertedSource(path, options);
}

/** As rewriting wants it: constants are initializers, and every shape is known that can be. */
async function readModel(
  path: string,
  turned: (model: Model) => Model = (model) => model,
): Promise<{model: Model; close(): void}> {
  const file = fileSource(path);
  const external = externalFilesIn(dirname(path));
  const close = () => {
    file.close();
    external.close();
  };
  try {
    const model = turned(decodeModel(file, {openExternal: external.open, constants: 'initializers'}));
    await measureShapes(model);
    return {model, close};
  } catch (error) {
    close();
    throw error;
  }
}

/** Forms are made of images as `gpd convert` has them. Throws EXPORT_REFUSED for others, with what makes them so. */
function refuseForeignImages({path, input: {name, dtype, layout, takes, anySize}}: Subject): void {
  const refuse = (problem: string, hint: string): never => {
    throw new GpdError('EXPORT_REFUSED', `${path}: input '${name}' ${problem}`, {at: path, hint});
  };
  if (anySize === 'guessed') refuse('takes any height and width', 'say which the forms are made for: --image-size N');
  if (takes !== 'prepared') refuse('takes bytes', 'give the network without its preparation; --embed-preprocessing adds ours');
  if (dtype === 'float64') refuse('is float64', 'give the model in float32');
  if (layout === 'NHWC')
    refuse('has the colours last', 'export it with them first: tf2onnx has --inputs-as-nchw, other exporters a layout');
}

/** The model with what was asked of it: the output, the size, any batch for one of 0. */
function asEvaluated(model: Model, {input, model: evaluated}: Subject, {outputName}: SourceOptions): Model {
  withoutEmptyBatch(model);
  if (outputName !== undefined) giveInner(model, outputName);
  for (const output of model.graph.outputs) output.shape = evaluated().graph.value(output.name)?.shape ?? output.shape; // measured
  if (input.anySize === undefined) return model;
  return cloneModel(model, (dims) => [dims?.[0] ?? 'N', ...shapeOf(input, 1).slice(1)]);
}

/** Batch norms are folded already: those that are kept do nothing. */
async function onnxSource(path: string, options: SourceOptions): Promise<ExportSource> {
  const subject = {...(await measuredSubject(path, options)), name: 'source'};
  refuseForeignImages(subject);
  const {model, close} = await readModel(path, (read) => asEvaluated(read, subject, options));
  const weights = async (batchNorm: BatchNormChoice) =>
    batchNorm === 'fold' ? foldedWeights(model) : restoreBatchNorms(foldedWeights(model), modulesOf(model));
  return {model, subject, onnxPath: path, conversion: undefined, modules: knownModules(model), weights, close};
}

function knownModules(model: Model): readonly Module[] | undefined {
  try {
    return modulesOf(model);
  } catch {
    return undefined;
  }
}

async function convertedSource(path: string, options: SourceOptions): Promise<ExportSource> {
  const folder = makeTemporary();
  const remove = () => removeHidden(folder);
  try {
    const student = join(folder, `${basename(path)}.onnx`);
    const conversion = await convertFile(path, {...options, outputs: {student}});
    const {model, close} = await readModel(student);
    delete model.file; // it was made here
    const opened: Checkpoint[] = [];
    const weights = async (batchNorm: BatchNormChoice): Promise<StateDict> => {
      if (batchNorm === 'fold') return foldedWeights(model);
      const checkpoint = openCheckpoint(checkpointSource(path), options);
      opened.push(checkpoint); // counters are read when they are written
      const recognised = recognise(checkpoint.stateDict, checkpoint.args, options);
      return withoutBiases(await deployedWeights(recognised), recognised.modules);
    };
    const closeAll = () => {
      close();
      for (const checkpoint of opened) checkpoint.close();
      remove();
    };
    const subject = {...subjectOfFile(student), path, name: 'source'};
    return {model, subject, onnxPath: student, conversion, modules: conversion.recognised.modules, weights, close: closeAll};
  } catch (error) {
    remove();
    throw error;
  }
}
