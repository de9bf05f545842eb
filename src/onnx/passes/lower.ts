/** Operators that an older opset does not have, written in those that it has. onnxruntime knows these forms and fuses them again. */

import type {Model, Value} from '../graph.js';
import {any, ints as intsOf, miss, op, optional, type Rule, rule} from '../pattern.js';
import {applyRules} from '../rewrite.js';
import {intsInitializer, scalarInitializer} from '../tensor-ops.js';
import {raiseFrom, reductions} from './raise.js';

/** Gelu(x) → x·½·(1 + erf(x/√2)), before opset 20. */
const lowerGelu = rule({
  name: 'lower-gelu',
  match: op('Gelu', [any('x')], 'gelu'),
  rewrite({x, gelu}, g) {
    const name = (step: string) => ({name: `${gelu.name}.${step}`});
    const erf = g.op('Erf', [g.op('Div', [x, scalarInitializer(g.graph, Math.SQRT2)], {}, name('div'))], {}, name('erf'));
    const shifted = g.op('Mul', [x, g.op('Add', [erf, scalarInitializer(g.graph, 1)], {}, name('add'))], {}, name('mul'));
    return g.op('Mul', [shifted, scalarInitializer(g.graph, 0.5)]);
  },
});

const LAYER_NORM_EPS = 1e-5; // https://onnx.ai/onnx/operators/onnx__LayerNormalization.html

/** LayerNormalization over the last dimension → (x − μ)/√(σ² + ε)·γ + β, before opset 17. */
const lowerLayerNormalization = rule({
  name: 'lower-layer-normalization',
  match: op('LayerNormalization', [any('x'), any('gamma'), optional(any('beta'))], 'norm'),
  rewrite({x, gamma, beta, norm}, g) {
    const name = (step: string) => ({name: `${norm.name}.${step}`});
    const mean = (v: typeof x, step: string) => g.op('ReduceMean', [v], {axes: [-1], keepdims: 1}, name(step));
    const centred = g.op('Sub', [x, mean(x, 'mean')], {}, name('centre'));
    const variance = mean(g.op('Pow', [centred, scalarInitializer(g.graph, 2)], {}, name('square')), 'variance');
    const eps = scalarInitializer(g.graph, norm.number('epsilon', LAYER_NORM_EPS));
    const deviation = g.op('Sqrt', [g.op('Add', [variance, eps], {}, name('eps'))], {}, name('sqrt'));
    const scaled = g.op('Mul', [g.op('Div', [centred, deviation], {}, name('div')), gamma], {}, name('scale'));
    return beta ? g.op('Add', [scaled, beta]) : scaled;
  },
});

/** Attention(q, k, v) on [N, T, C] with as many heads for all three → softmax(scale·q·kᵀ)·v with the heads beside the batch, before opset 23. */
const lowerAttention = rule({
  name: 'lower-attention',
  match: op('Attention', [any('q'), any('k'), any('v')], 'attention'),
  check({attention}) {
    const plain = attention.number('is_causal', 0) === 0 && attention.number('softcap', 0) === 0;
    if (!plain) return miss('it is causal or capped', attention);
    return attention.number('q_num_heads', 0) === attention.number('kv_num_heads', 0)
      ? undefined
      : miss('heads of keys and queries differ in number', attention);
  },
  rewrite({q, k, v, attention}, g) {
    const heads = attention.number('q_num_heads', 1);
    const headSize = Number(q.dims[2]) / heads;
    const name = (step: string) => ({name: `${attention.name}.${step}`});
    const split = (x: Value, step: string, perm: readonly number[]) => {
      const parts = g.op('Reshape', [x, intsInitializer(g.graph, [0, 0, heads, headSize])], {}, name(`${step}.split`));
      return g.op('Transpose', [parts], {perm}, name(step));
    };
    const [queries, keys] = [split(q, 'queries', [0, 2, 1, 3]), split(k, 'keys', [0, 2, 3, 1])];
    const scale = scalarInitializer(g.graph, attention.number('scale', 1 / Math.sqrt(headSize)));
    const scores = g.op('Mul', [g.op('MatMul', [queries, keys], {}, name('scores')), scale], {}, name('scaled'));
    const weights = g.op('Softmax', [scores], {axis: -1}, name('softmax'));
    const attended = g.op('MatMul', [weights, split(v, 'values', [0, 2, 1, 3])], {}, name('attended'));
    const merged = g.op('Transpose', [attended], {perm: [0, 2, 1, 3]}, name('merge'));
    return g.op('Reshape', [merged, intsInitializer(g.graph, [0, 0, heads * headSize])]);
  },
});

/** The axes moved from an attribute to an input in opset 18. */
const lowerReductions = rule({
  name: 'lower-reductions',
  match: op(reductions, [any('x'), intsOf('axes')], 'reduction'),
  rewrite: ({x, axes, reduction}, g) => g.op(reduction.opType, [x], {axes, keepdims: reduction.number('keepdims', 1)}),
});
/** Which rule serves opsets below which, newest operators first. */
const lowerings: readonly {below: number; rule: Rule}[] = [
  {below: 23, rule: lowerAttention},
  {below: 20, rule: lowerGelu},
  {below: 18, rule: lowerReductions},
  {below: 17, rule: lowerLayerNormalization},
];
/** Rewrites what the model's opset does not have. Gives the number of changes. */
export function lowerForOpset({graph, opset}: Model): number {
  const needed = lowerings.filter(({below}) => opset < below).map((l) => l.rule);
  return needed.length > 0 ? applyRules(graph, needed).changes : 0;
}

/** As `lowerForOpset`, and rewrites forms of the opset `from` that the model's has no more. */
export const adaptToOpset = (model: Model, from: number): number => lowerForOpset(model) + raiseFrom(from, model);
