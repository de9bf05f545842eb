/**
 * Older forms of operators, as models from opset 7 on have them, in the words of a newer opset. What an operator was called with, and
 * what it meant, is in https://github.com/onnx/onnx/blob/main/docs/Changelog.md.
 */
import {float32} from '../../core/tensor.js';
import type {Builder} from '../builder.js';
import type {Graph, Model, Node, Value} from '../graph.js';
import {Miss, type Rule} from '../pattern.js';
import {applyRules} from '../rewrite.js';

/** Gives what stands for the output, or undefined where the node is in the new form already or cannot be brought into it. */
type Raise = (node: Node, g: Builder) => Value | readonly Value[] | undefined;

/** Operators whose form changed in an opset. `raise` undefined: it is not known here how. */
interface Change {
  readonly since: number;
  readonly operators: readonly string[];
  readonly isOld: (node: Node) => boolean;
  readonly raise?: Raise;
}

const has =
  (...names: string[]) =>
  (node: Node): boolean =>
    names.some((name) => node.attributes.has(name));
const always = (): boolean => true;

const rest = (node: Node, ...without: string[]) =>
  Object.fromEntries([...node.attributes].filter(([name]) => !without.includes(name)).map(([name, {value}]) => [name, value]));
/** An attribute with integers that became the second input. */
const listToInput =
  (name: string): Raise =>
  (node, g) =>
    g.op(node.opType, [node.inputs[0], g.ints(name, node.numbers(name))], rest(node, name));

/** Before 13 everything from `axis` on was one row; since then `axis` alone. */
const rowsOfSoftmax: Raise = (node, g) => {
  const [x] = node.inputs as [Value];
  const axis = node.number('axis', 1);
  const isLast = axis === -1 || (x.shape && axis === x.shape.length - 1);
  if (isLast) return g.op(node.opType, [x], {axis: -1});
  const rows = g.op(
    node.opType,
    [g.op('Flatten', [x], {axis}, {name: `${node.name}.rows`})],
    {axis: 1},
    {name: `${node.name}.flat`},
  );
  return g.op(
    'Reshape',
    [rows, g.op('Shape', [x], {}, {name: `${node.name}.shape`})],
    {},
    {types: [{dtype: x.dtype, shape: x.shape}]},
  );
};

const clipBounds: Raise = (node, g) => {
  const bound = (name: string) => (node.attributes.has(name) ? g.scalar(name, node.number(name, 0)) : undefined);
  return g.op('Clip', [node.inputs[0], bound('min'), bound('max')]);
};

const padAmounts: Raise = (node, g) => {
  const amounts = g.ints('pads', node.numbers('pads'));
  const value = node.attributes.has('value') ? g.scalar('value', node.number('value', 0)) : undefined;
  return g.op('Pad', [node.inputs[0], amounts, value], rest(node, 'pads', 'value'));
};

const sliceBounds: Raise = (node, g) => {
  const starts = node.numbers('starts');
  const axes = node.numbers(
    'axes',
    starts.map((_, i) => i),
  );
  return g.op('Slice', [
    node.inputs[0],
    ...[starts, node.numbers('ends'), axes].map((list, i) => g.ints(['starts', 'ends', 'axes'][i]!, list)),
  ]);
};

/** Both scaled from the corner, and took the pixel below. */
const scaledFromCorner: Raise = (node, g) => {
  const scales = node.inputs[1] ?? g.initializer('scales', float32([node.numbers('scales').length], node.numbers('scales')));
  const mode = node.text('mode', 'nearest');
  const nearest = mode === 'nearest' ? {nearest_mode: 'floor'} : {};
  return g.op('Resize', [node.inputs[0], undefined, scales], {mode, coordinate_transformation_mode: 'asymmetric', ...nearest});
};

const splitSizes: Raise = (node, g) => {
  const sizes = g.ints('split', node.numbers('split'));
  return g.node('Split', [node.inputs[0], sizes], rest(node, 'split'), {outputs: node.outputs.length}).outputs;
};

/** All but ReduceSum, whose form changed in opset 13. */
export const reductions = ['Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'SumSquare', 'LogSum', 'LogSumExp'].map(
  (name) => `Reduce${name}`,
);

/** THE table of what changed, oldest first. */
const changes: readonly Change[] = [
  {since: 10, operators: ['Slice'], isOld: has('starts'), raise: sliceBounds},
  {since: 10, operators: ['TopK'], isOld: has('k')},
  {since: 10, operators: ['Upsample'], isOld: always, raise: scaledFromCorner},
  {since: 11, operators: ['Resize'], isOld: ({inputs}) => inputs.length === 2, raise: scaledFromCorner},
  {since: 11, operators: ['Clip'], isOld: has('min', 'max'), raise: clipBounds},
  {since: 11, operators: ['Pad'], isOld: has('pads'), raise: padAmounts},
  {
    since: 12,
    operators: ['Dropout'],
    isOld: always,
    raise: ({inputs, outputs}) => (outputs[1]?.users.size ? undefined : inputs[0]),
  },
  {since: 13, operators: ['Softmax', 'LogSoftmax', 'Hardmax'], isOld: always, raise: rowsOfSoftmax},
  {since: 13, operators: ['Squeeze', 'Unsqueeze', 'ReduceSum'], isOld: has('axes'), raise: listToInput('axes')},
  {since: 13, operators: ['Split'], isOld: has('split'), raise: splitSizes},
  {since: 18, operators: reductions, isOld: has('axes'), raise: listToInput('axes')},
  {since: 18, operators: ['Split'], isOld: ({inputs, attributes}) => !inputs[1] && !attributes.has('num_outputs')},
  {since: 21, operators: ['GroupNormalization'], isOld: always},
];
/** Broadcasting and batch norms were other operators before: https://github.com/onnx/onnx/releases/tag/v1.2.1. */
export const OLDEST_RAISED = 7;

/** A node that is in the form of the opset `from`, and whose form in the model's opset is not known here. */
export function cannotRaise({graph, opset}: Pick<Model, 'graph' | 'opset'>, from: number): Node | undefined {
  const needed = changes.filter(({since, raise}) => from < since && since <= opset && !raise);
  const unknown = graph.nodes.find((node) => needed.some((c) => c.operators.includes(node.opType) && c.isOld(node)));
  return unknown ?? (from < OLDEST_RAISED ? graph.nodes[0] : undefined);
}

/** Rewrites what changed after `from`, up to the model's opset. Gives the number of changes. */
export function raiseFrom(from: number, {graph, opset}: Pick<Model, 'graph' | 'opset'>): number {
  const needed = changes.filter(({since, raise}) => raise && from < since && since <= opset);
  return needed.reduce((n, change) => n + applyRules(graph, [ruleOf(change, graph)]).changes, 0);
}

/** Only nodes that are there now are old: some look the same in both forms. */
function ruleOf({since, operators, isOld, raise}: Change, graph: Graph): Rule {
  const old = new Set(graph.nodes.filter((node) => node.domain === '' && operators.includes(node.opType) && isOld(node)));
  return {
    name: `raise-to-opset-${since}`,
    opTypes: operators,
    apply(node, builder) {
      if (!old.has(node)) return new Miss('it is in the new form', node);
      const made = raise!(node, builder);
      return made === undefined ? new Miss('its other outputs are used', node) : [made].flat();
    },
  };
}
