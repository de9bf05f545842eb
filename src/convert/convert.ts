/** From a checkpoint to proven files: recognise, build the training form, rewrite, write, prove, and only then let the files appear. */

import type {Checkpoint} from '../checkpoint/checkpoint.js';
import {checkpointSource} from '../checkpoint/checkpoint-source.js';
import {besideWarnings} from '../checkpoint/ignored-entries.js';
import {openCheckpoint} from '../checkpoint/open.js';
import {choiceFlags} from '../checkpoint/state-dicts.js';
import {GpdError, named, naming} from '../core/error.js';
import {checkOutput, type StagedFile, Staging} from '../core/output.js';
import {type PhaseHooks, phasesIn} from '../core/phases.js';
import {channelsOf} from '../models/layers.js';
import {leftOut, type Recognised, recognise} from '../models/recognise.js';
import {withoutText} from '../models/unknown-keys.js';
import {metadataBytes} from '../onnx/metadata.js';
import type {PassReport} from '../onnx/pass.js';
import {preloadRuntime} from '../onnx/session.js';
import {buildModel, type Emit, emits, type NetworkOptions} from './build.js';
import {deployedWeights} from './deployed-weights.js';
import {type Digest, digestFiles, refuseDamage} from './digest.js';
import {makeProbes} from './probes.js';
import type {Proof} from './prove.js';
import {provenance} from './provenance.js';
import {Prover} from './prover.js';
import {retain} from './retain.js';
import {type NetworkSize, sizeOfCheckpoint, sizeOfModel} from './sizes.js';
import {Stopwatch, type Timing} from './timing.js';
import {stageModel, stageWeights, type WeightsFormatName} from './write.js';

/** What a conversion is asked for; only `outputs` must be there, and may be empty where `weights` are asked for. */
export interface ConvertOptions extends NetworkOptions, PhaseHooks {
  /** Which ONNX file to write for each form. */
  outputs: Partial<Record<Emit, string>>;
  /** Which files to write with the deployed student's weights alone, under PyTorch's names. */
  weights?: Partial<Record<WeightsFormatName, string>> | undefined;
  /** Use the moving average of the weights. Default: the weights themselves, as the original evaluates. */
  ema?: boolean | undefined;
  /** The state dict under this key, such as `net` or `checkpoint.model`, of a file with several. Wins over `ema`. */
  key?: string | undefined;
  /** Replace files that exist. */
  force?: boolean | undefined;
  /** Seed of the images of the proof. Default 0. */
  seed?: number | undefined;
  /** Names of the classes, in order; written into the metadata. */
  labels?: readonly string[] | undefined;
}

/** One ONNX file that was written. */
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
/** One file of weights that was written. */
export interface WeightsReport {
  format: WeightsFormatName;
  path: string;
  bytes: number;
  tensors: number;
  /** Of the plain network on these weights, against the training form. */
  proof: Proof;
}
/** What a conversion made, of what, and how it was proven. Times are in milliseconds. */
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
  weights: WeightsReport[];
  /** What the proofs are about, where tensors were left out by name: `the network without 2 tensors: …`; else null. */
  without: {claim: string; keys: string[]} | null;
  warnings: string[];
  timing: Timing;
  /** Largest resident memory of this process so far. */
  peakBytes: number;
}

/**
 * Converts a file. Nothing appears under an output's name unless everything asked for was made and proven.
 * Throws GpdError: the codes of reading and recognising, WEIGHTS_NOT_FINITE, PROOF_FAILED, OUTPUT_REFUSED; the reason of the signal.
 */
export async function convertFile(path: string, options: ConvertOptions): Promise<ConversionReport> {
  const watch = new Stopwatch(options);
  options.onPlan?.(phasesOf(options));
  const source = checkpointSource(path);
  const paths = [...Object.values(options.outputs), ...Object.values(options.weights ?? {})];
  for (const output of paths) checkOutput(output, {force: options.force ?? false, inputs: [...source.files]});
  const runtime = preloadRuntime();
  const checkpoint = await watch.measure('open', () => openCheckpoint(source, options));
  const digesting = digestFiles(source.files, checkpoint.checksums());
  digesting.catch(() => {}); // awaited below; an earlier failure must not be reported twice
  const staging = new Staging({replace: options.force ?? false});
  try {
    const r = await watch.measure('recognise', () =>
      naming(path, () => recognise(checkpoint.stateDict, checkpoint.args, options), choiceFlags(options)),
    );
    checkLabels(options.labels, r);
    await runtime;
    const run = new Run(r, options, staging, watch);
    const outputs: Staged[] = [];
    for (const [emit, output] of Object.entries(options.outputs) as [Emit, string][])
      outputs.push(await run.output(emit, output));
    const weights = await run.weights();
    const digest = await watch.measure('digest', () => digesting);
    source.assertUnchanged?.();
    refuseDamage(path, digest);
    for (const output of outputs) appendProvenance(output, r, checkpoint, digest.sha256, options.labels);
    staging.commit();
    return {
      input: describeInput(path, source.size, digest, checkpoint),
      recognised: r,
      before: sizeOfCheckpoint(r),
      outputs: outputs.map(({file: _, ...report}) => report),
      weights,
      without: describeLeftOut(r),
      warnings: [...checkpoint.warnings, ...besideWarnings(checkpoint)],
      timing: watch.report(),
      peakBytes: process.resourceUsage().maxRSS * 1024,
    };
  } catch (error) {
    throw error instanceof GpdError && error.code === 'WEIGHTS_NOT_FINITE' ? named(path, error) : error;
  } finally {
    staging.discard();
    checkpoint.close();
  }
}

