/** The proof: two forms of one network, run by onnxruntime on the same images, give the same logits within a stated bound. */
import {compare, type Difference} from '../core/compare.js';
import {compareOutputs, OUTPUT_TOLERANCE, type OutputsDifference, provesNothing} from '../core/compare-outputs.js';
import {GpdError} from '../core/error.js';
import {float32, type Tensor} from '../core/tensor.js';
import {modelBytes} from '../onnx/encode.js';
import {feedWeights} from '../onnx/feed-weights.js';
import type {Model, Value} from '../onnx/graph.js';
import {openSession, type Session} from '../onnx/session.js';
import type {Probes} from './probes.js';

export interface ImageProof {
  image: string;
  maxAbs: number;
  /** maxAbs over the largest logit of the image, or of the median image where that is larger. */
  relative: number;
  /** Largest |logit| of the reference. */
  largest: number;
  sameTop1: boolean;
}
/** How far the logits of what was written are from those of the training form, on the images of the proof. */
export interface Proof {
  bound: number;
  /** The worst image. */
  maxAbs: number;
  relative: number;
  top1Agreement: number;
  images: readonly ImageProof[];
}

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

/** Image by image; a proof only where the verdict is `same`. */
export const compareLogits = (reference: Tensor, actual: Tensor): OutputsDifference =>
  compareOutputs(reference.data as Float32Array, actual.data as Float32Array, reference.shape[0]!, OUTPUT_TOLERANCE);

export function proofOf({images, maxAbs, relative, sameTop1}: OutputsDifference, names: readonly string[]): Proof {
  return {
    ...{bound: OUTPUT_TOLERANCE, maxAbs, relative, top1Agreement: sameTop1 / images.length},
    images: images.map(({maxAbs, relative, largest, sameTop1}, i) => ({image: names[i]!, maxAbs, relative, largest, sameTop1})),
  };
}

export interface FormDivergence {
  /** The first value of both forms that differs by more than the bound, or else is not finite, in the order of computation. */
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
export async function firstDivergence(before: Model, after: Model, probes: Probes): Promise<FormDivergence | undefined> {
  const pairs = commonValues(before, after);
  const watched = [pairs.map(([b]) => b), pairs.map(([, a]) => a)] as const;
  const [reference, actual] = await Promise.all([
    runWatched(before, watched[0], probes),
    runWatched(after, watched[1], probes),
  ]);
  const differences = pairs.map(([b, a]) => {
    const [got, want] = [actual.get(a.name)!, reference.get(b.name)!].map((t) => t.data as Float32Array) as [
      Float32Array,
      Float32Array,
    ];
    const {maxAbs, maxRel} = worstImage(got, want, probes.names.length);
    return {layer: a.name, maxAbs, relative: maxRel, finite: got.every(Number.isFinite) && want.every(Number.isFinite)};
  });
  const found = differences.find(({relative}) => !(relative <= OUTPUT_TOLERANCE)) ?? differences.find(({finite}) => !finite);
  return found && {layer: found.layer, maxAbs: found.maxAbs, relative: found.relative};
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

const MISMATCH =
  'nothing was written; this is a bug, or weights that float32 cannot hold: please report it with the checkpoint';

/** Why two forms are not proven to be one function, for the verdicts other than `same`. */
export function proofFailed(
  what: string,
  difference: OutputsDifference,
  names: readonly string[],
  divergence: FormDivergence | undefined,
): GpdError {
  const {images, nonFinite, verdict} = difference;
  const details = {...(divergence && {at: divergence.layer}), data: {verdict, difference, divergence}};
  const where = divergence
    ? `; the first layer ${nonFinite ? 'that is not finite or differs' : 'that differs'} is ${divergence.layer}`
    : '';
  const nothing = provesNothing(difference);
  if (nothing !== undefined) {
    const isOffset = difference.spread.variation > 0;
    const hint = isOffset
      ? 'nothing was written; take a constant that all classes share out of the last bias (softmax does not depend on it), or look for the layer that lost the image'
      : 'nothing was written; are these the trained weights? A network whose last layer is zero or whose units are dead gives the same answer for everything';
    return new GpdError('PROOF_FAILED', `${what}: nothing is proven: ${nothing}`, {...details, hint});
  }
  if (nonFinite > 0) {
    const image = names[images.findIndex(({finite}) => !finite)];
    const hint = 'nothing was written; the weights overflow float32, or the training diverged: use an earlier checkpoint';
    const message = `${what}: nothing is proven: logits are NaN or infinite on ${nonFinite} of ${images.length} images (first '${image}')${where}`;
    return new GpdError('PROOF_FAILED', message, {...details, hint});
  }
  const at = images.reduce((worst, image, i) => (isWorse(image, images[worst]!) ? i : worst), 0);
  const {maxAbs, allowed, otherTop1} = images[at]!;
  const top = otherTop1 ? ', another class on top' : '';
  const message = `${what} does not compute what the training form computes: logits differ by ${maxAbs.toExponential(2)} (image '${names[at]}', bound ${allowed.toExponential(2)}${top})${where}`;
  return new GpdError('PROOF_FAILED', message, {...details, hint: MISMATCH});
}

const isWorse = (a: OutputsDifference['images'][number], b: OutputsDifference['images'][number]): boolean =>
  a.ok === b.ok ? a.relative > b.relative : b.ok;
