/** Layers between the values that agree and the first that differs, where one model has others than the other. */
import type {Value} from '../../onnx/graph.js';
import type {DiagnosedSide, Diagnosis, LayerEvidence} from './evidence.js';
import type {LayerValue} from './layer-values.js';

/** More are another network, and no single step. */
const MAX_LISTED = 6;

/** What a value is computed from, back to values that agree, in the order of computation. */
function layersBefore(own: LayerValue, {layers}: DiagnosedSide, agreed: ReadonlySet<Value>): LayerValue[] {
  const ofValue = new Map(layers.map((layer) => [layer.value, layer]));
  const found = new Set<LayerValue>();
  const waiting = [...own.sources];
  for (let v = waiting.pop(); v; v = waiting.pop()) {
    const layer = ofValue.get(v);
    if (!layer || agreed.has(v) || found.has(layer)) continue;
    found.add(layer);
    waiting.push(...layer.sources);
  }
  return [...found].sort((p, q) => p.place - q.place);
}

const listed = (layers: readonly LayerValue[]): string => layers.map(({node}) => String(node)).join(', ') || 'nothing';

/** A fact of the two graphs, and no test of the numbers: for where no test explains the difference. */
export function diagnoseOperators({pair, pairs, a, b}: LayerEvidence): Diagnosis[] {
  const {reference, actual} = pair;
  if ((reference.chain === undefined) !== (actual.chain === undefined)) return []; // one is fused with what comes before it
  const before = pairs.slice(0, pairs.indexOf(pair));
  const want = layersBefore(reference, a, new Set(before.map((own) => own.reference.value)));
  const got = layersBefore(actual, b, new Set(before.map((own) => own.actual.value)));
  const roles = (layers: readonly LayerValue[]) => layers.map(({role}) => role).join();
  if (roles(want) === roles(got) || Math.max(want.length, got.length) > MAX_LISTED) return [];
  const text = `other operators before it: ${listed(got)} where the reference has ${listed(want)}`;
  return [{kind: 'operators', text}];
}
