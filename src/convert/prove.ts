/** The proof: two forms of one network, run by onnxruntime on the same images, give the same logits within a stated bound. */
import {compare, type Difference} from '../core/compare.js';
import {GpdError} from '../core/error.js';
import {float32, type Tensor} from '../core/tensor.js';
import {modelBytes} from '../onnx/encode.js';
import {feedWeights} from '../onnx/feed-weights.js';
import type {Model, Value} from '../onnx/graph.js';
import {openSession, type Session} from '../onnx/session.js';
import type {Probes} from './probes.js';

/**
 * |Δ| ≤ 1e-4 · max(1, max |logit|), image by image. Rounding leaves about 1e-6 of that, 3e-5 at worst; each of 25 single
 * mistakes (a factor forgotten, a wrong slice, a swapped statistic) exceeds it.
 */
export const PROOF_BOUND = 1e-4;

export interface ImageProof {
  image: string;
  maxAbs: number;
  /** maxAbs over max(1, largest logit). */
  relative: number;
  /** Of the reference. */
  largest: number;
  sameTop1: boolean;
}
export interface Proof {
  bound: number;
  /** The worst image. */
  maxAbs: number;
  relative: number;
  top1Agreement: number;
  images: readonly ImageProof[];
}

const argmax = (values: Float32Array): number => values.reduce((best, v, i) => (v > values[best]! ? i : best), 0);

/** The logits of the training form, its nodes run as they are on the tensors of the checkpoint. */
export async function referenceLogits(before: Model, probes: Probes): Promise<Tensor> {
  const fed = feedWeights(before);
  const session = await openSession(modelBytes(fed.model), {optimize: 'disabled', arena: false});
  try {
    const inputs = fed.readWeights();
    inputs.set(before.graph.inputs[0]!.name, probes.images);
    return only(await session.run(inputs));
  } finally {
    await session.close();
  }
}

const only = (outputs: Map<string, Tensor>): Tensor => [...outputs.values()][0]!;

/** The logits of a finished model; a fixed batch is filled as often as needed. */
export async function modelLogits(session: Session, probes: Probes, batch: number | undefined): Promise<Tensor> {
  const input = session.inputNames[0]!;
  const [count, ...shape] = probes.images.shape as [number, ...number[]];
  if (batch === undefined) return only(await session.run(new Map([[input, probes.images]])));
  const size = probes.images.data.length / count;
  const rows: Float32Array[] = [];
  for (let start = 0; start < count; start += batch) {
    const images = new Float32Array(batch * size);
    images.set(probes.images.data.subarray(start * size, Math.min(count, start + batch) * size));
    rows.push((only(await session.run(new Map([[input, float32([batch, ...shape], images)]]))).data as Float32Array).slice());
  }
  const classes = rows[0]!.length / batch;
  const all = Float32Array.from(rows.flatMap((r) => [...r])).subarray(0, count * classes);
  return float32([count, classes], all);
}

export function compareLogits(reference: Tensor, actual: Tensor, names: readonly string[]): Proof {
  const classes = reference.shape[1]!;
  const images = names.map((image, i): ImageProof => {
    const [want, got] = [reference, actual].map((t) => (t.data as Float32Array).subarray(i * classes, (i + 1) * classes)) as [
      Float32Array,
      Float32Array,
    ];
    const {maxAbs, maxExpected} = compare(got, want, {because: 'measured here, judged below'});
    return {
      image,
      maxAbs,
      relative: maxAbs / Math.max(1, maxExpected),
      largest: maxExpected,
      sameTop1: argmax(want) === argmax(got),
    };
  });
  return {
    bound: PROOF_BOUND,
    maxAbs: Math.max(...images.map((i) => i.maxAbs)),
    relative: Math.max(...images.map((i) => i.relative)),
    top1Agreement: images.filter((i) => i.sameTop1).length / images.length,
    images,
  };
}

export const holds = (proof: Proof): boolean => proof.relative <= proof.bound;

export interface Divergence {
  /** The first value of both forms that differs by more than the bound, in the order of computation. */
  layer: string;
  maxAbs: number;
  relative: number;
}

/** Values that both forms compute, by name, in the order of the second. */
function commonValues(before: Model, after: Model): [Value, Value][] {
  return after.graph.nodes.flatMap((node) => {
    const own = node.output;
    const other = before.graph.value(own.name);
    return other?.producer && !own.initializer ? [[other, own] as [Value, Value]] : [];
  });
}

/** Image by image, so that one of large numbers does not hide the others. In every value the images lie one after another. */
function worstImage(actual: Float32Array, expected: Float32Array, images: number): Difference {
  const size = expected.length / images;
  const differences = Array.from({length: images}, (_, i) => {
    const [got, want] = [actual, expected].map((v) => v.subarray(i * size, (i + 1) * size)) as [Float32Array, Float32Array];
    return compare(got, want, {because: 'search'});
  });
  return differences.reduce((a, b) => (b.maxRel > a.maxRel ? b : a));
}

/** Runs both forms with every common value as an output, and names the first that diverges. */
export async function firstDivergence(before: Model, after: Model, probes: Probes): Promise<Divergence | undefined> {
  const pairs = commonValues(before, after);
  const watched = [pairs.map(([b]) => b), pairs.map(([, a]) => a)] as const;
  const [reference, actual] = await Promise.all([
    runWatched(before, watched[0], probes),
    runWatched(after, watched[1], probes),
  ]);
  for (const [b, a] of pairs) {
    const [got, want] = [actual.get(a.name)!, reference.get(b.name)!].map((t) => t.data as Float32Array) as [
      Float32Array,
      Float32Array,
    ];
    const {maxAbs, maxRel} = worstImage(got, want, probes.names.length);
    if (!(maxRel <= PROOF_BOUND)) return {layer: a.name, maxAbs, relative: maxRel};
  }
  return undefined;
}

async function runWatched(model: Model, watch: readonly Value[], probes: Probes): Promise<Map<string, Tensor>> {
  const fed = feedWeights(model, watch);
  const session = await openSession(modelBytes(fed.model), {optimize: 'disabled', arena: false});
  try {
    const inputs = fed.readWeights();
    inputs.set(model.graph.inputs[0]!.name, probes.images);
    return await session.run(inputs);
  } finally {
    await session.close();
  }
}

export function proofFailed(what: string, proof: Proof, divergence: Divergence | undefined): GpdError {
  const worst = proof.images.reduce((a, b) => (a.relative > b.relative ? a : b));
  const where = divergence ? `; the first layer that differs is ${divergence.layer}` : '';
  return new GpdError(
    'PROOF_FAILED',
    `${what} does not compute what the training form computes: logits differ by ${proof.maxAbs.toExponential(2)} (image '${worst.image}', bound ${(proof.bound * Math.max(1, worst.largest)).toExponential(2)})${where}`,
    {
      ...(divergence && {at: divergence.layer}),
      hint: 'nothing was written; this is a bug, or weights that float32 cannot hold: please report it with the checkpoint',
      data: {proof, divergence},
    },
  );
}
