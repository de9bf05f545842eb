/** Batch norms: another epsilon, other statistics, and statistics of the images at hand (train mode). */
import type {Node} from '../../onnx/graph.js';
import {type NormNumbers, normNumbers} from './constants.js';
import type {Diagnosis, LayerEvidence} from './evidence.js';
import {explains, isCutOff, numbersOfChannel} from './explained.js';
import type {LayerValue} from './layer-values.js';
import {type ChannelFit, fitChannels, type Plane, type Planes} from './planes.js';

/** A line through fewer numbers shows nothing. */
const MIN_NUMBERS = 8;

const batchNormIn = ({chain, node}: LayerValue): Node | undefined =>
  (chain?.nodes ?? [node]).find(({opType}) => opType === 'BatchNormalization');

/** The numbers of the batch norm of either model, the reference's first. */
function knownNorm(
  {pair, constants}: LayerEvidence,
  {channels}: Planes,
): {norm: NormNumbers; ofReference: boolean} | undefined {
  for (const [ofReference, own] of [
    [true, pair.reference],
    [false, pair.actual],
  ] as const) {
    const node = batchNormIn(own);
    const norm = node && normNumbers(node, constants, channels);
    if (norm) return {norm, ofReference};
  }
  return undefined;
}

/** Scale and offset of each channel, where they explain the difference. */
function channelLines(evidence: LayerEvidence, planes: Planes): ChannelFit | undefined {
  if (numbersOfChannel(planes) < MIN_NUMBERS) return undefined;
  const fit = fitChannels(planes, {cut: isCutOff(evidence)});
  return explains(fit, planes, evidence.agreesTo) ? fit : undefined;
}

/** Whether another epsilon explains the difference, and which. */
export function epsilonLooks(evidence: LayerEvidence, planes: Planes): Diagnosis | undefined {
  const known = knownNorm(evidence, planes);
  const fit = known && channelLines(evidence, planes);
  const asked = fit && epsilonOf(fit, known.norm, known.ofReference, planes);
  if (asked === undefined) return undefined;
  const has = Number(known!.norm.epsilon.toPrecision(3));
  const [here, there] = known!.ofReference ? [asked, has] : [has, asked];
  return {kind: 'epsilon', text: `another epsilon of the batch norm: about ${here} where the reference has ${there}`};
}

/** Whether a scale and an offset for each channel explain it. */
export function statisticsLook(evidence: LayerEvidence, planes: Planes): Diagnosis | undefined {
  const text = 'other statistics or weights of the batch norm: each channel has its own scale and offset';
  return channelLines(evidence, planes) && {kind: 'batch-norm', text};
}

const ALIKE = 0.1;
/** Nobody uses a larger one: a scale that would ask for it has another reason. */
const MAX_EPSILON = 0.1;

/**
 * With epsilon e for the known ε, y − β is (x − β) · √((v + ε) / (v + e)). The e that each channel asks for is the same in most: it is the
 * epsilon. Undefined where they disagree, or where the offsets are others.
 */
function epsilonOf(
  {scales, offsets}: ChannelFit,
  norm: NormNumbers,
  ofReference: boolean,
  {largest}: Planes,
): number | undefined {
  const asked: number[] = [];
  for (const [c, scale] of scales.entries()) {
    const ratio = ofReference ? scale : 1 / scale;
    if (Math.abs(offsets[c]! - norm.bias[c]! * (1 - scale)) > 1e-3 * largest) return undefined;
    asked.push((norm.variance[c]! + norm.epsilon) / ratio ** 2 - norm.variance[c]!);
  }
  const sorted = asked.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  const median = at(0.5);
  const agree =
    Math.abs(at(0.25) - median) <= ALIKE * Math.abs(median) && Math.abs(at(0.75) - median) <= ALIKE * Math.abs(median);
  return agree && median > 0 && median <= MAX_EPSILON && Math.abs(median - norm.epsilon) > ALIKE * norm.epsilon
    ? Number(median.toPrecision(2))
    : undefined;
}

/** What lines for each image leave is so small a share of what lines for all leave. */
const OWN = 0.2;

/** Each image is scaled and shifted by itself, as by statistics of its own. */
export function imageStatisticsLook(evidence: LayerEvidence, planes: Planes): Diagnosis | undefined {
  if (planes.pixels < MIN_NUMBERS || planes.images.length < 2) return undefined;
  const pooled = fitChannels(planes, {cut: isCutOff(evidence)});
  const fits = planes.images.map((image) => fitChannels(planes, {images: [image], cut: isCutOff(evidence)}));
  const squares = fits.reduce((sum, fit) => sum + fit.residual ** 2, 0);
  const residual = Math.sqrt(squares / fits.length);
  if (residual > OWN * pooled.residual || !explains({residual}, planes, evidence.agreesTo)) return undefined;
  const known = knownNorm(evidence, planes);
  const asked = known && planes.images.every((image) => isNormalised(image, known.norm, planes));
  const text = asked
    ? 'train mode: the batch norm normalises each image by its own statistics, and not by the stored ones'
    : 'train mode, or another normalisation: each image has a scale and an offset of its own';
  return {kind: 'train-mode', text};
}

/** Whether most channels have the mean and the deviation that the bias and the weight of the batch norm ask for. */
function isNormalised({y}: Plane, {scale, bias}: NormNumbers, {channels, pixels}: Planes): boolean {
  let asked = 0;
  for (let c = 0; c < channels; c++) {
    let [sum, squares] = [0, 0];
    for (let i = c * pixels; i < (c + 1) * pixels; i++) {
      sum += y[i]!;
      squares += y[i]! ** 2;
    }
    const mean = sum / pixels;
    const deviation = Math.sqrt(Math.max(0, squares / pixels - mean ** 2));
    const size = Math.abs(scale[c]!);
    if (Math.abs(mean - bias[c]!) <= ALIKE * size && Math.abs(deviation - size) <= ALIKE * size) asked++;
  }
  return asked >= MOST * channels;
}
/** A channel that does not vary is brought to 0. */
const MOST = 0.8;
