/** Do two models compute the same function? Measured output by output on random, edge and real images. */
import {GpdError} from '../core/error.js';
import {float32, type Tensor} from '../core/tensor.js';
import type {Session, SessionOptions} from '../onnx/session.js';
import {type Divergence, findDivergence} from './divergence.js';
import type {InputGroup} from './inputs.js';
import {LogHistogram} from './log-histogram.js';
import {runOutputs} from './logits.js';
import {argmax} from './scores.js';
import type {Subject} from './subject.js';

/** |Δ| ≤ 1e-4 · max(1, max |output|), image by image, as conversion proves: rounding in float32 leaves about 1e-6. */
export const DEFAULT_TOLERANCE = 1e-4;

export interface VerifyOptions {
  /** What is right, and what is held against it. */
  reference: Subject;
  actual: Subject;
  inputs: AsyncIterable<InputGroup> | Iterable<InputGroup>;
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
  /** Images beyond the tolerance. */
  exceeding: number;
  maxAbs: number;
  /** The worst image: maxAbs over max(1, its largest output). */
  relative: number;
  /** Of |Δ| over all numbers, at most 4 % too large. */
  p50: number;
  p99: number;
  p999: number;
  /** Images with the same largest output. */
  sameTop1: number;
}
export interface Verification {
  ok: boolean;
  tolerance: number;
  outputs: OutputComparison[];
  /** Outputs that only one of the models has. */
  unmatched: string[];
  worst: {kind: string; image: string; output: string; relative: number} | undefined;
  divergence: Divergence | undefined;
}

type OutputPair = [reference: string, actual: string];

/** By name; the logits of both belong together whatever their names. */
export function pairOutputs(a: Subject, b: Subject): {pairs: OutputPair[]; unmatched: string[]} {
  const [namesA, namesB] = [a, b].map((s) => s.model().graph.outputs.map((v) => v.name)) as [string[], string[]];
  const pairs: OutputPair[] = [[a.output, b.output]];
  for (const name of namesA) if (name !== a.output && name !== b.output && namesB.includes(name)) pairs.push([name, name]);
  const paired = new Set(pairs.flat());
  return {pairs, unmatched: [...new Set([...namesA, ...namesB])].filter((name) => !paired.has(name))};
}

/** One row of the table while images stream by. */
class Row {
  private readonly histogram = new LogHistogram();
  private images = 0;
  private exceeding = 0;
  private maxAbs = 0;
  private relative = 0;
  private sameTop1 = 0;

  constructor(
    private readonly output: string,
    private readonly kind: string,
    private readonly tolerance: number,
  ) {}

  /** One image's numbers; gives its relative difference. */
  add(reference: Float32Array, actual: Float32Array): number {
    let [worst, largest] = [0, 1];
    for (let i = 0; i < reference.length; i++) {
      const [want, got] = [reference[i]!, actual[i]!];
      const difference = Object.is(want, got) ? 0 : Math.abs(want - got);
      const distance = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
      this.histogram.add(distance);
      if (distance > worst) worst = distance;
      if (Math.abs(want) > largest) largest = Math.abs(want);
    }
    const relative = worst / largest;
    this.images++;
    if (!(relative <= this.tolerance)) this.exceeding++;
    if (argmax(reference) === argmax(actual)) this.sameTop1++;
    this.maxAbs = Math.max(this.maxAbs, worst);
    this.relative = Math.max(this.relative, relative);
    return relative;
  }

  result(): OutputComparison {
    const {output, kind, images, exceeding, maxAbs, relative, sameTop1, histogram} = this;
    const [p50, p99, p999] = [0.5, 0.99, 0.999].map((q) => histogram.quantile(q)) as [number, number, number];
    return {output, kind, images, exceeding, maxAbs, relative, p50, p99, p999, sameTop1};
  }
}

interface Worst {
  kind: string;
  image: string;
  output: string;
  relative: number;
  pixels: Tensor<'float32'>;
}

