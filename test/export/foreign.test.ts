/** Networks of other exporters: Constant nodes, shapes that are computed, types that no shape tells. */

import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fillUniform} from '../../src/core/random.js';
import {float32, type Tensor, toFloat32} from '../../src/core/tensor.js';
import {emulateHalf} from '../../src/export/half/emulate.js';
import {measureRanges} from '../../src/export/half/measure.js';
import {toHalf} from '../../src/export/half/to-half.js';
import {withInputShape} from '../../src/export/input-shape.js';
import {quantiseModel} from '../../src/export/quantise/quantise.js';
import {cloneModel} from '../../src/onnx/clone-model.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import type {Model} from '../../src/onnx/graph.js';
import {measureShapes} from '../../src/onnx/measure-shapes.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {openSession} from '../../src/onnx/session.js';
import {printModel} from '../../src/onnx/text.js';
import {expectLogits} from '../close.js';
import {inFolder, run} from '../commands/program.js';
import {reluSix, resized, tokens} from './foreign.js';
import {exactRange} from './quantise/exact-range.js';

function images(count: number, side: number): Tensor<'float32'> {
  const data = new Float32Array(count * 3 * side * side);
  fillUniform(data, 'foreign', -1.7, 1.7);
  return float32([count, 3, side, side], data);
}

/** As `gpd export` reads a file: Constants are initializers, shapes are measured. */
async function read(model: Model): Promise<Model> {
  const decoded = decodeModel(modelBytes(model), {constants: 'initializers'});
  await measureShapes(decoded);
  return decoded;
}

async function logitsOf(model: Model, input: Tensor): Promise<Float32Array> {
  const session = await openSession(modelBytes(model));
  const results = await session.run(new Map([[model.graph.inputs[0]!.name, input]]), [model.graph.outputs[0]!.name]);
  await session.close();
  return toFloat32([...results.values()][0]!).data;
}

const networks: readonly [name: string, make: () => Model][] = [
  ['ReLU6', reluSix],
  ['ReLU6, opset 11', () => reluSix(11)],
  ['a Resize to computed sizes', resized],
  ['tokens with a dynamic batch', tokens],
];

test('the numbers of every kind of Constant become an initializer when a model is read for rewriting; text stays, and the file is shown as it is', () => {
  const model = parseModel(`
    graph constants (%x: f32[2]) -> (%y, %text)
      %tensor = Constant() {value = f32[2] {1, 2}}
      %float = Constant() {value_float = 0.5}
      %floats = Constant() {value_floats = [0.5, -1.0]}
      %int = Constant() {value_int = 3}
      %ints = Constant() {value_ints = [1, 2]}
      %text: str[2] = Constant() {value_strings = ["a", "b"]}
      %y: f32? = Custom(%x, %tensor, %float, %floats, %int, %ints)`);
  const bytes = modelBytes(model);
  expect(decodeModel(bytes).graph.nodes).toHaveLength(7);
  const {graph} = decodeModel(bytes, {constants: 'initializers'});
  expect(graph.nodes.map(({name}) => name)).toEqual(['text', 'y']);
  const numbers = graph.initializers.map(({name, initializer}) => [
    name,
    initializer!.dtype,
    ...initializer!.shape,
    ...initializer!.read().data,
  ]);
  expect(numbers).toEqual([
    ['tensor', 'float32', 2, 1, 2],
    ['float', 'float32', 0.5],
    ['floats', 'float32', 2, 0.5, -1],
    ['int', 'int64', 3n],
    ['ints', 'int64', 2, 1n, 2n],
  ]);
});

test('a type follows from types where no shape is known; a computed Reshape has no shape, least of all that of its input', () => {
  const {graph} = decodeModel(
    modelBytes(
      parseModel(`
    graph types (%x: f32[N, 4, 4]) -> (%y)
      %none: f32? = Mystery(%x)
      %shape: i64? = Shape(%none)
      %cast: i64? = Cast(%none) {to = 7}
      %both: i64? = Concat(%shape, %cast) {axis = 0}
      %small: bool? = Less(%none, %x)
      %either: f32? = Where(%small, %none, %x)
      %top: f32?, %places: i64? = TopK(%none, %shape)
      %reshaped: f32? = Reshape(%x, %shape)
      %y: f32? = Mul(%reshaped, %either)`),
    ),
  );
  const types = Object.fromEntries(graph.nodes.flatMap(({outputs}) => outputs).map(({name, dtype}) => [name, dtype]));
  expect(types).toMatchObject({
    shape: 'int64',
    cast: 'int64',
    both: 'int64',
    small: 'bool',
    either: 'float32',
    places: 'int64',
  });
  expect(graph.value('reshaped')!.shape).toBeUndefined();
});

