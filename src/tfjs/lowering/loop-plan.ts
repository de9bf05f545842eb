/**
 * A recorded step as the body of an ONNX Loop: variables are carried from one iteration to the next inside the runtime, batches are
 * slices of arrays that hold all of them, and what a step returns is stacked. Bytes move between host and device once for all steps.
 */
import {int64, sameShape, tensor} from '../../core/tensor.js';
import {Graph, type Value} from '../../onnx/graph.js';
import type {OutputType} from '../../onnx/ops.js';
import {type Laid, Lowering, type StrategyChooser} from './lowering.js';
import {type LoweredPlan, lowerCalls, loweredModel, type Plan} from './plan.js';
import {type LazyValue, type Permutation, permOf, physical, type TypedShape} from './value.js';

/** A variable that the step assigns: its type, the order in which it is kept, and where the plan has its new value. */
export interface Carried {
  name: string;
  type: TypedShape;
  perm: Permutation;
  wantedAt: number;
}

/** What a leaf of the plan is in the loop. */
export type ValueRole = {kind: 'constant'} | {kind: 'batch'} | {kind: 'state'; name: string};

export interface LoopPlan {
  plan: Plan;
  roles: readonly ValueRole[];
  carried: readonly Carried[];
  steps: number;
  /** How many of the wanted values, from the first, are returned. */
  returned: number;
}

/** The inputs of the model are the leaves that are no state, then the states; its outputs the states, then what is returned, stacked. */
export function lowerLoop({plan, roles, carried, steps, returned}: LoopPlan, chooser?: StrategyChooser): LoweredPlan {
  const outer = new Graph('steps');
  const g = new Lowering(chooser);
  const iteration = g.graph.input('iteration', 'int64', []);
  const go = g.graph.input('go', 'bool', []);
  const states = new Map(carried.map((c): [string, Laid] => [c.name, {value: stateInput(g, c), perm: c.perm}]));
  const inputNames: string[] = [];
  for (const [i, leaf] of plan.leaves.entries()) {
    const role = roles[i]!;
    if (role.kind === 'state') defineState(g, leaf, states.get(role.name)!);
    else inputNames.push(defineGiven(g, outer, leaf, {name: `in${i}`, iteration, ...(role.kind === 'batch' && {steps})}));
  }
  const origins = lowerCalls(g, plan);
  const own = ownValues(g, [iteration, go, ...[...states.values()].map(({value}) => value)]);
  const next = carried.map((c) => own(g.in(plan.wanted[c.wantedAt]!, c.perm)));
  const results = plan.wanted.slice(0, returned).map((v) => g.any(v));
  g.graph.outputs = [own(go), ...next, ...results.map(({value}) => own(value))];
  g.graph.prune();

  const initial = carried.map((c) => outer.input(`state.${c.name}`, c.type.dtype, physical(c.type.shape, c.perm)));
  const types: OutputType[] = [
    ...carried.map((c) => ({dtype: c.type.dtype, shape: physical(c.type.shape, c.perm)})),
    ...results.map(({value}) => ({dtype: value.dtype, shape: [steps, ...value.dims]})),
  ];
  const count = outer.initializer('count', int64([], [steps]));
  const always = outer.initializer('always', tensor('bool', [], Uint8Array.of(1))); // without it a loop that carries nothing is refused
  const loop = outer.node('Loop', [count, always, ...initial], {body: g.graph}, {name: 'loop', outputs: types.length, types});
  outer.outputs = [...loop.outputs];
  return {
    model: loweredModel(outer, g.graph),
    inputNames: [...inputNames, ...initial.map((v) => v.name)],
    outputNames: outer.outputs.map((v) => v.name),
    layouts: [...carried.map((c) => c.perm), ...results.map(({perm}) => [0, ...perm.map((d) => d + 1)])],
    origins,
  };
}

const stateInput = (g: Lowering, {name, type, perm}: Carried): Value =>
  g.graph.input(`now.${name}`, type.dtype, physical(type.shape, perm));

/** A leaf may be the state in another shape: only one that is stored in TensorFlow.js's order has such views. */
function defineState(g: Lowering, leaf: LazyValue, {value, perm}: Laid): void {
  if (sameShape(physical(leaf.shape, permOf(leaf)), value.dims as number[])) g.define(leaf, value, perm);
  else g.define(leaf, g.reshape(value, leaf.shape));
}

/** A constant is used from outside the loop; a batch is the slice of this iteration. */
function defineGiven(
  g: Lowering,
  outer: Graph,
  leaf: LazyValue,
  {name, iteration, steps}: {name: string; iteration: Value; steps?: number},
): string {
  const shape = physical(leaf.shape, permOf(leaf));
  const given = outer.input(name, leaf.dtype, steps === undefined ? shape : [steps, ...shape]);
  g.define(leaf, steps === undefined ? given : g.op('Gather', [given, iteration], {axis: 0}), permOf(leaf));
  return name;
}

/** An output of the body must be a node's own, and each another. */
function ownValues(g: Lowering, inputs: readonly Value[]): (value: Value) => Value {
  const taken = new Set(inputs);
  return (value) => {
    const isOwn = value.producer !== undefined && g.graph.value(value.name) === value && !taken.has(value);
    const own = isOwn ? value : g.op('Identity', [value]);
    taken.add(own);
    return own;
  };
}
