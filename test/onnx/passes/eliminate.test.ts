import * as ort from 'onnxruntime-node';
import {modelBytes} from '../../../src/onnx/encode.js';
import {parseGraph, parseModel} from '../../../src/onnx/parse-text.js';
import {eliminateRules} from '../../../src/onnx/passes/eliminate.js';
import {applyRules} from '../../../src/onnx/rewrite.js';
import {expectRewrite} from '../rewriting.js';

const graph = (...body: string[]) => `graph g (%x: f32[N, 2, 3]) -> (%y)\n${body.join('\n')}`;
const around = (...body: string[]) => graph('%a = Relu(%x)', ...body, '%y = Relu(%b)');

describe.each<[name: string, body: string[]]>([
  ['Identity', ['%b = Identity(%a)']],
  ['Dropout', ['%b = Dropout(%a)']],
  ['Dropout in inference mode', ['%r = f32[] {0.5}', '%t = bool[] {0}', '%b = Dropout(%a, %r, %t)']],
  ['Mul by one', ['%one = f32[] {1}', '%b = Mul(%a, %one)']],
  ['Mul by ones, in front', ['%one = f32[1, 3] {1}', '%b = Mul(%one, %a)']],
  ['Div by one', ['%one = f32[1] {1}', '%b = Div(%a, %one)']],
  ['Add of zeros', ['%zero = f32[3] {0}', '%b = Add(%zero, %a)']],
  ['Sub of zero', ['%zero = f32[] {0}', '%b = Sub(%a, %zero)']],
  ['Transpose', ['%b = Transpose(%a) {perm = [0, 1, 2]}']],
  ['Reshape', ['%to = i64[3] {-1, 2, 3}', '%b = Reshape(%a, %to)']],
  ['Cast', ['%b = Cast(%a) {to = 1}']],
  ['Slice', ['%from = i64[1] {0}', '%to = i64[1] {2}', '%axes = i64[1] {1}', '%b = Slice(%a, %from, %to, %axes)']],
  ['Slice of an open dimension', ['%from = i64[1] {0}', '%to = i64[1] {9223372036854775807}', '%b = Slice(%a, %from, %to)']],
  ['Pad', ['%none = i64[6] {0}', '%b = Pad(%a, %none)']],
  ['Concat', ['%b = Concat(%a) {axis = 1}']],
])('eliminated: %s', (_, body) => {
  test('in the middle', () => {
    expectRewrite(eliminateRules, around(...body), graph('%a = Relu(%x)', '%y = Relu(%a)'), 1);
  });
  test('at the end, where the output keeps its name', () => {
    const last = body.map((line) => line.replace('%b', '%y'));
    expectRewrite(eliminateRules, graph('%a = Relu(%x)', ...last), graph('%y = Relu(%x)'), 1);
  });
});

