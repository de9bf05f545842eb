/**
 * What must hold for every graph, checked after each pass and after reading. All findings are reported, not only the first.
 * Source: https://github.com/onnx/onnx/blob/main/docs/IR.md, and onnx/checker.cc.
 */
import {GpdError} from '../core/error.js';
import {formatShape, sameShape} from '../core/tensor.js';
import type {Dims, Graph, Model, Node, Value} from './graph.js';
import {inferOutputs, ops} from './ops.js';

export interface Finding {
  /** 'opset': the operator is newer than the model's opset. Everything else is a broken graph. */
  kind: 'name' | 'order' | 'users' | 'output' | 'opset' | 'domain' | 'attribute' | 'shape' | 'dims';
  /** The node or value. */
  at: string;
  message: string;
}

/** Opset 26 is of 2026. A file with a far higher number is not an ONNX model. */
export const MAX_READ_OPSET = 99;

interface Context {
  readonly model: Model;
  readonly graph: Graph;
  /** What the graph itself defines. */
  readonly defined: ReadonlySet<Value>;
  /** Of the enclosing graph, for a subgraph: looked up, not copied, because a graph may have thousands. */
  readonly outer: Context | undefined;
}
type Check = (context: Context) => Finding[];

const finding = (kind: Finding['kind'], at: {name: string}, message: string): Finding => ({kind, at: at.name, message});

/** Values with the place that defines them: inputs and initializers first, then the outputs of nodes in order. */
function* definitions(graph: Graph): Generator<Value> {
  yield* graph.inputs;
  yield* graph.initializers;
  for (const node of graph.nodes) for (const value of node.outputs) if (value.name !== '') yield value;
}

const checkNames: Check = ({graph}) => {
  const seen = new Set<string>();
  const findings: Finding[] = [];
  for (const value of definitions(graph)) {
    if (seen.has(value.name)) findings.push(finding('name', value, 'is defined more than once'));
    else if (graph.value(value.name) !== value) findings.push(finding('name', value, 'is not registered under its name'));
    seen.add(value.name);
  }
  const nodes = new Set<string>();
  for (const node of graph.nodes) {
    if (nodes.has(node.name)) findings.push(finding('name', node, 'two nodes have this name'));
    nodes.add(node.name);
  }
  return findings;
};

const checkOrder: Check = ({graph, outer}) => {
  const before = new Set<Value>([...graph.inputs, ...graph.initializers]);
  const isDefined = (value: Value) => before.has(value) || isDefinedAround(value, outer);
  const findings: Finding[] = [];
  for (const node of graph.nodes) {
    for (const input of [...node.inputs, ...node.captured]) {
      if (input && !isDefined(input)) findings.push(finding('order', node, whyUndefined(graph, node, input)));
    }
    for (const output of node.outputs) before.add(output);
  }
  for (const output of graph.outputs) {
    if (!isDefined(output)) findings.push(finding('output', output, 'is an output of the graph that nothing produces'));
  }
  if (graph.outputs.length === 0) findings.push(finding('output', graph, 'the graph has no outputs'));
  return findings;
};

function isDefinedAround(value: Value, outer: Context | undefined): boolean {
  for (let context = outer; context; context = context.outer) if (context.defined.has(value)) return true;
  return false;
}

function whyUndefined(graph: Graph, node: Node, input: Value): string {
  const producer = input.producer && graph.nodes.includes(input.producer) ? input.producer : undefined;
  return producer
    ? `${node.opType} uses %${input.name} before ${producer} produces it: nodes must be in topological order, without cycles`
    : `${node.opType} uses %${input.name}, which nothing in the graph produces`;
}

const checkUsers: Check = ({graph}) => {
  const findings: Finding[] = [];
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      if (input && !input.users.has(node)) findings.push(finding('users', input, `does not know its user ${node}`));
    }
    for (const output of node.outputs) {
      if (output.producer !== node) findings.push(finding('users', output, `does not know its producer ${node}`));
    }
  }
  const nodes = nodesWithin(graph);
  for (const value of graph.allValues()) {
    for (const user of value.users) {
      const stale = !nodes.has(user) || !user.inputs.includes(value);
      if (stale) findings.push(finding('users', value, `lists ${user} as a user, which does not use it`));
    }
  }
  return findings;
};

function nodesWithin(graph: Graph): Set<Node> {
  return new Set(graph.nodes.flatMap((node) => [node, ...subgraphs(node).flatMap((g) => [...nodesWithin(g)])]));
}
const subgraphs = (node: Node): Graph[] =>
  [...node.attributes.values()].flatMap((attribute) => (attribute.kind === 'graph' ? [attribute.value] : []));

