/** The two ways in which attention gets smaller: as one operator where the opset has it, else without the factor of its scores. */
import {float32} from '../../core/tensor.js';
import {isConstantExpression} from '../constant-expression.js';
import type {Node, Value} from '../graph.js';
import {any, ints, miss, op, rule, scalar} from '../pattern.js';
import {graphOps, intsInitializer as intsOf} from '../tensor-ops.js';

/** q·kᵀ·scale with q, k, v split from one projection: [1, N, heads, T, headSize] each. */
const projection = op('Add', [op('MatMul', [any('x'), any('weight')], 'product', {soleUser: true}), any('bias')], 'qkv', {
  soleUser: true,
});
const split = op(
  'Split',
  [
    op('Transpose', [op('Reshape', [projection, ints('shape')], 'reshape', {soleUser: true})], 'heads', {soleUser: true}),
    any('sizes'),
  ],
  'split',
);
const scores = op(
  'Mul',
  [op('MatMul', [split, op('Transpose', [any('key')], 'keys')], 'scores', {soleUser: true}), scalar('scale')],
  'scaled',
  {soleUser: true},
);

const isPlainLayout = (heads: Node, shape: readonly number[]) =>
  shape.length === 5 && heads.numbers('perm').join() === '2,0,3,1,4';

/** softmax(scale·q·kᵀ)·v, heads merged → Attention(q, k, v) on [N, T, C]. https://onnx.ai/onnx/operators/onnx__Attention.html */
export const fuseAttention = rule({
  name: 'fuse-attention',
  match: op(
    'Reshape',
    [
      op(
        'Transpose',
        [op('MatMul', [op('Softmax', [scores], 'softmax', {soleUser: true}), any('value')], 'attended', {soleUser: true})],
        'merge',
        {soleUser: true},
      ),
      any('target'),
    ],
    'merged',
  ),
  check({heads, shape, split, key, value}) {
    if (!isPlainLayout(heads, shape)) return miss('heads are not laid out as one block of q, k, v', heads);
    return split.outputs[1] === key && split.outputs[2] === value
      ? undefined
      : miss('k and v are not of the same projection', split);
  },
  rewrite({qkv, shape, scale, merged}, g) {
    const [heads, headSize] = shape.slice(3) as [number, number];
    const channels = heads * headSize;
    const parts = g.node(
      'Split',
      [qkv.output, intsOf(g.graph, [channels, channels, channels])],
      {axis: -1},
      {name: `${merged.name}.split`, outputs: 3},
    );
    return g.op('Attention', parts.outputs, {q_num_heads: heads, kv_num_heads: heads, scale});
  },
});

/** The factor of the scores moves into the query's rows of the projection: s·(q·kᵀ) = (s·q)·kᵀ. */
export const foldScoreScale = rule({
  name: 'fold-score-scale',
  match: scores,
  check({weight, bias, scale, shape, qkv}) {
    if (scale === 1) return miss('there is no factor', qkv);
    if (shape.length !== 5) return miss('several blocks of q, k, v share the projection', qkv);
    return isConstantExpression(weight) && isConstantExpression(bias)
      ? undefined
      : miss('the projection depends on the input', qkv);
  },
  rewrite({x, weight, bias, scale, shape, qkv, product, scores}, g): Value {
    const channels = shape[3]! * shape[4]!;
    const factors = float32([3 * channels], new Float32Array(3 * channels).fill(1).fill(scale, 0, channels));
    const ops = graphOps(g.graph, () => qkv.name);
    const factor = g.initializer(`${qkv.name}/scale`, factors);
    const scaled = g.op('MatMul', [x, ops.mul(weight, factor)], {}, {name: product.name});
    // q, k and v all read the new projection; k and v are multiplied by one.
    const projected = g.op('Add', [scaled, ops.mul(bias, factor)], {}, {name: qkv.name});
    g.graph.replaceUses(qkv.output, projected);
    g.graph.takeName(projected, qkv.output);
    return scores.output;
  },
});
