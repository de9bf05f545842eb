/**
 * What the commands do, as functions. Each loads what it needs when it is called: importing the package loads neither the ONNX runtime,
 * nor the image decoder, nor TensorFlow.js.
 */
import type {ConversionReport, ConvertOptions} from '../convert/convert.js';
import type {Quantised, QuantiseOptions} from '../export/quantise/quantise.js';
import type {Model} from '../onnx/graph.js';
import type {TrainOptions} from '../train/options/options.js';
import type {BenchFilesOptions, BenchReport} from '../workflows/bench.js';
import type {EvaluateFilesOptions, EvaluationRun} from '../workflows/evaluate.js';
import type {ExportReport} from '../workflows/export/export.js';
import type {ExportFileOptions} from '../workflows/export/options.js';
import type {FileSummary, InspectOptions} from '../workflows/inspect.js';
import type {TrainFilesOptions, TrainSummary} from '../workflows/train.js';
import type {TrainLayers} from '../workflows/train-options.js';
import type {VerificationResult, VerifyFilesOptions} from '../workflows/verify.js';
import {checkOptions, checkValue, listOf, text} from './check-options.js';

/**
 * Converts a checkpoint to minimal ONNX models, and proves that they compute what the network computed as it was trained: `gpd convert`.
 * Nothing appears under an output's name unless everything that was asked for was made and proven.
 *
 * Throws GpdError: what reading and recognising refuse, WEIGHTS_NOT_FINITE, PROOF_FAILED, OUTPUT_REFUSED. An abort is heard between
 * phases: the signal's reason is thrown, and nothing was written.
 * @example
 * const {outputs} = await convertFile('resnet18_dkd_gpd.pth.tar', {outputs: {student: 'student.onnx'}});
 * console.log(outputs[0].proof.relative); // largest |Δ| over the largest logit
 */
export async function convertFile(path: string, options: ConvertOptions): Promise<ConversionReport> {
  checkValue('convertFile: path', path ?? null, text);
  checkOptions('convertFile', options, (await import('./option-rules.js')).convertRules, ['outputs']);
  return (await import('../convert/convert.js')).convertFile(path, options);
}

/**
 * What is in a checkpoint or an ONNX model, as plain data: `gpd inspect`. Nothing in the file is executed, and weights are not read.
 *
 * Throws GpdError where the file cannot be read; a network that is not recognised is a finding (`problem`), not an error.
 * @example
 * const summary = await inspect('resnet18_dkd_gpd.pth.tar');
 * if (summary.kind === 'checkpoint') console.log(summary.network?.arch);
 */
export async function inspect(path: string, options: InspectOptions = {}): Promise<FileSummary> {
  checkValue('inspect: path', path ?? null, text);
  checkOptions('inspect', options, (await import('./option-rules.js')).inspectRules);
  return (await import('../workflows/inspect.js')).inspectFile(path, options);
}

/**
 * Measures the accuracy of models on images, all on the same batches: `gpd eval`. A checkpoint stands for its networks as they were
 * trained, the dynamic teacher and the student; an ONNX file is run as it is. Accuracies are in percent, times in milliseconds.
 *
 * Throws GpdError: SHAPE_MISMATCH where models and images do not fit together, and what reading them refuses. A gate that is missed
 * is no error: `evaluation.ok` is false. After an abort `evaluation.complete` is false; `path` is where the run was saved for `resume`
 * (in the current folder, unless `state` names a file; with `state: null` nothing is saved).
 * @example
 * const {evaluation} = await evaluate(['teacher.pth.tar', 'student.onnx'], {data: 'imagenet/val', gates: {maxDrop: 0.1}});
 * for (const {name, top1} of evaluation.models) console.log(name, top1);
 */
export async function evaluate(models: readonly string[], options: EvaluateFilesOptions): Promise<EvaluationRun> {
  checkValue('evaluate: models', models ?? null, listOf(text));
  checkOptions('evaluate', options, (await import('./option-rules.js')).evaluateRules, ['data']);
  return (await import('../workflows/evaluate.js')).evaluateFiles(models, options);
}