/** Throws SHAPE_MISMATCH where the models do not take the same images or give the same number of classes. */
export async function verify(options: VerifyOptions): Promise<Verification> {
  const {reference, actual, tolerance = DEFAULT_TOLERANCE} = options;
  checkComparable(reference, actual);
  const comparison = new Comparison(options, tolerance);
  await comparison.run();
  const {outputs, worst} = comparison.result();
  const ok = outputs.every((row) => row.exceeding === 0);
  const divergence =
    worst && (!ok || options.layers)
      ? await findDivergence(reference, actual, worst.pixels, tolerance, options.session)
      : undefined;
  const {pixels: _, ...place} = worst ?? {pixels: undefined};
  return {
    ok,
    tolerance,
    outputs,
    unmatched: comparison.unmatched,
    worst: worst ? (place as Omit<Worst, 'pixels'>) : undefined,
    divergence,
  };
}

function checkComparable(a: Subject, b: Subject): void {
  const facts = (s: Subject) => `${s.name} takes ${s.input.side} px and gives ${s.classes} classes`;
  if (a.input.side === b.input.side && a.classes === b.classes) return;
  const hint = 'compare models of one network; --image-size says what the checkpoint was trained for';
  throw new GpdError('SHAPE_MISMATCH', `${facts(a)}, ${facts(b)}`, {at: b.path, hint});
}

class Comparison {
  private readonly rows = new Map<string, Row>();
  private readonly pairs: OutputPair[];
  readonly unmatched: string[];
  private worst: Worst | undefined;

  constructor(
    private readonly options: VerifyOptions,
    private readonly tolerance: number,
  ) {
    const {pairs, unmatched} = pairOutputs(options.reference, options.actual);
    this.pairs = pairs;
    this.unmatched = unmatched;
  }

  async run(): Promise<void> {
    const {reference, actual, session = {}, inputs, signal, onProgress} = this.options;
    // Constants are folded, or a training form would merge its branches for every batch; nothing is fused.
    const first = await reference.open({...(session.threads !== undefined && {threads: session.threads}), optimize: 'basic'});
    try {
      const second = await actual.open(session);
      try {
        for await (const group of inputs) {
          await this.group(group, first, second);
          onProgress?.(group.kind, group.names.length);
          if (signal?.aborted) break;
        }
      } finally {
        await second.close();
      }
    } finally {
      await first.close();
    }
  }

  private async group({kind, images, names}: InputGroup, first: Session, second: Session): Promise<void> {
    const {reference, actual} = this.options;
    const [namesA, namesB] = [0, 1].map((side) => this.pairs.map((pair) => pair[side]!)) as [string[], string[]];
    const want = await runOutputs(first, reference, images, namesA);
    const got = await runOutputs(second, actual, images, namesB);
    for (const [p, pair] of this.pairs.entries()) {
      const output = pair[0] === pair[1] ? pair[0] : pair.join(' / ');
      const row = this.row(output, kind);
      const width = want[p]!.length / names.length;
      for (const [i, image] of names.entries()) {
        const rowOf = (all: Float32Array) => all.subarray(i * width, (i + 1) * width);
        const relative = row.add(rowOf(want[p]!), rowOf(got[p]!));
        if (!this.worst || relative > this.worst.relative)
          this.worst = {kind, image, output, relative, pixels: imageOf(images, i)};
      }
    }
  }

  private row(output: string, kind: string): Row {
    const key = `${output}\0${kind}`;
    const row = this.rows.get(key) ?? new Row(output, kind, this.tolerance);
    this.rows.set(key, row);
    return row;
  }

  result(): {outputs: OutputComparison[]; worst: Worst | undefined} {
    return {outputs: [...this.rows.values()].map((row) => row.result()), worst: this.worst};
  }
}

function imageOf(images: Tensor<'float32'>, i: number): Tensor<'float32'> {
  const [, ...shape] = images.shape;
  const size = images.data.length / images.shape[0]!;
  return float32([1, ...shape], images.data.slice(i * size, (i + 1) * size));
}
