/**
 * What the difference at a layer looks like. A sentence stands here only where a test supports it: on the numbers of the layer in both models,
 * on its weights, or on what the two nodes say themselves.
 */
import type {Tensor} from '../../core/tensor.js';
import type {Value} from '../../onnx/graph.js';
import type {SessionOptions} from '../../onnx/session.js';
import type {Subject} from '../subject.js';
import {constantsOfChain, readConstants} from './constants.js';
import {diagnoseNodes, diagnoseShapes} from './diagnose-nodes.js';
import {diagnoseNumbers} from './diagnose-numbers.js';
import {diagnoseOperators} from './diagnose-operators.js';
import {diagnoseWeights, likenessOfPair} from './diagnose-weights.js';
import type {Diagnosis, DiagnosisContext, LayerEvidence} from './evidence.js';
import {SAME_KERNEL} from './kernels.js';
import type {LayerValue} from './layer-values.js';
import type {MatchedPair} from './match-layers.js';
import {type Planes, planesOf} from './planes.js';
import {type SeenValue, Watch} from './watch.js';

/** Of operators whose result has its channels last: a table of tokens. */
const TOKENS = new Set(['Gemm', 'MatMul', 'LayerNormalization', 'FusedMatMul', 'FusedGemm']);

/** What the numbers show of that which the nodes say themselves. */
const FOLLOWS = new Set<Diagnosis['kind']>(['batch-norm', 'epsilon', 'padding', 'scale', 'train-mode']);

/** Of the first layer that differs; empty where no hypothesis is supported. */
export async function diagnose(pair: MatchedPair, context: DiagnosisContext): Promise<Diagnosis[]> {
  const {reference, actual} = pair;
  const chain = (own: LayerValue): Value[] => (own.chain ? constantsOfChain(own.chain) : []);
  const constants = new Map([
    ...(await readConstants(context.a.subject, chain(reference))),
    ...(await readConstants(context.b.subject, chain(actual))),
  ]);
  const layer = reference.paths[0] ?? actual.paths[0] ?? reference.value.name;
  const planes = pair.layout === undefined ? undefined : await readPlanes(pair, context);
  const evidence: LayerEvidence = {...context, pair, layer, constants, planes};
  const sameKernel = (likenessOfPair(evidence) ?? 1) >= SAME_KERNEL;
  if (!planes) return sameKernel ? diagnoseShapes(evidence) : diagnoseWeights(evidence);
  const nodes = sameKernel ? diagnoseNodes(evidence) : [];
  const numbers = diagnoseNumbers(evidence);
  if (nodes.length > 0) return numbers && !FOLLOWS.has(numbers.kind) ? [...nodes, numbers] : nodes;
  if (numbers) return [numbers];
  const weights = await diagnoseWeights(evidence);
  return weights.length > 0 ? weights : diagnoseOperators(evidence);
}

async function readPlanes(pair: MatchedPair, {a, b, images, session = {}}: DiagnosisContext): Promise<Planes> {
  const {reference, actual, layout} = pair;
  const [x, y] = [
    await seeAll(a.subject, reference.value, images, session),
    await seeAll(b.subject, actual.value, images, session),
  ];
  const operator = (reference.chain?.head ?? reference.node).opType;
  return planesOf(
    x.map((own, i) => ({x: own, y: y[i]!})),
    layout!,
    TOKENS.has(operator),
  );
}

async function seeAll(
  subject: Subject,
  value: Value,
  images: readonly Tensor<'float32'>[],
  session: SessionOptions,
): Promise<SeenValue[]> {
  const watch = await Watch.open(subject, [value], session);
  try {
    const seen: SeenValue[] = [];
    for (const image of images) seen.push((await watch.see(image, [value]))[0]!);
    return seen;
  } finally {
    await watch.close();
  }
}
