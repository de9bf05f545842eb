/** BatchNormalization(Conv(x, w, b?)) → Conv(x, w′, b′), where w′ and b′ are expressions that folding computes. Formula: `fuseBatchNorm`. */
import {fuseBatchNorm} from '../../reparam/algebra.js';
import {isConstantExpression} from '../constant-expression.js';
import {any, miss, op, optional, rule} from '../pattern.js';
import {graphOps} from '../tensor-ops.js';

const BATCH_NORM_EPS = 1e-5; // default of the ONNX operator: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html

export const fuseBnIntoConv = rule({
  name: 'fuse-bn-into-conv',
  match: op(
    'BatchNormalization',
    [
      op('Conv', [any('x'), any('weight'), optional(any('bias'))], 'conv', {soleUser: true}),
      any('gamma'),
      any('beta'),
      any('mean'),
      any('variance'),
    ],
    'bn',
  ),
  check({bn, conv}) {
    if (bn.number('training_mode', 0) !== 0) return miss('BatchNormalization is in training mode', bn);
    const computed = [...conv.inputs.slice(1), ...bn.inputs.slice(1)].find((v) => !isConstantExpression(v));
    return computed ? miss(`${computed} depends on the input`, bn) : undefined;
  },
  rewrite({x, weight, bias, gamma, beta, mean, variance, conv, bn}, g) {
    const ops = graphOps(g.graph, () => conv.name);
    const statistics = {gamma, beta, mean, variance, eps: bn.number('epsilon', BATCH_NORM_EPS)};
    const fused = fuseBatchNorm(ops, bias ? {weight, bias} : {weight}, statistics, weight.dims[0] as number);
    return g.like(conv, [x, fused.weight, fused.bias], {}, {name: conv.name});
  },
});
