/** Do two models compute the same function? Measured output by output on random, edge and real images. */
import {
  OUTPUT_TOLERANCE,
  OutputsComparison,
  type OutputsDifference,
  provesNothing,
  type Verdict,
} from '../core/compare-outputs.js';
import {GpdError} from '../core/error.js';
import {float32, type Tensor} from '../core/tensor.js';
import type {Session, SessionOptions} from '../onnx/session.js';
import {unsteadyWarnings} from '../onnx/unsteady.js';
import {type Divergence, findDivergence} from './divergence.js';
import type {InputGroup} from './inputs.js';
import {LogHistogram} from './log-histogram.js';
import {runOutputs} from './logits.js';
import type {Subject} from './subject.js';

export interface VerifyOptions {
  /** What is right, and what is held against it. */
  reference: Subject;
  actual: Subject;
  inputs: AsyncIterable<InputGroup> | Iterable<InputGroup>;
  /** See core/compare-outputs.ts; infinite: differences are measured, not judged. Default `OUTPUT_TOLERANCE`. */
  tolerance?: number | undefined;
  /** Of the model under test. */
  session?: SessionOptions;
  /** Compare layer by layer even if the outputs agree. */
  layers?: boolean | undefined;
  onProgress?: (kind: string, images: number) => void;
  signal?: AbortSignal | undefined;
}

export interface OutputComparison {
  /** `logits`, or `logits / out` where the models name it differently. */
  output: string;
  kind: string;
  images: number;
  /** Numbers of an image; where it is one, no class can be on top. */
  width: number;
  /** Images that are not the same: beyond the tolerance, another top class by more than rounding, or not finite. */
  exceeding: number;
  /** Infinite where a number is not finite. */
  maxAbs: number;
  /** The worst image: maxAbs over its largest output, or the median image's where that is larger. */
  relative: number;
  /** Of |Δ| over all numbers, at most 4 % too large. */
  p50: number;
  p99: number;
  p999: number;
  /** Images with the same largest output. */
  sameTop1: number;
  /** Images whose largest output is another one, by more than rounding. */
  otherTop1: number;
  /** Images with a NaN or infinite number in either model. */
  nonFinite: number;
}
export interface Verification {
  /** The verdict is `same`. */
  ok: boolean;
  /** Of the logits; `different` where any output differs; `nothing` where a model draws random numbers. */
  verdict: Verdict;
  /** Outputs whose equality shows nothing, and why: they are the same for every input. */
  proveNothing: {output: string; why: string}[];
  tolerance: number;
  /** False if it was interrupted: the verdict is about the images that were seen. */
  complete: boolean;
  outputs: OutputComparison[];
  /** Outputs that were not compared, and why: only one of the models has them, or they have no row for each image. */
  uncompared: {output: string; why: string}[];
  worst: {kind: string; image: string; output: string; relative: number} | undefined;
  divergence: Divergence | undefined;
}

type OutputPair = [reference: string, actual: string];

/** By name; the logits of both belong together whatever their names, unless both models have either under its own. */
export function pairOutputs(a: Subject, b: Subject): {pairs: OutputPair[]; unmatched: Verification['uncompared']} {
  const [namesA, namesB] = [a, b].map((s) => s.model().graph.outputs.map((v) => v.name)) as [string[], string[]];
  const named = [a.output, b.output].find((name) => [a, b].every((s) => rowsOf(s, name) === s.classes));
  const pairs: OutputPair[] = [named === undefined ? [a.output, b.output] : [named, named]];
  const free = (name: string, side: 0 | 1): boolean => !pairs.some((pair) => pair[side] === name);
  for (const name of namesA) if (free(name, 0) && free(name, 1) && namesB.includes(name)) pairs.push([name, name]);
  const alone = [...namesA.filter((name) => free(name, 0)), ...namesB.filter((name) => free(name, 1))];
  const why = (name: string): string =>
    namesA.includes(name) && namesB.includes(name)
      ? `the logits are '${a.output}' in one model and '${b.output}' in the other`
      : 'only one of the models has it';
  return {pairs, unmatched: [...new Set(alone)].map((output) => ({output, why: why(output)}))};
}

/** How many numbers an output has for each image, where it is a table of them. */
function rowsOf(subject: Subject, name: string): number | string | undefined {
  const shape = subject.model().graph.outputs.find((v) => v.name === name)?.shape;
  return shape?.length === 2 ? shape[1] : undefined;
}

/** |Δ| over all numbers of one kind of inputs, for the quantiles of a table's row. */
class Row {
  readonly histogram = new LogHistogram();
  /** Places of its images in the comparison of the output. */
  readonly images: number[] = [];
  width = 0;

