/** From a checkpoint to proven ONNX files: recognise, build the training form, rewrite, write, prove, and only then let the files appear. */
import {type Checkpoint, openCheckpoint} from '../checkpoint/open.js';
import {fileSource} from '../core/bytes.js';
import {checkOutput, createPending, type PendingFile} from '../core/output.js';
import type {Tensor} from '../core/tensor.js';
import {type Recognised, type RecogniseOptions, recognise} from '../models/recognise.js';
import {type TrainingFormOptions, trainingForm} from '../models/training-form.js';
import {encodeModel} from '../onnx/encode.js';
import {refuseNonFinite} from '../onnx/fold-constants.js';
import type {Model} from '../onnx/graph.js';
import {metadataBytes} from '../onnx/metadata.js';
import {type PassReport, runPasses} from '../onnx/pass.js';
import {minimalPasses, readInPart} from '../onnx/passes/index.js';
import {openSession, preloadRuntime} from '../onnx/session.js';
import type {Role} from '../reparam/parameters.js';
import {type Digest, digestFile, refuseDamage} from './digest.js';
import {makeProbes, type Probes} from './probes.js';
import {compareLogits, firstDivergence, holds, modelLogits, type Proof, proofFailed, referenceLogits} from './prove.js';
import {provenance} from './provenance.js';
import {retain} from './retain.js';
import {type NetworkSize, sizeOfCheckpoint, sizeOfModel} from './sizes.js';
import {Stopwatch, type Timing} from './timing.js';

/** What can be made of a checkpoint. The training forms are the network as it was trained, nothing merged. */
export const emits = {
  student: {role: 'student', minimal: true},
  teacher: {role: 'teacher', minimal: true},
  'training-student': {role: 'student', minimal: false},
  'training-teacher': {role: 'teacher', minimal: false},
} as const satisfies Record<string, {role: Role; minimal: boolean}>;
export type Emit = keyof typeof emits;
export const emitNames = Object.keys(emits) as Emit[];

export const MIN_OPSET = 13;
export const MAX_OPSET = 23;
/** The first opset with Gelu; every current runtime reads it. */
export const DEFAULT_OPSET = 20;

export interface ModelOptions extends RecogniseOptions {
  /** ONNX opset, 13 to 23. Default 20. */
  opset?: number | undefined;
  /** A fixed batch size; default: dynamic, named N. */
  batch?: number | undefined;
  inputName?: string | undefined;
  outputName?: string | undefined;
  /** Names of the classes, in order; written into the metadata. */
  labels?: readonly string[] | undefined;
}
export interface ConvertOptions extends ModelOptions {
  /** Which file to write for each form. */
  outputs: Partial<Record<Emit, string>>;
  /** Use the moving average of the weights. Default: the weights themselves, as the original evaluates. */
  ema?: boolean | undefined;
  force?: boolean | undefined;
  /** Seed of the images of the proof. Default 0. */
  seed?: number | undefined;
  onPhase?: (phase: string) => void;
}

export interface OutputReport {
  emit: Emit;
  path: string;
  /** Of the file, and of a file of external data beside it. */
  bytes: number;
  externalBytes: number;
  opset: number;
  size: NetworkSize;
  passes: PassReport[];
  /** Absent for a training form: it is what the others are proven against. */
  proof?: Proof;
}
export interface ConversionReport {
  input: {
    path: string;
    bytes: number;
    sha256: string;
    /** Storages whose bytes were compared with their checksum. */
    checksums: number;
    format: string;
    stateDictKey: string | null;
    prefix: string;
  };
  recognised: Recognised;
  /** The network in the checkpoint, as trained. */
  before: NetworkSize;
  outputs: OutputReport[];
  warnings: string[];
  timing: Timing;
  /** Largest resident memory of this process so far. */
  peakBytes: number;
}

/** The model of one form, in memory. `passes` is empty for a training form. Weights that are NaN or infinite are refused. */
export async function buildModel(
  r: Recognised,
  emit: Emit,
  options: ModelOptions = {},
): Promise<{model: Model; passes: PassReport[]}> {
  const {role, minimal} = emits[emit];
  const model = trainingForm(r.arch, r.stateDict, r.form, formOptions(role, r, options));
  return {model, passes: minimal ? await runPasses(model, minimalPasses) : []};
}

const formOptions = (role: Role, r: Recognised, o: ModelOptions): TrainingFormOptions => ({
  role,
  imageSize: r.imageSize,
  opset: o.opset ?? DEFAULT_OPSET,
  batch: o.batch,
  ...(o.inputName !== undefined && {inputName: o.inputName}),
  ...(o.outputName !== undefined && {outputName: o.outputName}),
});

/** What a minimal form is proven against: the training form, reading no more of the checkpoint than its role uses. */
async function referenceForm(r: Recognised, role: Role, options: ModelOptions): Promise<Model> {
  const model = trainingForm(r.arch, r.stateDict, r.form, {...formOptions(role, r, options), batch: undefined});
  await runPasses(model, [readInPart]);
  return model;
}

interface Written extends OutputReport {
  model: Model;
  pending: PendingFile[];
}

