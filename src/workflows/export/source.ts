/** What is exported: an ONNX student as it is, or a checkpoint, which is converted and proven first. */
import {basename, dirname, join} from 'node:path';
import type {Checkpoint} from '../../checkpoint/checkpoint.js';
import {checkpointSource} from '../../checkpoint/checkpoint-source.js';
import {openCheckpoint} from '../../checkpoint/open.js';
import {type ConversionReport, convertFile} from '../../convert/convert.js';
import {deployedWeights} from '../../convert/deployed-weights.js';
import {fileSource} from '../../core/bytes.js';
import {makeTemporary, removeHidden} from '../../core/temporary.js';
import type {StateDict} from '../../core/tensor.js';
import {type Subject, subjectOfFile} from '../../eval/subject.js';
import {type BatchNormChoice, foldedWeights, modulesOf, restoreBatchNorms, withoutBiases} from '../../export/weights.js';
import {type RecogniseOptions, recognise} from '../../models/recognise.js';
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
  return isOnnx ? await onnxSource(path) : await convertedSource(path, options);
}

/** As rewriting wants it: constants are initializers, and every shape is known that can be. */
async function readModel(path: string): Promise<{model: Model; close(): void}> {
  const file = fileSource(path);
  const external = externalFilesIn(dirname(path));
  const close = () => {
    file.close();
    external.close();
  };
  try {
    const model = decodeModel(file, {openExternal: external.open, constants: 'initializers'});
    await measureShapes(model);
    return {model, close};
  } catch (error) {
    close();
    throw error;
  }
}

/** Batch norms are folded already: those that are kept do nothing. */
async function onnxSource(path: string): Promise<ExportSource> {
  const {model, close} = await readModel(path);
  const weights = async (batchNorm: BatchNormChoice) =>
    batchNorm === 'fold' ? foldedWeights(model) : restoreBatchNorms(foldedWeights(model), modulesOf(model));
  const subject = {...subjectOfFile(path), name: 'source'};
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
