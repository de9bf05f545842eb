/** Models in the words of older opsets: raised to what a precision needs, computing the same; what cannot be raised is refused. */
import {fillUniform} from '../../src/core/random.js';
import {float32, toFloat32} from '../../src/core/tensor.js';
import {prepareStudent} from '../../src/export/make.js';
import {toOpset} from '../../src/export/opset.js';
import {precisions} from '../../src/export/precisions.js';
import {quantiseDynamically} from '../../src/export/quantise/dynamic.js';
import {modelBytes} from '../../src/onnx/encode.js';
import type {Model} from '../../src/onnx/graph.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {openSession} from '../../src/onnx/session.js';
import {expectClose} from '../close.js';
import {tinyNetwork} from '../eval/networks.js';
import {reluSix} from './foreign.js';

async function outputsOf(model: Model, shape: readonly number[]): Promise<Float32Array> {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  fillUniform(data, 'opset', -2, 2);
  const session = await openSession(modelBytes(model));
  const results = await session.run(new Map([['x', float32(shape, data)]]));
  await session.close();
  return toFloat32([...results.values()][0]!).data;
}

/** The node in the opset, the opset to raise it to. */
const old: readonly [opset: number, node: string, to: number][] = [
  [11, '%y = Softmax(%x)', 13],
  [11, '%y = Softmax(%x) {axis = 2}', 13],
  [11, '%y = LogSoftmax(%x) {axis = 3}', 17],
  [11, '%y: f32? = ReduceSum(%x) {axes = [2, 3], keepdims = 0}', 13],
  [13, '%y: f32? = ReduceMax(%x) {axes = [1], keepdims = 1}', 18],
  [11, '%u: f32? = Unsqueeze(%x) {axes = [0, 3]}\n %y: f32? = Squeeze(%u) {axes = [0]}', 13],
  [11, '%a: f32?, %b: f32? = Split(%x) {axis = 1, split = [1, 3]}\n %y: f32? = Neg(%b)', 13],
  [10, '%y: f32? = Clip(%x) {min = -0.5, max = 0.25}', 13],
  [10, '%y: f32? = Pad(%x) {pads = [0, 0, 1, 2, 0, 0, 0, 1], value = 0.5, mode = "constant"}', 13],
  [9, '%y: f32? = Slice(%x) {starts = [1, 0], ends = [3, -1], axes = [1, 3]}', 13],
  [9, '%s = f32[4] {1, 1, 2, 2}\n %y: f32? = Upsample(%x, %s) {mode = "nearest"}', 13],
  [10, '%s = f32[4] {1, 1, 2, 2}\n %y: f32? = Resize(%x, %s) {mode = "linear"}', 13],
  [11, '%d, %m: bool? = Dropout(%x) {ratio = 0.5}\n %y = Relu(%d)', 13],
];

test.each(old)('opset %i: %s computes the same in opset %i', async (opset, node, to) => {
  const model = parseModel(`model opset ${opset}, ir 6, producer "old" "1"
    graph old (%x: f32[2, 4, 5, 6]) -> (%y)
      ${node}`);
  const raised = toOpset(model, {opset: to});
  expect(raised.opset).toBe(to);
  const [want, have] = [await outputsOf(model, [2, 4, 5, 6]), await outputsOf(raised, [2, 4, 5, 6])];
  expectClose(have, want, {rtol: 1e-6, because: 'the same function, in float32'});
});

test('int8 and float16 raise a model of opset 11 by themselves; dynamic int8 leaves it', async () => {
  expect((await prepareStudent(reluSix(11), 'int8', {})).opset).toBe(13);
  expect((await prepareStudent(reluSix(11), 'fp16', {})).opset).toBe(14);
  expect((await prepareStudent(reluSix(11), 'int8-dynamic', {})).opset).toBe(11);
});

test.each([
  ['an operator that is not known', 11, '%y: f32? = Strange(%x)', /int8 needs opset 13 .*Strange 'y'/],
  ['an opset before broadcasting', 6, '%y = Relu(%x)', /int8 needs opset 13/],
])('%s is refused, with the node and what to do', async (_, opset, node, message) => {
  const model = parseModel(`model opset ${opset}, ir 6, producer "old" "1"
    graph old (%x: f32[2, 4]) -> (%y)
      ${node}`);
  await expect(prepareStudent(model, 'int8', {})).rejects.toMatchObject({
    code: 'EXPORT_REFUSED',
    message: expect.stringMatching(message),
    hint: expect.stringContaining('opset 13'),
  });
});

describe('networks that have fewer bits already', () => {
  const calibration = {
    description: 'images',
    real: true,
    seen: {images: 16, distinct: 16, classes: undefined},
    batches: async function* () {
      yield float32([16, 3, 8, 8], new Float32Array(16 * 192).fill(1));
    },
  };
  const context = {calibration, io: 'float32' as const, int8: {}};
  const halved = parseModel(`graph half (%input: f32[N, 3, 8, 8]) -> (%y)
    %w = f16[8, 3, 3, 3] ~1
    %x: f16[N, 3, 8, 8] = Cast(%input) {to = 10}
    %c: f16[N, 8, 6, 6] = Conv(%x, %w)
    %y: f32[N, 8, 6, 6] = Cast(%c) {to = 1}`);
  const quantised = quantiseDynamically(tinyNetwork()).model;
  const weightsAlone = parseModel(`graph weights (%input: f32[N, 3, 8, 8]) -> (%c)
    %w = i8[8, 3, 3, 3] ~1
    %s = f32[] {0.1}
    %d: f32[8, 3, 3, 3] = DequantizeLinear(%w, %s)
    %c: f32[N, 8, 6, 6] = Conv(%input, %d)`);

  test.each(['fp16', 'int8', 'int8-dynamic'] as const)('%s of them is refused in words', async (precision) => {
    for (const [model, problem] of [
      [halved, 'in half precision already'],
      [quantised, 'quantised already'],
      [weightsAlone, "DequantizeLinear 'd' says that the network is quantised already"],
    ] as const)
      await expect(precisions[precision].make(model, context)).rejects.toMatchObject({
        code: 'EXPORT_REFUSED',
        message: expect.stringContaining(problem),
        hint: expect.stringContaining('float32 model'),
      });
  });

  test('int8 of one with a branch is refused in words', async () => {
    const branched = parseModel(`graph branched (%x: f32[N, 3, 8, 8], %yes: bool[]) -> (%y)
      %c: f32[N, 3, 8, 8] = Relu(%x)
      %y: f32[N, 3, 8, 8] = If(%yes) {
        then_branch = {graph yes () -> (%m) %m = Mul(%c, %c)},
        else_branch = {graph no () -> (%n) %n = Add(%c, %c)}
      }`);
    await expect(precisions.int8.make(branched, context)).rejects.toMatchObject({
      code: 'EXPORT_REFUSED',
      message: "int8: If 'y' holds a graph of its own, which cannot be put on integers here",
    });
  });
});