/**
 * Converts a file. Nothing appears under an output's name unless everything asked for was made and proven.
 * Throws GpdError: the codes of reading and recognising, WEIGHTS_NOT_FINITE, PROOF_FAILED, OUTPUT_REFUSED.
 */
export async function convertFile(path: string, options: ConvertOptions): Promise<ConversionReport> {
  const watch = new Stopwatch(options.onPhase);
  const source = fileSource(path);
  for (const output of Object.values(options.outputs)) checkOutput(output, {force: options.force ?? false, inputs: [path]});
  const runtime = preloadRuntime();
  const checkpoint = await watch.measure('open', () => openCheckpoint(source, {ema: options.ema ?? false}));
  const digesting = digestFile(path, checkpoint.checksums());
  digesting.catch(() => {}); // awaited below; an earlier failure must not be reported twice
  const written: Written[] = [];
  try {
    const r = await watch.measure('recognise', () => recognise(checkpoint.stateDict, checkpoint.args, options));
    const probes = makeProbes(r.imageSize, options.seed ?? 0);
    await runtime;
    for (const [emit, output] of Object.entries(options.outputs) as [Emit, string][]) {
      written.push(await makeOutput(r, emit, output, options, probes, watch));
    }
    const digest = await watch.measure('digest', () => digesting);
    refuseDamage(path, digest);
    for (const w of written) finish(w, r, checkpoint, digest.sha256, options);
    return {
      input: describeInput(path, source.size, digest, checkpoint),
      recognised: r,
      before: sizeOfCheckpoint(r),
      outputs: written.map(({model: _, pending: __, ...report}) => report),
      warnings: [...checkpoint.warnings],
      timing: watch.report(),
      peakBytes: process.resourceUsage().maxRSS * 1024,
    };
  } catch (error) {
    for (const w of written) for (const file of w.pending) file.discard();
    throw error;
  } finally {
    checkpoint.close();
  }
}

const describeInput = (path: string, bytes: number, {sha256, checked}: Digest, c: Checkpoint) => ({
  path,
  bytes,
  sha256,
  checksums: checked,
  format: c.format,
  stateDictKey: c.stateDictKey,
  prefix: c.prefix,
});

async function makeOutput(
  recognised: Recognised,
  emit: Emit,
  path: string,
  options: ConvertOptions,
  probes: Probes,
  watch: Stopwatch,
): Promise<Written> {
  const {role, minimal} = emits[emit];
  const retained = retain(recognised.stateDict);
  const r = {...recognised, stateDict: retained.stateDict};
  const reference = minimal ? await referenceForm(r, role, options) : undefined;
  const expected = reference && (await watch.measure('run training form', () => referenceLogits(reference, probes)));
  const {model, passes} = await watch.measure('rewrite and fold', () => buildModel(r, emit, options));
  retained.release();
  const written = await watch.measure('write', () => writeModel(model, path));
  const report: Written = {
    emit,
    path,
    ...written,
    opset: model.opset,
    size: sizeOfModel(model, r, role),
    passes,
    model,
  };
  try {
    if (reference && expected)
      report.proof = await watch.measure('prove', () => prove(reference, expected, report, probes, options.batch));
  } catch (error) {
    for (const file of written.pending) file.discard();
    throw error;
  }
  return report;
}

/** Writes to temporary files; the proof then runs on those very bytes. */
function writeModel(model: Model, path: string): {bytes: number; externalBytes: number; pending: PendingFile[]} {
  for (const v of model.graph.initializers) {
    if (v.dtype === 'float32') refuseNonFinite(v.initializer!.name ?? v.name, v.initializer!.read());
  }
  const encoded = encodeModel(model, {location: `${path.split('/').at(-1)!}.data`});
  const pending: PendingFile[] = [];
  try {
    for (const [target, stream] of [
      [path, encoded],
      [`${path}.data`, encoded.external],
    ] as const) {
      if (!stream) continue;
      const file = createPending(target);
      pending.push(file);
      for (const chunk of stream.chunks()) file.write(chunk);
    }
  } catch (error) {
    for (const file of pending) file.discard();
    throw error;
  }
  return {bytes: encoded.byteLength, externalBytes: encoded.external?.byteLength ?? 0, pending};
}

async function prove(
  reference: Model,
  expected: Tensor,
  w: Written,
  probes: Probes,
  batch: number | undefined,
): Promise<Proof> {
  const session = await openSession(w.pending[0]!.temporaryPath);
  try {
    const proof = compareLogits(expected, await modelLogits(session, probes, batch), probes.names);
    if (!holds(proof)) throw proofFailed(w.path, proof, await firstDivergence(reference, w.model, probes));
    return proof;
  } finally {
    await session.close();
  }
}

/** What is known only now is appended: a protobuf message may carry its fields in any order. */
function finish(w: Written, r: Recognised, c: Checkpoint, sha256: string, options: ConvertOptions): void {
  const metadata = metadataBytes(
    provenance({recognised: r, checkpoint: c, sha256, emit: w.emit, proof: w.proof, labels: options.labels}),
  );
  w.pending[0]!.write(metadata);
  w.bytes += metadata.length;
  for (const file of [...w.pending].reverse()) file.commit(); // the data first: a model never lies there without it
}
