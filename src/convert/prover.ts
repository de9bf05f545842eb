/** Proofs of one conversion: the reference logits of each role are computed once, and every output is held against them. */
import type {StagedFile} from '../core/output.js';
import type {StateDict, Tensor} from '../core/tensor.js';
import {type Recognised, recognise} from '../models/recognise.js';
import type {Model} from '../onnx/graph.js';
import {openSession, type Session} from '../onnx/session.js';
import type {Role} from '../reparam/parameters.js';
import {type NetworkOptions, referenceForm} from './build.js';
import type {Probes} from './probes.js';
import {compareLogits, firstDivergence, modelLogits, type Proof, proofFailed, proofOf, referenceLogits} from './prove.js';

/** Where the folder was moved away meanwhile, it is not the engine that is to blame: asking the file again throws OUTPUT_REFUSED. */
async function openWritten(file: StagedFile): Promise<Session> {
  try {
    return await openSession(file.temporaryPath);
  } catch (error) {
    file.finish();
    throw error;
  }
}

export class Prover {
  private readonly references = new Map<Role, {model: Model; logits: Tensor}>();

  constructor(
    private readonly recognised: Recognised,
    private readonly options: NetworkOptions,
    private readonly probes: Probes,
  ) {}

  /** The training form of a role, and what it computes. */
  async reference(role: Role): Promise<{model: Model; logits: Tensor}> {
    const known = this.references.get(role);
    if (known) return known;
    const model = await referenceForm(this.recognised, role, this.options);
    const reference = {model, logits: await referenceLogits(model, this.probes)};
    this.references.set(role, reference);
    return reference;
  }

  /** Runs the very bytes that were written. Throws PROOF_FAILED with the first layer that differs. */
  async prove(role: Role, model: Model, file: StagedFile, path: string): Promise<Proof> {
    const reference = await this.reference(role);
    const session = await openWritten(file);
    try {
      return await this.judge(path, await modelLogits(session, this.probes, this.options.batch), reference, model);
    } finally {
      await session.close();
    }
  }

  /** The plain network on deployed weights, recognised anew from their names and shapes. */
  async proveWeights(weights: StateDict, path: string): Promise<Proof> {
    const {imageSize, arch} = this.recognised;
    const options = {...this.options, imageSize, prefix: undefined, ratio: undefined, arch: undefined, ignore: undefined};
    const plain = recognise(weights, undefined, options);
    if (plain.arch.name !== arch.name)
      throw new Error(`deployed weights of ${arch.name} were recognised as ${plain.arch.name}`);
    const model = await referenceForm(plain, 'student', this.options);
    return this.judge(path, await referenceLogits(model, this.probes), await this.reference('student'), model);
  }

  private async judge(path: string, actual: Tensor, reference: {model: Model; logits: Tensor}, model: Model): Promise<Proof> {
    const difference = compareLogits(reference.logits, actual);
    const {names} = this.probes;
    if (difference.verdict === 'same') return proofOf(difference, names);
    const divergence =
      difference.verdict === 'different' ? await firstDivergence(reference.model, model, this.probes) : undefined;
    throw proofFailed(path, difference, names, divergence);
  }
}
