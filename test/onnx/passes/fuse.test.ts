import fc from 'fast-check';
import type {GpdError} from '../../../src/core/error.js';
import {foldConstants} from '../../../src/onnx/fold-constants.js';
import {parseModel} from '../../../src/onnx/parse-text.js';
import {rewritePass, runPasses} from '../../../src/onnx/pass.js';
import {fuseBnIntoConv} from '../../../src/onnx/passes/fuse-bn-into-conv.js';
import {fuseDivisorIntoConv, fuseScaleIntoConv} from '../../../src/onnx/passes/fuse-scale-into-conv.js';
import {sliceInitializers} from '../../../src/onnx/passes/slice-initializers.js';
import {applyRules} from '../../../src/onnx/rewrite.js';
import {expectSameFunction, opTypes} from '../same-function.js';

const fuse = rewritePass('fuse', [fuseBnIntoConv, fuseScaleIntoConv, fuseDivisorIntoConv]);

/** Conv → BatchNormalization with hostile numbers: statistics far from 0 and 1, any groups, stride, padding, with or without bias. */
const convBn = fc.record({
  groups: fc.constantFrom(1, 2, 4),
  perGroup: fc.integer({min: 1, max: 3}),
  outPerGroup: fc.integer({min: 1, max: 3}),
  kernel: fc.constantFrom(1, 3),
  stride: fc.integer({min: 1, max: 2}),
  pad: fc.integer({min: 0, max: 2}),
  bias: fc.boolean(),
  eps: fc.constantFrom(1e-5, 0.1, 1e-5 / 9),
});

test('BatchNormalization disappears into any convolution before it', async () => {
  await fc.assert(
    fc.asyncProperty(convBn, async ({groups, perGroup, outPerGroup, kernel, stride, pad, bias, eps}) => {
      const [channels, out] = [groups * perGroup, groups * outPerGroup];
      const text = `
        graph g (%x: f32[N, ${channels}, 7, 7]) -> (%y)
        %w = f32[${out}, ${perGroup}, ${kernel}, ${kernel}] ~1
        %b = f32[${out}] ~2
        %gamma = f32[${out}] ~3
        %beta = f32[${out}] ~4
        %mean = f32[${out}] ~5
        %variance = f32[${out}] ~+6
        %c = Conv(%x, %w${bias ? ', %b' : ''}) {kernel_shape = [${kernel}, ${kernel}], strides = [${stride}, ${stride}], pads = [${pad}, ${pad}, ${pad}, ${pad}], group = ${groups}}
        %y = BatchNormalization(%c, %gamma, %beta, %mean, %variance) {epsilon = ${eps}}`;
      const {model, reports} = await expectSameFunction(text, [fuse, foldConstants]);
      expect(opTypes(model)).toEqual(['Conv']);
      expect(reports.map((r) => r.changes)).toEqual([1, 2]);
      expect(await runPasses(model, [fuse, foldConstants])).toMatchObject([{changes: 0}, {changes: 0}]);
    }),
    {numRuns: 15, seed: 1},
  );
});

const small = (body: string) => `graph g (%x: f32[N, 2, 5, 5]) -> (%y)
  %w = f32[4, 2, 3, 3] ~1
  %b = f32[4] ~2
  %v = f32[4] ~+3
  ${body}`;
const kernel = '{kernel_shape = [3, 3]}';

test('factors before and after a convolution move into its kernel', async () => {
  const text = small(`%r = f32[] {3}
    %d = Div(%x, %r)
    %c = Conv(%d, %w, %b) ${kernel}
    %y = Mul(%c, %r)`);
  const {model} = await expectSameFunction(text, [fuse, foldConstants]);
  expect(opTypes(model)).toEqual(['Conv']);
});

test.each<[why: string, body: string]>([
  [
    'the convolution has a second user',
    `%c = Conv(%x, %w, %b) ${kernel}
    %n = BatchNormalization(%c, %v, %v, %v, %v)
    %y = Add(%c, %n)`,
  ],
  [
    'the statistics are those of the batch',
    `%c = Conv(%x, %w, %b) ${kernel}
    %y = BatchNormalization(%c, %v, %v, %v, %v) {training_mode = 1}`,
  ],
  [
    'the factor is not a scalar',
    `%f = f32[4, 1, 1] ~1
    %c = Conv(%x, %w, %b) ${kernel}
    %y = Mul(%c, %f)`,
  ],
])('nothing is fused where %s', (_, body) => {
  expect(applyRules(parseModel(small(body)).graph, [fuseBnIntoConv, fuseScaleIntoConv, fuseDivisorIntoConv]).changes).toBe(0);
});

test('a leading slice of a constant is read in part, any other slice is left', async () => {
  const text = (from: number) => `graph g (%x: f32[N, 2, 5, 5]) -> (%y)
    %stored = f32[8, 4, 3, 3] ~1
    %from = i64[2] {${from}, 0}
    %to = i64[2] {${from + 4}, 2}
    %axes = i64[2] {0, 1}
    %w = Slice(%stored, %from, %to, %axes)
    %y = Conv(%x, %w) ${kernel}`;
  const pass = rewritePass('slice', [sliceInitializers]);
  const {model, reports} = await expectSameFunction(text(0), [pass]);
  expect([reports[0]!.changes, opTypes(model)]).toEqual([1, ['Conv']]);
  expect((await expectSameFunction(text(1), [pass])).reports[0]!.changes).toBe(0);
});

test('folding rounds once: a chain of float32 operations that would lose everything keeps its result', async () => {
  const model = parseModel(`graph g (%x: f32[1]) -> (%y)
    %big = f32[1] {16777216}
    %one = f32[1] {1}
    %a = Add(%big, %one)
    %b = Sub(%a, %big)
    %y = Mul(%x, %b)`);
  await runPasses(model, [foldConstants]);
  const folded = model.graph.nodes[0]!.inputs[1]!;
  expect([...(folded.initializer!.read().data as Float32Array)]).toEqual([1]); // 0 in float32
});

test.each([
  ['NaN', Number.NaN],
  ['infinity', Number.POSITIVE_INFINITY],
])('%s in a stored tensor is refused by its name', async (_, value) => {
  const model = parseModel(`graph g (%x: f32[1]) -> (%y)
    %fine = f32[3] {1, 2, 3}
    %p = Mul(%x, %fine)
    %y = Add(%p, %p)`);
  const bad = model.graph.initializer('layer1.weight', {dtype: 'float32', shape: [3], data: Float32Array.of(1, value, 2)});
  const negated = model.graph.op('Neg', [bad]);
  model.graph.nodes[0]!.inputs[1]!.users.clear();
  model.graph.nodes[0]!.inputs = [model.graph.inputs[0], negated];
  negated.users.add(model.graph.nodes[0]!);
  model.graph.prune();
  await expect(runPasses(model, [foldConstants])).rejects.toMatchObject({
    code: 'WEIGHTS_NOT_FINITE',
    at: 'layer1.weight',
  } satisfies Partial<GpdError>);
});
