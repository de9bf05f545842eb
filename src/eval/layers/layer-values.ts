/**
 * The values of a model that can be compared with another model's: what each layer computes from the image. A convolution or a matrix
 * product is taken together with what scales and shifts its channels (bias, batch norm): whether those are nodes of their own or are folded
 * into the weights, the end of such a chain exists in both models.
 */
import type {Model, Node, Value} from '../../onnx/graph.js';
import {isCounted, pathOfName, pathOfWeight} from './module-paths.js';

/** A linear operator on constant weights, and the nodes behind it that scale and shift its channels. */
export interface Chain {
  readonly head: Node;
  /** The head first. */
  readonly nodes: readonly Node[];
}

/** A value that can be compared, with what its graph says of it. */
export interface LayerValue {
  readonly value: Value;
  readonly node: Node;
  /** In the order of computation. */
  readonly place: number;
  /** Values of one role may stand for each other. */
  readonly role: string;
  /** Of its modules, the one with the weights first. [] where no name tells it. */
  readonly paths: readonly string[];
  /** Whether its own name means something. */
  readonly named: boolean;
  /** Only moves the numbers of another value. */
  readonly moves: boolean;
  readonly chain: Chain | undefined;
  /** What it is computed from: values that depend on the image, before what only moves their numbers. */
  readonly sources: readonly Value[];
}

const LINEAR = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'FusedConv', 'FusedMatMul', 'FusedGemm']);
const SCALES = new Set(['Mul', 'Add', 'Sub', 'Div']);
/** By numbers of each channel, or by those of the image where the export says so. */
const NORMALISES = new Set(['BatchNormalization', 'InstanceNormalization', 'GroupNormalization']);
const MOVES = new Set(
  'Identity Dropout Cast Reshape Flatten Squeeze Unsqueeze Transpose QuantizeLinear DequantizeLinear'.split(' '),
);
const MEANS = new Set(['GlobalAveragePool', 'AveragePool', 'ReduceMean']);

interface Reading {
  readonly live: ReadonlySet<Value>;
  readonly outputs: ReadonlySet<Value>;
}

/** Values that depend on an input. */
function liveValues({graph}: Model): Set<Value> {
  const live = new Set<Value>(graph.inputs);
  for (const node of graph.nodes)
    if ([...node.inputs, ...node.captured].some((v) => v && live.has(v))) for (const output of node.outputs) live.add(output);
  return live;
}

/** The node that continues a chain: the only one that takes the value, and with constants alone beside it. */
function continuation(value: Value, {live, outputs}: Reading): Node | undefined {
  if (outputs.has(value) || value.users.size !== 1) return undefined;
  const [user] = [...value.users] as [Node];
  if (user.inputs.filter((v) => v === value).length !== 1) return undefined;
  if (NORMALISES.has(user.opType)) return user.inputs[0] === value ? user : undefined;
  const divides = user.opType === 'Div' && user.inputs[0] !== value;
  return SCALES.has(user.opType) && !divides && user.inputs.every((v) => v === value || (v && !live.has(v))) ? user : undefined;
}

function chainFrom(head: Node, reading: Reading): Chain | undefined {
  const [x, ...weights] = head.inputs;
  if (!LINEAR.has(head.opType) || !x || !reading.live.has(x) || weights.some((v) => v && reading.live.has(v))) return undefined;
  const nodes = [head];
  for (let next = continuation(head.output, reading); next; next = continuation(next.output, reading)) nodes.push(next);
  return {head, nodes};
}

/** Behind a value: the initializers that a constant is computed from. */
function storedNames(value: Value | undefined): string[] {
  const [names, seen, waiting] = [[] as string[], new Set<Value>(), [value]];
  for (let v = waiting.pop(); v; v = waiting.pop()) {
    if (seen.has(v)) continue;
    seen.add(v);
    if (v.producer && v.producer.opType !== 'Constant') waiting.push(...v.producer.inputs);
    else names.push(v.name);
  }
  return names;
}

function pathsOf(node: Node, live: ReadonlySet<Value>): string[] {
  const weights = node.inputs.filter((v) => v && !live.has(v)).flatMap((v) => storedNames(v).map(pathOfWeight));
  return [...weights, pathOfName(node.name), pathOfName(node.output.name)].filter((path) => path !== undefined);
}

/** Where the numbers of a value come from, before nodes that only move them. */
function sourceOfMoves(value: Value, live: ReadonlySet<Value>): Value {
  let v = value;
  while (v.producer && MOVES.has(v.producer.opType)) {
    const before = v.producer.inputs.find((input) => input && live.has(input));
    if (!before) break;
    v = before;
  }
  return v;
}

const roleOf = (node: Node, output: number): string => {
  const named = node.text('activation', '') || node.opType;
  const name = MEANS.has(named) ? 'mean' : named === 'Clip' ? 'Relu' : named; // ReLU6 for ReLU is a usual mistake
  return output === 0 ? name : `${name} ${output}`;
};

/** Comparable values, in the order of computation. */
export function layerValues(model: Model): LayerValue[] {
  const live = liveValues(model);
  const reading = {live, outputs: new Set(model.graph.outputs)};
  const chains = new Map<Node, Chain>();
  for (const node of model.graph.nodes) {
    const chain = chains.has(node) ? undefined : chainFrom(node, reading);
    for (const member of chain?.nodes ?? []) chains.set(member, chain!);
  }
  const sources = (node: Node) => [
    ...new Set(node.inputs.filter((v): v is Value => v !== undefined && live.has(v)).map((v) => sourceOfMoves(v, live))),
  ];
  return model.graph.nodes
    .flatMap((node) =>
      node.outputs.slice(0, node.opType === 'BatchNormalization' ? 1 : undefined).map((value, i) => ({node, value, i})),
    )
    .filter(({value}) => live.has(value) && value.name !== '' && /^float(16|32)$/.test(value.dtype))
    .map(({node, value, i}, place) => {
      const chain = chains.get(node);
      const own = chain ? chain.nodes.flatMap((member) => pathsOf(member, live)) : pathsOf(node, live);
      return {
        ...{value, node, place, chain, moves: MOVES.has(node.opType), named: !isCounted(value.name)},
        role: chain ? roleInChain(chain, node) : roleOf(node, i),
        paths: [...new Set(own)],
        sources: sources(chain?.head ?? node),
      };
    });
}

/** Inner values of a chain exist in another model only where its chain has the same operators. */
function roleInChain({head, nodes}: Chain, node: Node): string {
  const activation = head.text('activation', '');
  if (activation !== '') return activation;
  if (node === nodes.at(-1)) return 'linear';
  return `${nodes.indexOf(node)} of ${nodes.map(({opType}) => opType).join(' ')}`;
}
