/**
 * Static int8: the float32 student and real images in, the quantised model and everything that was tried out. Choices are made by how far
 * the logits move on the calibration images; the images that decide whether the result is good enough take no part in them.
 */
import {GpdError} from '../../core/error.js';
import {cloneModel} from '../../onnx/clone-model.js';
import type {Model, Value} from '../../onnx/graph.js';
import {type ActivationScheme, affineOf, type QuantParameters, type WeightRange} from './affine.js';
import {type Agreement, agreementOf} from './agreement.js';
import {correctBiases} from './correct-biases.js';
import {type BiasType, emitQuantised} from './emit.js';
import {equalise} from './equalise.js';
import {leastThatHolds, rank} from './exclude.js';
import type {Histogram} from './histogram.js';
import {macsOfUnit} from './macs.js';
import {type Batches, logitsOfBatches, observe} from './observe.js';
import {planUnits, type Selection, select, type Unit} from './plan.js';
import {type RangeMethodName, rangeMethods} from './ranges.js';

/** What quantisation measures with, and what it may choose. */
export interface QuantiseOptions {
  /** Images from which ranges, means and the distance to float32 are measured. */
  readonly calibration: Batches;
  /** Percent of labelled images that a model gets right; not those of the calibration. */
  readonly check?: ((candidate: Model) => Promise<number>) | undefined;
  /** How many points below float32 that may be. Only with `check`. */
  readonly maxDrop?: number | undefined;
  /** Default: the one whose logits are nearest. */
  readonly method?: RangeMethodName | undefined;
  /** Default asymmetric: what onnxruntime's CPU kernels are fastest with. */
  readonly activations?: ActivationScheme | undefined;
  /** How biases are stored. Default int32, what integer kernels add. */
  readonly biasType?: BiasType | undefined;
  /** Default full: 8 bits. */
  readonly weightRange?: WeightRange | undefined;
  readonly onStep?: ((step: QuantiseStep) => void) | undefined;
}

/** One candidate. */
export interface QuantiseStep extends Agreement {
  readonly tried: string;
  /** It took the place of the best so far. */
  readonly kept: boolean;
  /** Percent, where the candidate was checked. */
  readonly top1?: number;
  /** Points below float32. */
  readonly drop?: number;
}
export interface UnitSensitivity {
  readonly name: string;
  readonly operator: string;
  /** How much smaller the divergence is with this layer in float32. */
  readonly gain: number;
  readonly macs: number;
}
/** What was chosen, what was tried, and how far the result is from float32. */
export interface QuantiseReport {
  readonly method: RangeMethodName;
  readonly activations: ActivationScheme;
  /** Images of the calibration. */
  readonly images: number;
  /** Nodes on integers, and those that were left in float32 although they need not be. */
  readonly quantised: number;
  readonly inFloat32: readonly string[];
  /** Pairs of layers that were equalised. */
  readonly equalised: number;
  readonly biasesCorrected: boolean;
  readonly steps: readonly QuantiseStep[];
  /** Most worth leaving in float32 first; measured where the gate was not met at once. */
  readonly sensitivities: readonly UnitSensitivity[];
  /** Of the final model, on the calibration images. */
  readonly agreement: Agreement;
  /** Undefined without `check`. */
  readonly accuracy?: {readonly float32: number; readonly int8: number; readonly drop: number; readonly ok: boolean};
}
/** The int8 model, and how it was found. */
export interface Quantised {
  readonly model: Model;
  readonly report: QuantiseReport;
}

/** `model` stays as it is: float32, with batch norms folded. */
export async function quantiseModel(model: Model, options: QuantiseOptions): Promise<Quantised> {
  return new Quantisation(model, options).run();
}

/** A float32 network and what was observed of it. The equalised one is another. */
interface Prepared {
  readonly model: Model;
  readonly units: readonly Unit[];
  readonly selection: Selection;
  readonly histograms: ReadonlyMap<Value, Histogram>;
  readonly equalised: number;
}
interface Candidate {
  readonly prepared: Prepared;
  readonly method: RangeMethodName;
  readonly affine: ReadonlyMap<Value, QuantParameters>;
  readonly biases: ReadonlyMap<Unit, Float64Array>;
  readonly excluded: ReadonlySet<Unit>;
}

/** Throws EXPORT_REFUSED where there is nothing to learn from: no images, or activations that are no numbers. */
function refuseUnusable(histograms: ReadonlyMap<Value, Histogram>): void {
  for (const [{name}, {total, nonFinite}] of histograms) {
    if (total > 0 && nonFinite === 0) continue;
    const problem = nonFinite > 0 ? `${nonFinite} numbers of '${name}' are NaN or infinite` : 'there are no images';
    throw new GpdError('EXPORT_REFUSED', `ranges cannot be measured: ${problem}`, {
      at: name,
      hint: 'calibrate with a few hundred images that the float32 network answers sensibly: see gpd eval',
    });
  }
}

class Quantisation {
  private readonly steps: QuantiseStep[] = [];
  private readonly scheme: ActivationScheme;
  private reference!: {data: Float32Array; classes: number};
  private best!: {candidate: Candidate; agreement: Agreement};
  private sensitivities: UnitSensitivity[] = [];

  constructor(
    private readonly original: Model,
    private readonly options: QuantiseOptions,
  ) {
    this.scheme = options.activations ?? 'asymmetric';
  }

  async run(): Promise<Quantised> {
    this.reference = await logitsOfBatches(this.original, this.options.calibration);
    const plain = await this.prepare(this.original, 0);
    await this.chooseMethod(plain);
    await this.tryBiases();
    await this.tryEqualising();
    const accuracy = await this.meetGate();
    return {model: this.build(this.best.candidate), report: this.report(accuracy)};
  }