  constructor(readonly kind: string) {}

  add(image: number, reference: Float32Array, actual: Float32Array): void {
    this.images.push(image);
    this.width = reference.length;
    for (let i = 0; i < reference.length; i++) this.histogram.add(Math.abs(reference[i]! - actual[i]!));
  }

  result(output: string, {images}: OutputsDifference): OutputComparison {
    const own = this.images.map((i) => images[i]!);
    const count = (is: (image: (typeof own)[number]) => boolean) => own.filter(is).length;
    const most = (of: (image: (typeof own)[number]) => number) => own.reduce((m, image) => Math.max(m, of(image)), 0);
    const [p50, p99, p999] = [0.5, 0.99, 0.999].map((q) => this.histogram.quantile(q)) as [number, number, number];
    return {
      ...{output, kind: this.kind, images: own.length, width: this.width, exceeding: count(({ok}) => !ok)},
      ...{maxAbs: most(({maxAbs}) => maxAbs), relative: most(({relative}) => relative), p50, p99, p999},
      ...{sameTop1: count(({sameTop1}) => sameTop1), otherTop1: count(({otherTop1}) => otherTop1)},
      nonFinite: count(({finite}) => !finite),
    };
  }
}

interface Image {
  kind: string;
  image: string;
  pixels: Tensor<'float32'>;
}

/** One output of both models while images stream by. */
class Output {
  private readonly comparison: OutputsComparison;
  private readonly rows = new Map<string, Row>();
  private worst: Image | undefined;
  /** Why it cannot be compared. */
  refusal: string | undefined;

  constructor(
    readonly name: string,
    tolerance: number,
  ) {
    this.comparison = new OutputsComparison(tolerance);
  }

  add({kind, images, names}: InputGroup, reference: Float32Array, actual: Float32Array): void {
    this.refusal ??= whyNotByImage(names.length, reference, actual);
    if (this.refusal !== undefined) return;
    const row = this.rows.get(kind) ?? new Row(kind);
    this.rows.set(kind, row);
    const width = reference.length / names.length;
    for (const [i, image] of names.entries()) {
      const [want, got] = [reference, actual].map((all) => all.subarray(i * width, (i + 1) * width)) as [
        Float32Array,
        Float32Array,
      ];
      const place = this.comparison.add(want, got);
      row.add(place, want, got);
      if (this.comparison.worst === place) this.worst = {kind, image, pixels: imageOf(images, i)};
    }
  }

  result() {
    const difference = this.comparison.result();
    const rows = [...this.rows.values()].map((row) => row.result(this.name, difference));
    return {name: this.name, difference, rows, worst: this.worst, why: provesNothing(difference)};
  }
}

/** A value that does not lie image after image in both models is another thing than an output of each image. */
function whyNotByImage(images: number, reference: Float32Array, actual: Float32Array): string | undefined {
  if (reference.length !== actual.length) return `one has ${reference.length} numbers, the other ${actual.length}`;
  return reference.length % images === 0
    ? undefined
    : `its ${reference.length} numbers are not one row for each of ${images} images`;
}

/** Throws SHAPE_MISMATCH where the models do not take the same images or give the same number of classes. */
export async function verify(options: VerifyOptions): Promise<Verification> {
  const {reference, actual, tolerance = OUTPUT_TOLERANCE} = options;
  checkComparable(reference, actual);
  const comparison = new Comparison(options, tolerance);
  const complete = await comparison.run();
  refuseIncomparable(comparison.outputs[0]!, actual);
  const outputs = comparison.outputs.filter(({refusal}) => refusal === undefined).map((output) => output.result());
  const [logits] = outputs;
  const unsteady = whyNoFunction(reference, actual);
  const found = outputs.some(({difference}) => difference.verdict === 'different') ? 'different' : logits!.difference.verdict;
  const verdict = unsteady === undefined ? found : 'nothing';
  const [worst] = outputs.filter((o) => o.worst).sort((a, b) => (isWorse(a.difference, b.difference) ? -1 : 1));
  const differ = found === 'different';
  const images = worst ? comparison.probes(worst.worst!.pixels) : [];
  const {session} = options;
  const divergence =
    worst && (differ || options.layers)
      ? await findDivergence(reference, actual, {images, bound: tolerance, differ, session})
      : undefined;
  return {
    ok: verdict === 'same',
    verdict,
    proveNothing:
      unsteady === undefined
        ? outputs.flatMap(({name, why}) => (why === undefined ? [] : [{output: name, why}]))
        : [{output: logits!.name, why: unsteady}],
    tolerance,
    complete,
    outputs: outputs.flatMap(({rows}) => rows),
    uncompared: comparison.uncompared(),
    worst: worst && {...placeOf(worst.worst!), output: worst.name, relative: worst.difference.relative},
    divergence,
  };
}

