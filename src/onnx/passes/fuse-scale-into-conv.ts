/** A constant factor before or after a convolution moves into its kernel. Only the dynamic teacher has such factors, around its GELUs. */
import {isConstantExpression} from '../constant-expression.js';
import type {Node} from '../graph.js';
import {any, miss, op, optional, rule, scalar} from '../pattern.js';
import {graphOps} from '../tensor-ops.js';

const constantKernel = (conv: Node) =>
  conv.inputs.slice(1).every(isConstantExpression) ? undefined : miss('the kernel depends on the input', conv);
const conv = op('Conv', [any('x'), any('weight'), optional(any('bias'))], 'conv', {soleUser: true});

/** s·(w∗x + b) = (s·w)∗x + s·b */
export const fuseScaleIntoConv = rule({
  name: 'fuse-scale-into-conv',
  match: op('Mul', [conv, scalar('factor')], 'scale'),
  check: ({conv}) => constantKernel(conv),
  rewrite({x, weight, bias, factor, conv}, g) {
    const ops = graphOps(g.graph, () => conv.name);
    const times = ops.scalar(factor);
    return g.like(conv, [x, ops.mul(weight, times), bias && ops.mul(bias, times)], {}, {name: conv.name});
  },
});

/** w∗(x/s) + b = (w/s)∗x + b */
export const fuseDivisorIntoConv = rule({
  name: 'fuse-divisor-into-conv',
  match: op(
    'Conv',
    [op('Div', [any('x'), scalar('divisor')], 'div', {soleUser: true}), any('weight'), optional(any('bias'))],
    'conv',
  ),
  check: ({conv}) => constantKernel(conv),
  rewrite({x, weight, bias, divisor, conv}, g) {
    const ops = graphOps(g.graph, () => conv.name);
    return g.like(conv, [x, ops.div(weight, ops.scalar(divisor)), bias], {}, {name: conv.name});
  },
});
