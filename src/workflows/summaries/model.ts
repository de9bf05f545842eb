/** What is in an ONNX model, as plain data: the result of `gpd inspect MODEL --json`. */
import {dirname} from 'node:path';
import type {ByteSource} from '../../core/bytes.js';
import {decodeModel} from '../../onnx/decode.js';
import {externalFilesIn} from '../../onnx/external-data.js';
import type {Graph, Model, Value} from '../../onnx/graph.js';
import {printModel} from '../../onnx/text.js';
import {countWeights} from '../../onnx/weights.js';

/** What is in an ONNX model. */
export interface OnnxSummary {
  kind: 'onnx';
  path: string;
  bytes: number;
  opset: number;
  /** Versions of other operator sets, by domain. */
  domains: Record<string, number>;
  irVersion: number;
  producer: {name: string; version: string};
  graph: string;
  inputs: ValueSummary[];
  outputs: ValueSummary[];
  nodes: number;
  /** How often each operator occurs, most frequent first. Subgraphs included. */
  operators: {operator: string; count: number}[];
  initializers: number;
  /** Numbers of all weights, floats or integers. */
  parameters: number;
  /** Of the weights as stored, with the scales and zero points of integers. */
  weightBytes: number;
  metadata: Record<string, string>;
  /** The text form, where it was asked for. */
  text?: string;
}
export interface ValueSummary {
  name: string;
  dtype: string;
  /** A name where the size is known only at run time; null where the rank is unknown. */
  shape: (number | string)[] | null;
}

/** Takes over the source. External data is read from the model's own folder only. */
export function inspectModel(source: ByteSource, {text}: {text: boolean}): OnnxSummary {
  const external = externalFilesIn(dirname(source.name));
  try {
    const model = decodeModel(source, {openExternal: external.open});
    return {...summarise(source, model), ...(text && {text: printModel(model)})};
  } finally {
    external.close();
    source.close();
  }
}

function summarise({name, size}: ByteSource, {graph, opset, domains, irVersion, producer, metadata}: Model): OnnxSummary {
  const weights = countWeights(graph);
  const operators = countOperators(graph);
  return {
    kind: 'onnx',
    path: name,
    bytes: size,
    opset,
    domains: Object.fromEntries(domains),
    irVersion,
    producer: {...producer},
    graph: graph.name,
    inputs: graph.inputs.map(summariseValue),
    outputs: graph.outputs.map(summariseValue),
    nodes: [...operators.values()].reduce((a, b) => a + b, 0),
    operators: [...operators].map(([operator, count]) => ({operator, count})).sort((a, b) => b.count - a.count),
    initializers: graph.initializers.length,
    parameters: weights.parameters,
    weightBytes: weights.bytes,
    metadata: Object.fromEntries(metadata),
  };
}

const summariseValue = ({name, dtype, shape}: Value): ValueSummary => ({name, dtype, shape: shape ? [...shape] : null});

function countOperators(graph: Graph, counts = new Map<string, number>()): Map<string, number> {
  for (const {domain, opType, attributes} of graph.nodes) {
    const operator = domain === '' ? opType : `${domain}.${opType}`;
    counts.set(operator, (counts.get(operator) ?? 0) + 1);
    for (const attribute of attributes.values()) if (attribute.kind === 'graph') countOperators(attribute.value, counts);
  }
  return counts;
}
