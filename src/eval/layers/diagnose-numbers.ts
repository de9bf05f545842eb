/** Hypotheses about a difference, tested on the numbers of the layer in both models. The first that explains the difference counts. */
import {tiny} from '../../core/format.js';
import {biasOfChain} from './constants.js';
import {epsilonLooks, imageStatisticsLook, statisticsLook} from './diagnose-norm.js';
import {bordersLook, permutedLook, transposedLook} from './diagnose-places.js';
import type {Diagnosis, LayerEvidence} from './evidence.js';
import {EXPLAINED, explains, isCutOff, mayRemain, numbersOfChannel} from './explained.js';
import {fitChannels, type Planes} from './planes.js';

/** Numbers for each channel, below which a fit shows nothing. */
const MIN_NUMBERS = 4;

type Test = (evidence: LayerEvidence, planes: Planes) => Diagnosis | undefined;

/** THE order of hypotheses: the simplest first. */
const tests: readonly Test[] = [
  precision,
  activation,
  imageStatisticsLook,
  bias,
  epsilonLooks,
  scale,
  statisticsLook,
  bordersLook,
  transposedLook,
  permutedLook,
];

/** The first hypothesis that the numbers support. */
export function diagnoseNumbers(evidence: LayerEvidence): Diagnosis | undefined {
  const {planes} = evidence;
  if (!planes || !(planes.difference > 0) || !Number.isFinite(planes.difference)) return undefined;
  for (const test of tests) {
    const found = test(evidence, planes);
    if (found) return found;
  }
  return undefined;
}

/** Root mean square of what a hypothesis leaves of each pair of numbers. */
function remainder({images}: Planes, off: (x: number, y: number) => number): number {
  let [squares, count] = [0, 0];
  for (const {x, y} of images)
    for (let i = 0; i < x.length; i++) {
      squares += off(x[i]!, y[i]!) ** 2;
      count++;
    }
  return Math.sqrt(squares / count);
}

function precision({pair, constants}: LayerEvidence, {images, largest}: Planes): Diagnosis | undefined {
  const chains = [pair.reference, pair.actual].flatMap(({chain, node}) => chain?.nodes ?? [node]);
  const halves =
    [pair.reference, pair.actual].some(({value}) => value.dtype === 'float16') ||
    chains.some(({inputs}) => inputs.some((v) => v && constants.get(v)?.dtype === 'float16'));
  const most = images.reduce((m, {x, y}) => x.reduce((n, v, i) => Math.max(n, Math.abs(v - y[i]!)), m), 0);
  return halves && most <= 2 ** -8 * largest // a few roundings of 2⁻¹¹
    ? {kind: 'precision', text: `rounding to float16: ${tiny(most / largest)} of the largest number`}
    : undefined;
}

function activation({agreesTo}: LayerEvidence, planes: Planes): Diagnosis | undefined {
  const bound = mayRemain(planes, agreesTo);
  const relu = (v: number) => Math.max(0, v);
  const six = (v: number) => Math.min(6, v);
  if (remainder(planes, (x, y) => x - relu(y)) <= bound)
    return {kind: 'activation', text: 'a missing ReLU: with one, the numbers are those of the reference'};
  if (remainder(planes, (x, y) => y - relu(x)) <= bound)
    return {kind: 'activation', text: 'a ReLU that the reference does not have'};
  if (remainder(planes, (x, y) => y - six(x)) <= bound)
    return {kind: 'activation', text: 'numbers cut off at 6 (ReLU6), which the reference does not do'};
  if (remainder(planes, (x, y) => x - six(y)) <= bound)
    return {kind: 'activation', text: 'ReLU where the reference has ReLU6: its numbers are cut off at 6'};
  return undefined;
}

const rms = (values: ArrayLike<number>): number => {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i]! ** 2;
  return Math.sqrt(squares / values.length);
};
/** Two numbers for each channel that are the same but for a few percent of their size. */
const areAlike = (p: Float64Array, q: ArrayLike<number>): boolean => rms(p.map((v, c) => v - q[c]!)) <= EXPLAINED * rms(p);

function bias(evidence: LayerEvidence, planes: Planes): Diagnosis | undefined {
  if (numbersOfChannel(planes) < MIN_NUMBERS) return undefined;
  const {pair, constants, agreesTo, layer} = evidence;
  const fit = fitChannels(planes, {offsetOnly: true, cut: isCutOff(evidence)});
  if (!explains(fit, planes, agreesTo)) return undefined;
  const {reference, actual} = pair;
  const [want, got] = [reference, actual].map(({chain}) => chain && biasOfChain(chain, constants, planes.channels));
  if (
    want &&
    areAlike(
      fit.offsets,
      want.map((v) => -v),
    )
  ) {
    const norm = reference.chain!.nodes.length > 1 ? `, batch norm included,` : '';
    return {kind: 'bias', text: `a dropped bias: the offset of each channel is the bias of ${layer}${norm} in the reference`};
  }
  if (got && areAlike(fit.offsets, got)) return {kind: 'bias', text: `a bias that ${layer} of the reference does not have`};
  const known =
    want &&
    got &&
    areAlike(
      fit.offsets,
      got.map((v, c) => v - want[c]!),
    )
      ? ', as the weights say'
      : '';
  return {kind: 'bias', text: `another bias, or another mean of the batch norm: each channel has a constant offset${known}`};
}

function scale(evidence: LayerEvidence, planes: Planes): Diagnosis | undefined {
  const fit = fitChannels(planes, {together: true, cut: isCutOff(evidence)});
  if (!explains(fit, planes, evidence.agreesTo)) return undefined;
  const [by, offset] = [fit.scales[0]!, fit.offsets[0]!];
  const plus = Math.abs(offset) > 1e-3 * planes.largest ? ` plus ${Number(offset.toPrecision(4))}` : '';
  return {kind: 'scale', text: `all numbers of the layer times ${Number(by.toPrecision(5))}${plus}`};
}
