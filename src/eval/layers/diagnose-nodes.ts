/** Differences that the two nodes state themselves: padding, strides, epsilon, training mode. */
import {tiny} from '../../core/format.js';
import type {Node} from '../../onnx/graph.js';
import type {Diagnosis, LayerEvidence} from './evidence.js';
import type {LayerValue} from './layer-values.js';

const chainOf = ({chain, node}: LayerValue): readonly Node[] => chain?.nodes ?? [node];
const normOf = (own: LayerValue): Node | undefined => chainOf(own).find(({opType}) => /Normalization$/.test(opType));

/** As the operators of ONNX have them by default. */
function padsOf(node: Node): string {
  const auto = node.text('auto_pad', 'NOTSET');
  if (auto !== 'NOTSET') return auto;
  const spatial = node.numbers('kernel_shape').length || 2;
  return node.numbers('pads', new Array(2 * spatial).fill(0)).join(',');
}
function listOf(node: Node, name: 'strides' | 'dilations'): string {
  const spatial = node.numbers('kernel_shape').length || 2;
  return node.numbers(name, new Array(spatial).fill(1)).join(',');
}

const WINDOWS = /^(Conv|ConvTranspose|FusedConv|MaxPool|AveragePool)$/;

/** Padding, strides, dilations and groups of convolutions and pools. */
function windowDifferences({pair: {reference, actual}}: LayerEvidence): {name: string; text: string}[] {
  const [p, q] = [chainOf(reference)[0]!, chainOf(actual)[0]!];
  if (!WINDOWS.test(p.opType) || !WINDOWS.test(q.opType)) return [];
  const facts = (node: Node) => [
    ['pads', padsOf(node)],
    ['strides', listOf(node, 'strides')],
    ['dilations', listOf(node, 'dilations')],
    ['groups', String(node.number('group', 1))],
    ['ceil_mode', String(node.number('ceil_mode', 0))],
    ...(/AveragePool/.test(node.opType) ? [['count_include_pad', String(node.number('count_include_pad', 0))]] : []),
  ];
  const others = new Map(facts(p).map(([name, text]) => [name!, text!]));
  return facts(q).flatMap(([name, text]) => {
    const wanted = others.get(name!);
    return wanted === undefined || wanted === text
      ? []
      : [{name: name!, text: `${name} ${text} where the reference has ${wanted}`}];
  });
}

function windowDiagnosis(evidence: LayerEvidence): Diagnosis[] {
  const found = windowDifferences(evidence);
  if (found.length === 0) return [];
  const isPadding = found.every(({name}) => name === 'pads');
  const said = found.map(({text}) => text).join(', ');
  return [
    isPadding
      ? {kind: 'padding', text: `other padding: the node has ${said}`}
      : {kind: 'attributes', text: `another operator: the node has ${said}`},
  ];
}

/** With a fact of the nodes that explains the shapes, where there is one. */
export function diagnoseShapes(evidence: LayerEvidence): Diagnosis[] {
  const found = windowDiagnosis(evidence);
  return found.length > 0 ? found : [{kind: 'shape', text: `a map of another size in ${evidence.layer}`}];
}

/** What the nodes of the pair state differently. */
export function diagnoseNodes(evidence: LayerEvidence): Diagnosis[] {
  const {pair} = evidence;
  const [p, q] = [normOf(pair.reference), normOf(pair.actual)];
  return [...windowDiagnosis(evidence), ...trainMode(p, q), ...epsilons(p, q)];
}

function trainMode(p: Node | undefined, q: Node | undefined): Diagnosis[] {
  const trains = (node: Node | undefined) => node?.opType === 'BatchNormalization' && node.number('training_mode', 0) !== 0;
  if (trains(p) === trains(q)) return [];
  const which = trains(q) ? q : p;
  const side = trains(q) ? '' : 'the reference: ';
  return [{kind: 'train-mode', text: `train mode: ${side}${which} normalises by the images of the batch (training_mode = 1)`}];
}

function epsilons(p: Node | undefined, q: Node | undefined): Diagnosis[] {
  if (!p || !q || p.opType !== q.opType) return [];
  const [want, got] = [p, q].map((node) => node.number('epsilon', 1e-5)) as [number, number];
  if (Math.abs(want - got) <= 1e-3 * want) return []; // float32 of the same number
  return [{kind: 'epsilon', text: `another epsilon of the normalisation: ${tiny(got)} where the reference has ${tiny(want)}`}];
}