/** What a conversion will announce, in order. */
function phasesOf({outputs, weights = {}}: ConvertOptions): string[] {
  const ofOutput = (emit: Emit) => {
    const {minimal} = emits[emit];
    return phasesIn(minimal && 'run training form', 'rewrite and fold', 'write', minimal && 'prove');
  };
  const forWeights = ['run training form', 'rewrite and fold', 'prove', 'write'];
  const wanted = Object.keys(outputs) as Emit[];
  return phasesIn('open', 'recognise', wanted.flatMap(ofOutput), Object.keys(weights).length > 0 && forWeights, 'digest');
}

function describeLeftOut(r: Recognised): ConversionReport['without'] {
  const keys = leftOut(r);
  return keys.length > 0 ? {claim: withoutText(keys), keys} : null;
}

function checkLabels(labels: readonly string[] | undefined, {arch}: Recognised): void {
  if (!labels || labels.length === arch.classes) return;
  throw new GpdError('SHAPE_MISMATCH', `there are ${labels.length} labels for a network of ${arch.classes} classes`, {
    hint: 'give one label for each class, in the order of the classes',
  });
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

type Staged = OutputReport & {file: StagedFile};

/** One conversion under way: what its outputs share. */
class Run {
  private readonly retained: ReturnType<typeof retain>;
  private readonly prover: Prover;
  private readonly recognised: Recognised;

  constructor(
    recognised: Recognised,
    private readonly options: ConvertOptions,
    private readonly staging: Staging,
    private readonly watch: Stopwatch,
  ) {
    this.retained = retain(recognised.stateDict);
    this.recognised = {...recognised, stateDict: this.retained.stateDict};
    this.prover = new Prover(
      this.recognised,
      options,
      makeProbes(recognised.imageSize, options.seed ?? 0, channelsOf(recognised.arch)),
    );
  }

  async output(emit: Emit, path: string): Promise<Staged> {
    const {role, minimal} = emits[emit];
    const {watch} = this;
    // First what needs most memory: the tensors of the training form can be forgotten after the fold.
    if (minimal) await watch.measure('run training form', () => this.prover.reference(role));
    const {model, passes} = await watch.measure('rewrite and fold', () => buildModel(this.recognised, emit, this.options));
    this.retained.release();
    const written = await watch.measure('write', () => stageModel(model, path, this.staging));
    const size = sizeOfModel(model, this.recognised, role);
    const report: Staged = {emit, path, ...written, opset: model.opset, size, passes};
    if (minimal) report.proof = await watch.measure('prove', () => this.prover.prove(role, model, written.file, path));
    return report;
  }

  async weights(): Promise<WeightsReport[]> {
    const wanted = Object.entries(this.options.weights ?? {}) as [WeightsFormatName, string][];
    if (wanted.length === 0) return [];
    await this.watch.measure('run training form', () => this.prover.reference('student'));
    const weights = await this.watch.measure('rewrite and fold', () => deployedWeights(this.recognised));
    this.retained.release();
    const proof = await this.watch.measure('prove', () => this.prover.proveWeights(weights, wanted[0]![1]));
    return this.watch.measure('write', () =>
      wanted.map(([format, path]) => {
        const bytes = stageWeights(weights, format, path, this.staging);
        return {format, path, bytes, tensors: weights.size, proof};
      }),
    );
  }
}

/** What is known only now is appended: a protobuf message may carry its fields in any order. */
function appendProvenance(
  w: Staged,
  recognised: Recognised,
  checkpoint: Checkpoint,
  sha256: string,
  labels: readonly string[] | undefined,
): void {
  const metadata = metadataBytes(provenance({recognised, checkpoint, sha256, emit: w.emit, proof: w.proof, labels}));
  w.file.write(metadata);
  w.bytes += metadata.length;
}