  private async prepare(model: Model, equalised: number): Promise<Prepared> {
    const units = planUnits(model.graph);
    const selection = select(model.graph, units, new Set());
    const own = [...new Set([...selection.quantised].map((v) => selection.sameScale.get(v) ?? v))];
    const histograms = await observe(model, own, this.options.calibration);
    refuseUnusable(histograms);
    return {model, units, selection, histograms, equalised};
  }

  private candidate(prepared: Prepared, method: RangeMethodName): Candidate {
    const {range} = rangeMethods[method];
    const bounds = new Map(prepared.units.map((unit) => [unit.output, unit.bounds]));
    const affine = new Map(
      [...prepared.histograms].map(([value, histogram]) => {
        const {low, high} = range(histogram, this.scheme);
        const bound = bounds.get(value);
        return [
          value,
          affineOf({low: Math.max(low, bound?.low ?? low), high: Math.min(high, bound?.high ?? high)}, this.scheme),
        ];
      }),
    );
    return {prepared, method, affine, biases: new Map(), excluded: new Set()};
  }

  private build({prepared, affine, biases, excluded}: Candidate): Model {
    const {model, units} = prepared;
    const {biasType, weightRange} = this.options;
    return emitQuantised(model, select(model.graph, units, excluded), {affine, biases, biasType, weightRange});
  }

  private async agreement(candidate: Candidate): Promise<Agreement> {
    const {data, classes} = await logitsOfBatches(this.build(candidate), this.options.calibration);
    return agreementOf(this.reference.data, data, classes);
  }

  /** The candidate becomes the best if its logits are nearer. */
  private async consider(tried: string, candidate: Candidate): Promise<void> {
    const agreement = await this.agreement(candidate);
    const kept = !this.best || agreement.divergence < this.best.agreement.divergence;
    if (kept) this.best = {candidate, agreement};
    this.note({tried, ...agreement, kept});
  }
  private note(step: QuantiseStep): void {
    this.steps.push(step);
    this.options.onStep?.(step);
  }

  private async chooseMethod(prepared: Prepared): Promise<void> {
    const all = Object.keys(rangeMethods) as RangeMethodName[];
    for (const method of this.options.method ? [this.options.method] : all)
      await this.consider(`ranges by ${method}`, this.candidate(prepared, method));
  }

  private async withBiases(candidate: Candidate): Promise<Candidate> {
    const {model, selection} = candidate.prepared;
    const {weightRange} = this.options;
    return {
      ...candidate,
      biases: await correctBiases(model, selection, {affine: candidate.affine, weightRange}, this.options.calibration),
    };
  }

  private async tryBiases(): Promise<void> {
    await this.consider('biases corrected', await this.withBiases(this.best.candidate));
  }

  private async tryEqualising(): Promise<void> {
    const model = cloneModel(this.original);
    const pairs = await equalise(model, this.options.calibration);
    if (pairs === 0) return;
    const equalised = this.candidate(await this.prepare(model, pairs), this.best.candidate.method);
    await this.consider('channels equalised across layers', equalised);
    await this.consider('channels equalised, biases corrected', await this.withBiases(equalised));
  }

  private async meetGate(): Promise<QuantiseReport['accuracy']> {
    const {check, maxDrop} = this.options;
    if (!check) return undefined;
    const float32 = await check(this.original);
    const judge = async (tried: string, candidate: Candidate) => {
      const [agreement, top1] = [await this.agreement(candidate), await check(this.build(candidate))];
      const drop = float32 - top1;
      const ok = maxDrop === undefined || drop <= maxDrop;
      this.note({tried, ...agreement, top1, drop, kept: ok});
      return {candidate, agreement, top1, drop, ok};
    };
    let last = await judge('accuracy of the nearest', this.best.candidate);
    if (!last.ok) {
      const order = await this.rankUnits();
      await leastThatHolds(order.length, async (n) => {
        const excluded = new Set(order.slice(0, n));
        const attempt = await judge(`${n} of ${order.length} layers in float32`, {...this.best.candidate, excluded});
        if (attempt.ok || !last.ok) last = attempt;
        return attempt.ok;
      });
      this.best = last;
    }
    return {float32, int8: last.top1, drop: last.drop, ok: last.ok};
  }

  /** Layers with weights, most worth leaving in float32 first. */
  private async rankUnits(): Promise<Unit[]> {
    const {candidate, agreement} = this.best;
    const weighted = candidate.prepared.units.filter((unit) => unit.weight);
    const measured = [];
    for (const item of weighted) {
      const without = await this.agreement({...candidate, excluded: new Set([item])});
      measured.push({item, gain: agreement.divergence - without.divergence, cost: macsOfUnit(item)});
    }
    const ranked = rank(measured);
    this.sensitivities = ranked.map(({item, gain, cost}) => ({
      name: item.node.name,
      operator: item.node.opType,
      gain,
      macs: cost,
    }));
    return ranked.map(({item}) => item);
  }

  private report(accuracy: QuantiseReport['accuracy']): QuantiseReport {
    const {candidate, agreement} = this.best;
    const {prepared, method, biases, excluded} = candidate;
    const {model, units, equalised} = prepared;
    return {
      method,
      activations: this.scheme,
      images: this.reference.data.length / this.reference.classes,
      quantised: select(model.graph, units, excluded).units.size,
      inFloat32: [...excluded].map(({node}) => node.name),
      equalised,
      biasesCorrected: biases.size > 0,
      steps: this.steps,
      sensitivities: this.sensitivities,
      agreement,
      ...(accuracy && {accuracy}),
    };
  }
}