test.each<[name: string, body: string[], reason: RegExp]>([
  ['Dropout that trains', ['%r = f32[] {0.5}', '%t = bool[] {1}', '%b = Dropout(%a, %r, %t)'], /training mode/],
  ['Mul by nearly one', ['%c = f32[3] {1, 1, 1.0000001}', '%b = Mul(%a, %c)'], /not 1 everywhere/],
  ['Mul by ones that broadcasts', ['%c = f32[4, 1, 1, 1] {1}', '%b = Mul(%a, %c)'], /broadcasts/],
  ['Div of one', ['%c = f32[] {1}', '%b = Div(%c, %a)'], /not a constant/],
  ['Sub from zero', ['%c = f32[] {0}', '%b = Sub(%c, %a)'], /not a constant/],
  ['Transpose of the last two', ['%b = Transpose(%a) {perm = [0, 2, 1]}'], /permuted/],
  ['Transpose that reverses', ['%b = Transpose(%a)'], /permuted/],
  ['Reshape', ['%to = i64[2] {-1, 3}', '%b = Reshape(%a, %to)'], /shape changes/],
  ['Cast to float16', ['%b = Cast(%a) {to = 10}'], /float32 is cast to float16/],
  ['Cast of what an unknown operator gives', ['%u: f32? = Shape(%a)', '%b: f32? = Cast(%u) {to = 1}'], /is cast to/],
  ['Slice of a part', ['%f = i64[1] {0}', '%t = i64[1] {2}', '%n = i64[1] {-1}', '%b = Slice(%a, %f, %t, %n)'], /cut off/],
  [
    'Slice with steps',
    ['%f = i64[1] {0}', '%t = i64[1] {9}', '%n = i64[1] {1}', '%s = i64[1] {2}', '%b = Slice(%a, %f, %t, %n, %s)'],
    /cut off/,
  ],
  ['Pad', ['%p = i64[6] {0, 0, 1, 0, 0, 0}', '%b = Pad(%a, %p)'], /something is added/],
  ['Concat of two', ['%b = Concat(%a, %a) {axis = 1}'], /2 inputs, 1 are expected/],
])('kept: %s', (_, body, reason) => {
  const {changes, rules} = applyRules(parseGraph(around(...body)), eliminateRules);
  expect(changes).toBe(0);
  expect([...rules.values()].map((r) => String(r.nearest)).join('\n')).toMatch(reason);
});

test('a mask that is used keeps its Dropout', () => {
  const used = parseGraph('graph g (%x: f32[2]) -> (%y, %m)\n %a = Relu(%x)\n %b, %m = Dropout(%a)\n %y = Relu(%b)');
  const {changes, rules} = applyRules(used, eliminateRules);
  expect(changes).toBe(0);
  expect(String(rules.get('eliminate-dropout')!.nearest)).toMatch(/gives nothing for the graph output %m/);
});

test('Constant nodes become initializers', () => {
  expectRewrite(
    eliminateRules,
    graph(
      '%c = Constant() {value = f32[3] {1, 2, 3}}',
      '%s: f32[] = Constant() {value_float = 2.0}',
      '%a = Mul(%x, %c)',
      '%y = Add(%a, %s)',
    ),
    graph('%c = f32[3] {1, 2, 3}', '%s = f32[] {2}', '%a = Mul(%x, %c)', '%y = Add(%a, %s)'),
    2,
  );
});

test('onnxruntime computes the same before and after', async () => {
  const body = [
    '%one = f32[] {1}',
    '%zeros = f32[3] {0}',
    '%w = f32[2, 3] ~1',
    '%n = f32[1] {3}',
    '%same = i64[3] {0, 2, 3}',
    '%none = i64[6] {0}',
    '%from = i64[2] {0, 0}',
    '%to = i64[2] {2, 9223372036854775807}',
    '%axes = i64[2] {1, 2}',
    '%a = Identity(%x)',
    '%b = Mul(%one, %a)',
    '%c = Sub(%b, %zeros)',
    '%d = Mul(%c, %w)',
    '%e = Reshape(%d, %same)',
    '%f = Transpose(%e) {perm = [0, 1, 2]}',
    '%g = Pad(%f, %none)',
    '%h = Add(%g, %n)',
    '%i = Slice(%h, %from, %to, %axes)',
    '%j = Concat(%i) {axis = 0}',
    '%k = Dropout(%j)',
    '%y = Cast(%k) {to = 1}',
  ];
  const model = parseModel(graph(...body));
  const x = new ort.Tensor(
    'float32',
    Float32Array.from({length: 12}, (_, i) => i - 5.5),
    [2, 2, 3],
  );
  const run = async () => {
    const session = await ort.InferenceSession.create(modelBytes(model), {graphOptimizationLevel: 'disabled'});
    return [...((await session.run({x}))['y']!.data as Float32Array)];
  };
  const before = await run();
  expect(applyRules(model.graph, eliminateRules).changes).toBe(10);
  expect(model.graph.nodes.map((n) => n.opType)).toEqual(['Mul', 'Add']);
  expect(await run()).toEqual(before);
});
