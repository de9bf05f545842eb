import {foldConstants} from '../../../src/onnx/fold-constants.js';
import {parseModel} from '../../../src/onnx/parse-text.js';
import {type Pass, rewritePass} from '../../../src/onnx/pass.js';
import {foldScoreScale, fuseAttention} from '../../../src/onnx/passes/attention.js';
import {lowerForOpset} from '../../../src/onnx/passes/lower.js';
import {applyRules} from '../../../src/onnx/rewrite.js';
import {expectSameFunction, opTypes} from '../same-function.js';

/** Two heads of size three over five tokens, as the training form writes attention. */
const attention = (opset: number, masked = false) => `model opset ${opset}
  graph g (%x: f32[N, 5, 6]) -> (%y)
  %w = f32[6, 18] ~1
  %b = f32[18] ~2
  %scale = f32[] {0.577}
  %mask = f32[2, 5, 5] ~+3
  %shape = i64[5] {0, 0, 3, 2, 3}
  %sizes = i64[3] {1, 1, 1}
  %target = i64[3] {0, 0, 6}
  %product = MatMul(%x, %w)
  %qkv = Add(%product, %b)
  %parts = Reshape(%qkv, %shape)
  %heads = Transpose(%parts) {perm = [2, 0, 3, 1, 4]}
  %q, %k, %v = Split(%heads, %sizes) {axis = 0}
  %keys = Transpose(%k) {perm = [0, 1, 2, 4, 3]}
  %scores = MatMul(%q, %keys)
  %scaled = Mul(%scores, %scale)
  ${masked ? '%masked = Mul(%scaled, %mask)' : ''}
  %softmax = Softmax(${masked ? '%masked' : '%scaled'}) {axis = -1}
  %attended = MatMul(%softmax, %v)
  %merge = Transpose(%attended) {perm = [1, 3, 0, 2, 4]}
  %y = Reshape(%merge, %target)`;

test('from opset 23 on, attention is one operator', async () => {
  const {model} = await expectSameFunction(attention(23), [rewritePass('fuse', [fuseAttention])]);
  expect(opTypes(model)).toEqual(['MatMul', 'Add', 'Split', 'Attention']);
});

test('a mask that multiplies the scores keeps attention apart', () => {
  expect(applyRules(parseModel(attention(23, true)).graph, [fuseAttention]).changes).toBe(0);
});

test.each([false, true])('the factor of the scores moves into the projection (masked: %s)', async (masked) => {
  const {model, reports} = await expectSameFunction(attention(20, masked), [
    rewritePass('fold', [foldScoreScale]),
    foldConstants,
  ]);
  expect(reports[0]!.changes).toBe(1);
  expect(model.graph.value('scale')).toBeUndefined();
});

test.each([
  [13, ['ReduceMean', 'Sub', 'Pow', 'ReduceMean', 'Add', 'Sqrt', 'Div', 'Mul', 'Add', 'Div', 'Erf', 'Add', 'Mul', 'Mul']],
  [17, ['LayerNormalization', 'Div', 'Erf', 'Add', 'Mul', 'Mul']],
  [20, ['LayerNormalization', 'Gelu']],
])('for opset %i, newer operators are written in older ones', async (opset, expected) => {
  // The same body at opset 20 is what it must compute; only the number of the opset differs.
  const text = `model opset 20
    graph g (%x: f32[N, 4, 8]) -> (%y)
    %gamma = f32[8] ~1
    %beta = f32[8] ~2
    %n = LayerNormalization(%x, %gamma, %beta) {axis = -1, epsilon = 1e-06}
    %y = Gelu(%n)`;
  const lower: Pass = {
    name: 'lower',
    run: (model) => {
      model.opset = opset;
      return lowerForOpset(model);
    },
  };
  const {model} = await expectSameFunction(text, [lower]);
  expect(opTypes(model)).toEqual(expected);
});
