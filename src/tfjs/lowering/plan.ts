/** From values that are wanted to an ordered list of calls, a key that says what is the same, and a graph. */
import {elementCount} from '../../core/tensor.js';
import type {Graph, Model, Value} from '../../onnx/graph.js';
import {callText, typeText} from './describe.js';
import {type Laid, Lowering, type StrategyChooser} from './lowering.js';
import {type FloatPrecision, identity, type LazyCall, type LazyValue, type Permutation, physicalType} from './value.js';

/** Everything that has to be computed, in order. */
export interface Plan {
  calls: readonly LazyCall[];
  /** Values that exist already: the inputs of the graph. */
  leaves: readonly LazyValue[];
  wanted: readonly LazyValue[];
  /** Equal for plans that need the same graph: calls, how they are connected, types of the leaves, what is wanted. */
  key: string;
}

export function makePlan(wanted: readonly LazyValue[]): Plan {
  const calls: LazyCall[] = [];
  const leaves: LazyValue[] = [];
  const ids = new Map<LazyValue, number>();
  const lines: string[] = [];
  const name = (v: LazyValue): void => void ids.set(v, ids.size);
  visitInOrder(wanted, {
    leaf(v) {
      name(v);
      leaves.push(v);
      lines.push(`${physicalType(v)}[${v.shape}]${v.layout ?? ''}`);
    },
    call(c) {
      for (const output of c.outputs) name(output);
      calls.push(c);
      lines.push(`${c.kernel}(${c.inputs.map((v) => ids.get(v))})${c.signature}`);
    },
  });
  lines.push(`→${wanted.map((v) => ids.get(v))}`);
  return {calls, leaves, wanted, key: lines.join('\n')};
}

interface Visitor {
  leaf(v: LazyValue): void;
  call(c: LazyCall): void;
}

/** Depth first from the wanted values, without recursion: a training step is thousands of calls deep. */
function visitInOrder(wanted: readonly LazyValue[], visitor: Visitor): void {
  const entered = new Set<LazyCall>();
  const done = new Set<LazyCall | LazyValue>();
  const stack: LazyValue[] = [...wanted].reverse();
  while (stack.length > 0) {
    const v = stack.at(-1)!;
    const {producer} = v;
    if (!producer) {
      stack.pop();
      if (!done.has(v)) visitor.leaf(v);
      done.add(v);
    } else if (done.has(producer)) stack.pop();
    else if (!entered.has(producer)) {
      entered.add(producer);
      for (let i = producer.inputs.length - 1; i >= 0; i--) stack.push(producer.inputs[i]!);
    } else {
      stack.pop();
      done.add(producer);
      visitor.call(producer);
    }
  }
}

export interface LoweredPlan {
  model: Model;
  inputNames: readonly string[];
  outputNames: readonly string[];
  /** The order of dimensions in which each wanted value comes out. */
  layouts: readonly Permutation[];
  /** Names of nodes, with the call that each was made for. */
  origins: ReadonlyMap<string, string>;
}

const OPSET = 20; // Gelu, and every operator that the kernels are lowered to

/** A graph as a model that onnxruntime takes; where the nodes are the body of a loop, with that body. */
export const loweredModel = (graph: Graph, body: Graph = graph): Model => ({
  graph,
  opset: OPSET,
  irVersion: 9,
  domains: new Map(body.nodes.flatMap(({domain}) => (domain === '' ? [] : [[domain, 1] as const]))),
  producer: {name: 'gpd-tfjs', version: ''},
  metadata: new Map(),
});

/** Lowers calls into a graph; gives the names of the nodes, with the call that each was made for. */
export function lowerCalls(g: Lowering, {calls, wanted}: Pick<Plan, 'calls' | 'wanted'>): Map<string, string> {
  const origins = new Map<string, string>();
  g.announce(calls, wanted);
  for (const call of calls) {
    const before = g.graph.nodes.length;
    call.entry.lower(g, call.inputs, call.attrs, call.outputs);
    const text = callText(call);
    for (const node of g.graph.nodes.slice(before)) origins.set(node.name, text);
  }
  return origins;
}

/**
 * The graph of a plan. Results with fewer numbers than `plainBelow` have their dimensions in TensorFlow.js's order: what reads them next is the
 * same graph then whoever wrote them, and to compile another costs more than to move so few. The others are in the order in which they come.
 */
export function lowerPlan(
  {calls, leaves, wanted}: Plan,
  chooser?: StrategyChooser,
  precision: FloatPrecision = 'float32',
  plainBelow = 0,
): LoweredPlan {
  const g = new Lowering(chooser, precision);
  const inputNames = leaves.map((_, i) => `in${i}`);
  for (const [i, leaf] of leaves.entries()) g.feed(leaf, inputNames[i]!);
  const origins = lowerCalls(g, {calls, wanted});
  const results = wanted.map((v): Laid => {
    if (elementCount(v.shape) >= plainBelow) return g.any(v);
    return {value: g.plain(v), perm: identity(v.shape.length)};
  });
  const taken = new Set<Value>(g.graph.inputs);
  g.graph.outputs = results.map(({value}, i) => {
    // an output must be a node's own: a value may be wanted twice, or be an input itself
    const own = value.producer && !taken.has(value) ? value : g.graph.op('Identity', [value], {}, {name: `out${i}`});
    taken.add(own);
    return own;
  });
  g.graph.prune();
  return {
    model: loweredModel(g.graph),
    inputNames,
    outputNames: g.graph.outputs.map((v) => v.name),
    layouts: results.map(({perm}) => perm),
    origins,
  };
}

/** A plan, one line a call: `%7 f32[8, 10] = Softmax(%6) {"dim":1}`. What exists already is an `in`, as in the graph. */
export function planText({calls, leaves, wanted}: Plan): string {
  const names = new Map<LazyValue, string>(leaves.map((leaf, i) => [leaf, `in${i}`]));
  for (const output of calls.flatMap((call) => call.outputs)) names.set(output, String(names.size - leaves.length));
  const name = (v: LazyValue) => `%${names.get(v)}`;
  const inputs = leaves.map((leaf) => `${name(leaf)} ${typeText(leaf)}${leaf.layout ? ` stored as (${leaf.layout})` : ''}`);
  const lines = calls.map(({kernel, inputs: of, outputs, attrs}) => {
    const results = outputs.map((v) => `${name(v)} ${typeText(v)}`).join(', ');
    const attributes = Object.keys(attrs).length > 0 ? ` ${JSON.stringify(attrs)}` : '';
    return `${results} = ${kernel}(${of.map(name).join(', ')})${attributes}`;
  });
  return `${[...inputs, ...lines, `→ ${wanted.map(name).join(', ')}`].join('\n')}\n`;
}
