/** Operators that an older opset does not have, written in those that it has. onnxruntime knows these forms and fuses them again. */

import type {Model} from '../graph.js';
import {any, op, optional, type Rule, rule} from '../pattern.js';
import {applyRules} from '../rewrite.js';
import {scalar} from '../tensor-ops.js';

/** Gelu(x) → x·½·(1 + erf(x/√2)), before opset 20. */
const lowerGelu = rule({
  name: 'lower-gelu',
  match: op('Gelu', [any('x')], 'gelu'),
  rewrite({x, gelu}, g) {
    const name = (step: string) => ({name: `${gelu.name}.${step}`});
    const erf = g.op('Erf', [g.op('Div', [x, scalar(g.graph, Math.SQRT2)], {}, name('div'))], {}, name('erf'));
    const shifted = g.op('Mul', [x, g.op('Add', [erf, scalar(g.graph, 1)], {}, name('add'))], {}, name('mul'));
    return g.op('Mul', [shifted, scalar(g.graph, 0.5)]);
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
    const variance = mean(g.op('Pow', [centred, scalar(g.graph, 2)], {}, name('square')), 'variance');
    const eps = scalar(g.graph, norm.number('epsilon', LAYER_NORM_EPS));
    const deviation = g.op('Sqrt', [g.op('Add', [variance, eps], {}, name('eps'))], {}, name('sqrt'));
    const scaled = g.op('Mul', [g.op('Div', [centred, deviation], {}, name('div')), gamma], {}, name('scale'));
    return beta ? g.op('Add', [scaled, beta]) : scaled;
  },
});

/** Which rule serves opsets below which. */
const lowerings: readonly {below: number; rule: Rule}[] = [
  {below: 20, rule: lowerGelu},
  {below: 17, rule: lowerLayerNormalization},
];

/** Rewrites what the model's opset does not have. Gives the number of changes. */
export function lowerForOpset({graph, opset}: Model): number {
  const needed = lowerings.filter(({below}) => opset < below).map((l) => l.rule);
  return needed.length > 0 ? applyRules(graph, needed).changes : 0;
}