/**
 * Compares two models number by number, and finds the first layer that differs: `gpd verify`. Both see random images, edge cases and,
 * with `data`, real images.
 *
 * Throws GpdError where they cannot be compared. Models that differ are no error: `ok` is false. After an abort `complete` is false.
 * @example
 * const {ok, outputs} = await verify('resnet18_dkd_gpd.pth.tar', 'student.onnx', {samples: 16});
 */
export async function verify(reference: string, actual: string, options: VerifyFilesOptions = {}): Promise<VerificationResult> {
  checkValue('verify: models', [reference, actual], listOf(text));
  checkOptions('verify', options, (await import('./option-rules.js')).verifyRules);
  return (await import('../workflows/verify.js')).verifyFiles(reference, actual, options);
}

/**
 * Measures latency, throughput and memory of ONNX models, each setting in a process of its own: `gpd bench`. Times are in
 * milliseconds, memory is in bytes.
 *
 * Throws GpdError: FORMAT_UNKNOWN for a checkpoint, PROVIDER_UNAVAILABLE. A model that cannot be run is listed in `failures`.
 * After an abort `complete` is false.
 * @example
 * const {rows} = await bench(['before.onnx', 'after.onnx'], {threads: [1], batches: [1, 32]});
 */
export async function bench(models: readonly string[], options: BenchFilesOptions = {}): Promise<BenchReport> {
  checkValue('bench: models', models ?? null, listOf(text));
  checkOptions('bench', options, (await import('./option-rules.js')).benchRules);
  return (await import('../workflows/bench.js')).benchFiles(models, options);
}

/**
 * Makes production forms of a student or a checkpoint, each checked against float32: `gpd export`. A form that does not hold its bound
 * or its gates is not written; `ok` says whether all were.
 *
 * Throws GpdError: EXPORT_REFUSED for a form that cannot be made, OUTPUT_REFUSED, and what reading refuses. An abort is heard between
 * phases: the signal's reason is thrown, and nothing was written.
 * @example
 * const {ok, forms} = await exportModel('student.onnx', {precisions: ['fp16'], output: 'student.fp16.onnx'});
 */
export async function exportModel(path: string, options: ExportFileOptions = {}): Promise<ExportReport> {
  checkValue('exportModel: path', path ?? null, text);
  checkOptions('exportModel', options, (await import('./option-rules.js')).exportRules);
  return (await import('../workflows/export/export.js')).exportFile(path, options);
}

/**
 * Quantises a float32 student to int8, and reports every candidate that was tried: the heart of `gpd export --precision int8`. `model`
 * stays as it is.
 *
 * Throws GpdError: EXPORT_REFUSED where ranges cannot be measured.
 * @example
 * const {model: int8, report} = await quantiseModel(decodeModel(fileSource('student.onnx')), {calibration: batches});
 */
export async function quantiseModel(model: Model, options: QuantiseOptions): Promise<Quantised> {
  return (await import('../export/quantise/quantise.js')).quantiseModel(model, options);
}

/** How a training run is begun and watched. */
export interface TrainRunOptions extends TrainFilesOptions, TrainLayers {}

/**
 * Trains a network by Gap Preserving Distillation, converts the best student and proves it: `gpd train`. `options` are those of the
 * command under the same names; what is left out has the default of its network, or that of `run.preset`.
 *
 * Throws GpdError: CONFIG_INVALID for options that are unknown or contradict each other, and what reading images and weights refuses.
 * After an abort `complete` is false, and the run goes on with `resume: true`.
 * @example
 * const {best, student} = await train({arch: 'cifar-resnet20', data: 'cifar10-train.tar.gz', epochs: 30, out: 'runs/r20'});
 */
export async function train(options: Partial<TrainOptions>, run: TrainRunOptions = {}): Promise<TrainSummary> {
  checkOptions('train', run, (await import('./option-rules.js')).trainRules);
  const {givenOptions, trainOptions} = await import('../workflows/train-options.js');
  const {trainFiles} = await import('../workflows/train.js');
  return trainFiles(trainOptions(givenOptions(options), run), run);
}
