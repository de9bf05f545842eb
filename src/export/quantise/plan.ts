/**
 * What is quantised: the nodes that can run on integers, each with the activation that its output's range absorbs. Which of them do is
 * decided later: a unit can be left in float32, and what would gain nothing alone (an addition of floats, a pool) then is too.
 */
import {elementCount} from '../../core/tensor.js';
import type {Graph, Node, Value} from '../../onnx/graph.js';
import {type ConstantValue, isConstant} from '../../onnx/pattern.js';

/** A constant operand, and the dimension of its output channels. */
export interface WeightOperand {
  readonly value: ConstantValue;
  readonly axis: number;
  readonly bias: ConstantValue | undefined;
}

/**
 * `weighted`: a product with constant weights. `combine`: several activations, or an average, with a scale of its own.
 * `move`: rearranges numbers, so that its result has the scale of its input.
 */
export type UnitKind = 'weighted' | 'combine' | 'move';

export interface Unit {
  readonly kind: UnitKind;
  readonly node: Node;
  /** Activations that it reads. */
  readonly inputs: readonly Value[];
  readonly weight: WeightOperand | undefined;
  /** Relu or Clip after it, of which nothing is left but the bounds of the range. */
  readonly activation: Node | undefined;
  /** Of the activation where there is one. */
  readonly output: Value;
  /** Bounds that the activation sets. */
  readonly bounds: {readonly low: number; readonly high: number};
}

type Operands = Pick<Unit, 'inputs' | 'weight'>;
interface Quantisable {
  kind: UnitKind;
  /** Undefined where this node cannot be quantised. */
  operands(node: Node): Operands | undefined;
}

/** The first input where there is no other or only constants follow; all inputs otherwise. */
const firstInput = ({inputs}: Node): Operands | undefined =>
  inputs[0] && !inputs[0].initializer ? {inputs: [inputs[0]], weight: undefined} : undefined;
const allInputs = ({inputs}: Node): Operands | undefined =>
  inputs.every((v): v is Value => v !== undefined && !v.initializer) ? {inputs, weight: undefined} : undefined;

function weighted(axisOf: (node: Node, weight: ConstantValue) => number | undefined): Quantisable['operands'] {
  return (node) => {
    const [x, weight, bias] = node.inputs;
    if (!x || x.initializer || !isConstant(weight) || weight.dtype !== 'float32') return undefined;
    const axis = axisOf(node, weight);
    if (axis === undefined || (bias && !isConstant(bias))) return undefined;
    if (bias && elementCount(bias.initializer.shape) !== weight.initializer.shape[axis]) return undefined;
    return {inputs: [x], weight: {value: weight, axis, bias}};
  };
}
/** The dimension of the output channels in the weight of a Gemm that is a plain product. */
export const gemmAxis = (node: Node): number | undefined => {
  const plain = node.number('alpha', 1) === 1 && node.number('beta', 1) === 1 && node.number('transA', 0) === 0;
  return plain ? 1 - node.number('transB', 0) : undefined;
};

/** THE table of operators that onnxruntime has integer kernels for. */
const quantisable: Readonly<Record<string, Quantisable>> = {
  Conv: {kind: 'weighted', operands: weighted(() => 0)},
  Gemm: {kind: 'weighted', operands: weighted(gemmAxis)},
  MatMul: {kind: 'weighted', operands: weighted((_, w) => (w.initializer.shape.length === 2 ? 1 : undefined))},
  Add: {kind: 'combine', operands: allInputs},
  Concat: {kind: 'combine', operands: allInputs},
  GlobalAveragePool: {kind: 'combine', operands: firstInput},
  AveragePool: {kind: 'combine', operands: firstInput},
  MaxPool: {kind: 'move', operands: firstInput},
  Flatten: {kind: 'move', operands: firstInput},
  Reshape: {kind: 'move', operands: firstInput},
  Transpose: {kind: 'move', operands: firstInput},
  Slice: {kind: 'move', operands: firstInput},
  Pad: {kind: 'move', operands: (node) => (padsWithZeros(node) ? firstInput(node) : undefined)},
};

/** Zero is a level of every range. */
const padsWithZeros = (node: Node): boolean => node.text('mode', 'constant') === 'constant' && !node.inputs[2];

const UNBOUNDED = {low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY};

/** What an activation clips to; undefined where it does something else. */
function boundsOf(node: Node): Unit['bounds'] | undefined {
  if (node.opType === 'Relu') return {low: 0, high: Number.POSITIVE_INFINITY};
  if (node.opType !== 'Clip') return undefined;
  const bound = (v: Value | undefined, otherwise: number) => (v ? Number(v.initializer?.read().data[0]) : otherwise);
  const low = bound(node.inputs[1], UNBOUNDED.low);
  const high = bound(node.inputs[2], UNBOUNDED.high);
  return low <= 0 && high >= 0 ? {low, high} : undefined; // false for bounds that are computed: they are NaN
}

function activationAfter(graph: Graph, {output}: Node): Pick<Unit, 'activation' | 'bounds'> {
  const [user, ...others] = output.users;
  const bounds = user && others.length === 0 && !graph.outputs.includes(output) ? boundsOf(user) : undefined;
  return bounds ? {activation: user, bounds} : {activation: undefined, bounds: UNBOUNDED};
}

/** In topological order. */
export function planUnits(graph: Graph): Unit[] {
  return graph.nodes.flatMap((node) => {
    const entry = node.domain === '' ? quantisable[node.opType] : undefined;
    const operands = node.output.dtype === 'float32' ? entry?.operands(node) : undefined;
    if (!entry || !operands) return [];
    const after = entry.kind === 'move' ? {activation: undefined, bounds: UNBOUNDED} : activationAfter(graph, node);
    const output = after.activation?.output ?? node.output;
    return [{kind: entry.kind, node, ...operands, ...after, output}];
  });
}

/** Layers with weights and room for a bias: [N, C, …] come out of them. */
export const takesBias = ({node, weight}: Unit): boolean => weight !== undefined && node.opType !== 'MatMul';

/** What runs on integers, given which units are to stay in float32. */
export interface Selection {
  readonly units: ReadonlySet<Unit>;
  /** Activations that are integers between their makers and their users. */
  readonly quantised: ReadonlySet<Value>;
  /** A value and the one whose range it shares, also where what moves it stays in float32. */
  readonly sameScale: ReadonlyMap<Value, Value>;
}

/** `combine` and `move` follow what is around them: integers come in, so integers go out. */
export function select(graph: Graph, units: readonly Unit[], excluded: ReadonlySet<Unit>): Selection {
  const active = new Set<Unit>();
  const quantised = new Set<Value>();
  const sameScale = new Map<Value, Value>();
  for (const unit of units) {
    if (unit.kind === 'move') sameScale.set(unit.output, sameScale.get(unit.inputs[0]!) ?? unit.inputs[0]!);
    const follows = unit.kind === 'weighted' || unit.inputs.every((v) => quantised.has(v));
    if (!follows || excluded.has(unit)) continue;
    active.add(unit);
    for (const input of unit.inputs) quantised.add(input);
    if (!graph.outputs.includes(unit.output)) quantised.add(unit.output);
  }
  return {units: active, quantised, sameScale};
}