const checkOps: Check = ({model, graph}) =>
  graph.nodes.flatMap((node) => {
    if (node.domain !== '') {
      if (model.domains.has(node.domain)) return [];
      return [finding('domain', node, `${node.opType} is of the domain '${node.domain}', which the model does not import`)];
    }
    const schema = ops[node.opType];
    if (!schema || schema.since <= model.opset) return [];
    return [finding('opset', node, `${node.opType} exists since opset ${schema.since}; the model has opset ${model.opset}`)];
  });

const checkAttributes: Check = ({graph}) => graph.nodes.flatMap((node) => attributeFindings(node));

function attributeFindings(node: Node): Finding[] {
  const known = node.domain === '' ? ops[node.opType]?.attributes : undefined;
  if (!known) return [];
  return [...node.attributes].flatMap(([name, {kind}]) => {
    const expected = Object.hasOwn(known, name) ? known[name] : undefined;
    if (expected === undefined) return [finding('attribute', node, `${node.opType} has no attribute '${name}'`)];
    return kind === expected
      ? []
      : [finding('attribute', node, `'${name}' is of kind ${kind}, ${node.opType} takes ${expected}`)];
  });
}

const isValidDim = (d: number | string): boolean => typeof d === 'string' || (Number.isSafeInteger(d) && d >= 0);

const checkDims: Check = ({graph}) => {
  const findings: Finding[] = [];
  for (const value of graph.allValues()) {
    if (value.shape && !value.shape.every(isValidDim)) {
      findings.push(finding('dims', value, `the shape ${formatShape(value.shape)} is not possible`));
    }
    const {initializer} = value;
    if (!initializer) continue;
    const agrees = sameShape(initializer.shape, (value.shape ?? []) as number[]) && initializer.dtype === value.dtype;
    if (agrees) continue;
    const [has, says] = [
      `${initializer.dtype}${formatShape(initializer.shape)}`,
      `${value.dtype}${formatShape(value.shape ?? [])}`,
    ];
    findings.push(finding('dims', value, `the initializer is ${has}, the value says ${says}`));
  }
  return findings;
};

const checkShapes: Check = ({graph}) => graph.nodes.flatMap(shapeFindings);

function shapeFindings(node: Node): Finding[] {
  let inferred: ReturnType<typeof inferOutputs>;
  try {
    inferred = inferOutputs(node, node.outputs.length);
  } catch (error) {
    return [finding('shape', node, `${node.opType}: ${(error as Error).message}`)];
  }
  return node.outputs.flatMap((value, i) => {
    const [declared, expected] = [value.shape, inferred[i]?.shape];
    if (!declared || !expected || agree(declared, expected)) return [];
    const [has, computes] = [formatShape(declared), formatShape(expected)];
    return [finding('shape', value, `has shape ${has}, ${node.opType} computes ${computes}`)];
  });
}

/** A symbol may stand for any number. */
const agree = (a: Dims, b: Dims): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i] || typeof d === 'string' || typeof b[i] === 'string');

const checkModelFields = (model: Model): Finding[] => {
  const isVersion = Number.isInteger(model.opset) && model.opset >= 1 && model.opset <= MAX_READ_OPSET;
  return isVersion ? [] : [finding('domain', model.graph, `there is no opset ${model.opset}`)];
};

const checks: readonly Check[] = [checkNames, checkOrder, checkUsers, checkOps, checkAttributes, checkDims, checkShapes];

/** Every breach, in the order of the checks above. An empty list means that the model is well formed. */
export function checkModel(model: Model): Finding[] {
  return [...checkModelFields(model), ...checkGraph(model, model.graph, undefined)];
}

function checkGraph(model: Model, graph: Graph, outer: Context | undefined): Finding[] {
  const context: Context = {model, graph, defined: new Set(definitions(graph)), outer};
  const inner = graph.nodes.flatMap(subgraphs);
  return [...checks.flatMap((check) => check(context)), ...inner.flatMap((within) => checkGraph(model, within, context))];
}

const MAX_LINES = 20;

/** Throws GRAPH_INVALID, or OPSET_UNSUPPORTED where too new operators are the only problem. `where` is a file or a pass. */
export function assertValid(model: Model, where: string): void {
  const findings = checkModel(model);
  if (findings.length === 0) return;
  const tooNew = findings.every((f) => f.kind === 'opset');
  const lines = findings.slice(0, MAX_LINES).map((f) => `  ${f.at}: ${f.message}`);
  if (findings.length > MAX_LINES) lines.push(`  and ${findings.length - MAX_LINES} more`);
  throw new GpdError(tooNew ? 'OPSET_UNSUPPORTED' : 'GRAPH_INVALID', `${where}: the graph is not valid\n${lines.join('\n')}`, {
    at: where,
    hint: tooNew ? 'ask for a newer opset' : 'see the graph after each pass with GPD_DEBUG=graph',
    data: {findings},
  });
}
