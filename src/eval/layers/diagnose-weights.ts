/** What the kernels of the layer in both models say: another layer's weights, exchanged channels, or simply other numbers. */
import {constantsOfChain, readConstants} from './constants.js';
import type {Diagnosis, DiagnosisContext, LayerEvidence} from './evidence.js';
import {cosine, kernelFrom, type LayerKernel, likeness, SAME_KERNEL} from './kernels.js';
import type {LayerValue} from './layer-values.js';

/** Kernels of the reference that one is compared with. */
const MAX_KERNELS = 200;

const headWeights = ({chain}: LayerValue) => chain?.head.inputs[1];
const lastOfChain = ({chain, node}: LayerValue): boolean => chain !== undefined && chain.nodes.at(-1) === node;

function kernelIn(own: LayerValue, constants: LayerEvidence['constants']): LayerKernel | undefined {
  const weights = headWeights(own);
  const numbers = weights && constants.get(weights);
  return numbers && kernelFrom(own.chain!.head, numbers);
}

/** How alike the kernels of the pair are but for the scale of channels, 0 to 1. Undefined where there are none. */
export function likenessOfPair({pair, constants}: Pick<LayerEvidence, 'pair' | 'constants'>): number | undefined {
  const [p, q] = [kernelIn(pair.reference, constants), kernelIn(pair.actual, constants)];
  return p && q ? likeness(p, q) : undefined;
}

/** Empty where the kernels are the same. */
export async function diagnoseWeights(evidence: LayerEvidence): Promise<Diagnosis[]> {
  const {pair, constants} = evidence;
  const [want, got] = [kernelIn(pair.reference, constants), kernelIn(pair.actual, constants)];
  if (!want || !got) return [];
  const rows = differingRows(want, got);
  if (rows === 0) return [];
  const other = await otherLayer(evidence, got);
  if (other) return [other];
  if (isReversed(want, got)) return [{kind: 'channels-permuted', text: 'input channels in reverse order (BGR for RGB)'}];
  const all = rows === undefined ? 'a kernel of another size' : `other weights in ${rows} of ${want.channels} output channels`;
  return [{kind: 'weights', text: all}];
}

/** Undefined for kernels of other sizes. */
function differingRows(p: LayerKernel, q: LayerKernel): number | undefined {
  if (p.channels !== q.channels || p.width !== q.width) return undefined;
  let rows = 0;
  for (let c = 0; c < p.channels; c++) if (cosine(p.row(c), q.row(c)) < 1 - 1e-6) rows++;
  return rows;
}

/** The first layer of a network: three colours. */
function isReversed(p: LayerKernel, q: LayerKernel): boolean {
  if (p.channels !== q.channels || p.width !== q.width || p.width % 3 !== 0) return false;
  const size = p.width / 3;
  const reversed = (row: Float32Array) => row.map((_, i) => row[(2 - Math.floor(i / size)) * size + (i % size)]!);
  for (let c = 0; c < p.channels; c++) if (cosine(reversed(p.row(c)), q.row(c)) < SAME_KERNEL) return false;
  return true;
}

/** A layer of the reference that has these weights. */
async function otherLayer(evidence: LayerEvidence, kernel: LayerKernel): Promise<Diagnosis | undefined> {
  const {a, b, pair, pairs} = evidence;
  const found = await layerWith(a, kernel, pair.reference);
  if (!found) return undefined;
  const name = found.paths[0] ?? found.value.name;
  const own = kernelIn(pair.reference, evidence.constants);
  const back = own && (await layerWith(b, own, pair.actual));
  if (!back) return {kind: 'other-layer', text: `the weights of another layer: ${name} of the reference`};
  const place = pairs.find(({actual}) => actual.chain === back.chain && lastOfChain(actual))?.reference ?? back;
  const text = `layers swapped: it has the weights of ${name}, and its own are in ${place.paths[0] ?? `'${place.value.name}'`}`;
  return {kind: 'other-layer', text};
}

async function layerWith(
  {subject, layers}: DiagnosisContext['a'],
  kernel: LayerKernel,
  but: LayerValue,
): Promise<LayerValue | undefined> {
  const options = layers
    .filter((own) => lastOfChain(own) && own.chain !== but.chain && mayHave(own, kernel))
    .slice(0, MAX_KERNELS);
  for (const own of options) {
    const other = await readKernel({subject, layers}, own);
    if (other && likeness(other, kernel) >= SAME_KERNEL) return own;
  }
  return undefined;
}

/** Only what can have the size is read. */
function mayHave(own: LayerValue, {channels, width}: LayerKernel): boolean {
  const shape = headWeights(own)?.shape;
  return !shape || shape.reduce<number>((n, d) => n * (d as number), 1) === channels * width;
}

async function readKernel({subject}: DiagnosisContext['a'], own: LayerValue): Promise<LayerKernel | undefined> {
  const weights = own.chain && constantsOfChain(own.chain)[0];
  return weights && kernelIn(own, await readConstants(subject, [weights]));
}