test('shapes that the network computes are measured: what grows with the batch is N', async () => {
  const {graph} = await read(tokens());
  expect(graph.value('all')!.shape).toEqual(['N', 17, 12]);
  expect(graph.value('goal')!.shape).toEqual([3]);
  expect((await read(resized())).graph.value('conv')!.shape).toEqual(['N', 8, 14, 14]);
  const fixed = await read(cloneModel(tokens(), () => [1, 3, 16, 16]));
  expect(fixed.graph.value('all')!.shape).toEqual([1, 17, 12]);
});

test('a model that does not take the batches that it says it takes is refused', async () => {
  const model = parseModel(`
    graph one (%x: f32[N, 4]) -> (%y)
      %one = i64[2] {1, 4}
      %two = i64[1] {4}
      %shape: i64[1] = Shape(%two)
      %fixed: f32[1, 4] = Reshape(%x, %one)
      %y: f32? = Expand(%fixed, %shape)`);
  await expect(read(model)).rejects.toMatchObject({code: 'EXPORT_REFUSED', message: expect.stringContaining('says it takes')});
});

describe.each(networks)('%s', (_, make) => {
  test('float16: the bytes that are written are opened by onnxruntime, and the emulation agrees', async () => {
    const model = await read(make());
    const input = images(4, Number(model.graph.inputs[0]!.dims[2]));
    const calibration = {
      description: 'images',
      real: false,
      seen: {images: 16, distinct: 16, classes: undefined},
      batches: async function* () {
        yield input;
      },
    };
    const {model: half} = toHalf(model, await measureRanges(model, calibration), 'float32');
    const exact = await logitsOf(make(), input);
    expectLogits(await logitsOf(half, input), exact, 0.02, 'float16 keeps 11 bits');
    expectLogits(await logitsOf(emulateHalf(half), input), exact, 0.02, 'float16 keeps 11 bits');
  });

  test('gpd export writes it in float32, float16 and dynamic int8, and each file runs', () =>
    inFolder(async (folder) => {
      writeFileSync(join(folder, 'net.onnx'), modelBytes(make()));
      const args = [
        '--precision',
        'fp32,fp16,int8-dynamic',
        '--format',
        'onnx,ort',
        '--rounds',
        '0',
        '-o',
        'out.onnx',
        '--json',
      ];
      const {status, stdout} = await run(['export', 'net.onnx', ...args], {cwd: folder});
      const {forms} = JSON.parse(stdout);
      expect([status, forms.map((f: {written: boolean}) => f.written)]).toEqual([0, [true, true, true, true, true, true]]);
      for (const {path, precision, check} of forms) {
        if (precision === 'fp16') expect(check.file.relative).toBeLessThan(0.02);
        const session = await openSession(join(folder, path));
        await session.close();
      }
    }));
});

test('with another batch, shapes that the network computes are measured anew: for a target that wants one image', async () => {
  const one = await withInputShape(await read(tokens()), {batch: 1});
  expect([one.graph.value('all')!.shape, one.graph.outputs[0]!.shape]).toEqual([
    [1, 17, 12],
    [1, 10],
  ]);
});

test('int8 of tokens with a dynamic batch: every value keeps its type and shape', async () => {
  const {weightRange} = await exactRange();
  const model = await read(tokens());
  const batches = async function* () {
    yield images(8, 16);
  };
  const {model: int8} = await quantiseModel(model, {calibration: batches, weightRange});
  expect(int8.graph.nodes.some(({opType}) => opType === 'QuantizeLinear')).toBe(true);
  expectLogits(await logitsOf(int8, images(4, 16)), await logitsOf(tokens(), images(4, 16)), 0.2, 'int8 keeps 7 bits a layer');
  expect(printModel(decodeModel(modelBytes(int8)))).toContain('Expand');
});

test('NaN is no agreement: nothing is written, in any precision', () =>
  inFolder(async (folder) => {
    const model = reluSix();
    const nan = float32([8], [Number.NaN, 1, 1, 1, 1, 1, 1, 1]);
    const bias = model.graph.initializer('nan', nan);
    model.graph.replaceUses(model.graph.value('b')!, bias);
    writeFileSync(join(folder, 'net.onnx'), modelBytes(model));
    const {status, stdout} = await run(
      ['export', 'net.onnx', '--precision', 'fp32,fp16,int8-dynamic', '--rounds', '0', '-o', 'out.onnx', '--json'],
      {cwd: folder},
    );
    const {ok, forms} = JSON.parse(stdout);
    expect([status, ok]).toEqual([1, false]);
    for (const {written, check} of forms)
      expect([written, check.problem]).toEqual([false, 'logits are NaN or infinite on 32 of 32 images']);
  }));