/** Neither equal nor different means anything where a model does not answer one image with one answer. */
function whyNoFunction(reference: Subject, actual: Subject): string | undefined {
  for (const subject of [actual, reference]) {
    const [why] = unsteadyWarnings(subject.model());
    if (why !== undefined) return `in ${subject.name} ${why}`;
  }
  return undefined;
}

const placeOf = ({kind, image}: Image) => ({kind, image});
/** What differs before what does not; then the largest difference. */
const isWorse = (a: OutputsDifference, b: OutputsDifference): boolean =>
  a.exceeding > 0 === b.exceeding > 0 ? a.relative > b.relative : a.exceeding > 0;

function checkComparable(a: Subject, b: Subject): void {
  const facts = (s: Subject) => `${s.name} takes ${s.input.side} px and gives ${s.classes} classes`;
  if (a.input.side === b.input.side && a.classes === b.classes) return;
  const hint = 'compare models of one network; --image-size says what the checkpoint was trained for';
  throw new GpdError('SHAPE_MISMATCH', `${facts(a)}, ${facts(b)}`, {at: b.path, hint});
}

/** What a model declares and what it gives can be two things. */
function refuseIncomparable({name, refusal}: Output, {path}: Subject): void {
  if (refusal === undefined) return;
  const hint = 'an output [N, classes] is expected: one row for each image';
  throw new GpdError('SHAPE_MISMATCH', `the outputs '${name}' cannot be compared: ${refusal}`, {at: path, hint});
}

class Comparison {
  private readonly pairs: OutputPair[];
  private readonly unmatched: Verification['uncompared'];
  /** The logits first. */
  readonly outputs: Output[];
  /** The first images. */
  private readonly others: Tensor<'float32'>[] = [];

  constructor(
    private readonly options: VerifyOptions,
    tolerance: number,
  ) {
    const {pairs, unmatched} = pairOutputs(options.reference, options.actual);
    this.pairs = pairs;
    this.unmatched = unmatched;
    this.outputs = pairs.map((pair) => new Output(pair[0] === pair[1] ? pair[0] : pair.join(' / '), tolerance));
  }

  uncompared(): Verification['uncompared'] {
    return [
      ...this.unmatched,
      ...this.outputs.flatMap(({name, refusal}) => (refusal === undefined ? [] : [{output: name, why: refusal}])),
    ];
  }

  /** False if it was interrupted. */
  async run(): Promise<boolean> {
    const {reference, actual, session = {}, inputs, signal, onProgress} = this.options;
    // Constants are folded, or a training form would merge its branches for every batch; nothing is fused.
    const first = await reference.open({...(session.threads !== undefined && {threads: session.threads}), optimize: 'basic'});
    try {
      const second = await actual.open(session);
      try {
        for await (const group of inputs) {
          await this.group(group, first, second);
          onProgress?.(group.kind, group.names.length);
          if (signal?.aborted) return false;
        }
      } finally {
        await second.close();
      }
    } finally {
      await first.close();
    }
    return true;
  }

  /** A few images on which layers are compared, the worst first. */
  probes(worst: Tensor<'float32'>): Tensor<'float32'>[] {
    return [worst, ...this.others.filter(({data}) => data.some((v, i) => v !== worst.data[i]))].slice(0, LAYER_IMAGES);
  }

  private async group(group: InputGroup, first: Session, second: Session): Promise<void> {
    const more = Math.min(group.names.length, LAYER_IMAGES - this.others.length);
    for (let i = 0; i < more; i++) this.others.push(imageOf(group.images, i));
    const {reference, actual} = this.options;
    const [namesA, namesB] = [0, 1].map((side) => this.pairs.map((pair) => pair[side]!)) as [string[], string[]];
    const want = await runOutputs(first, reference, group.images, namesA);
    const got = await runOutputs(second, actual, group.images, namesB);
    for (const [p, output] of this.outputs.entries()) output.add(group, want[p]!, got[p]!);
  }
}

/** Layers are compared on so many images: enough for statistics of each channel where maps are small. */
const LAYER_IMAGES = 4;

function imageOf(images: Tensor<'float32'>, i: number): Tensor<'float32'> {
  const [, ...shape] = images.shape;
  const size = images.data.length / images.shape[0]!;
  return float32([1, ...shape], images.data.slice(i * size, (i + 1) * size));
}
