/** What targets are given: nothing that their parsers refuse, and a word where they read a file but gain nothing from it. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {random} from '../../src/core/random.js';
import {float32} from '../../src/core/tensor.js';
import {recipes} from '../../src/data/recipe.js';
import {type FormOptions, makeModel, prepareStudent} from '../../src/export/make.js';
import type {Calibration, PrecisionContext} from '../../src/export/precision.js';
import type {PrecisionName} from '../../src/export/precisions.js';
import {addAnswers} from '../../src/export/preprocess/answers.js';
import {checkTarget, resizerFor, type TargetName, targetNames} from '../../src/export/targets.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {Graph, type Model, type Value} from '../../src/onnx/graph.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {openSession} from '../../src/onnx/session.js';
import {tinyNetwork} from '../eval/networks.js';
import {PYTHON, testWith} from '../optional.js';
import {resized, tokens} from './foreign.js';

const refusal = (text: string) => expect.objectContaining({code: 'EXPORT_REFUSED', message: expect.stringContaining(text)});

const calibration: Calibration = {
  description: '16 images',
  real: true,
  seen: {images: 16, distinct: 16, classes: undefined},
  async *batches() {
    const {normal} = random('images');
    yield float32([16, 3, 8, 8], Float32Array.from({length: 16 * 192}, normal));
  },
};
const context: PrecisionContext = {calibration, io: 'float32', int8: {method: 'minmax'}};
/** As a user has it: read back from the bytes. */
async function made(precision: PrecisionName, options: FormOptions, student = tinyNetwork()) {
  const {model, notes} = await makeModel(await prepareStudent(student, precision, options), precision, options, context);
  return {model: decodeModel(modelBytes(model)), notes, bytes: modelBytes(model)};
}

const numbers = (value: Value | undefined): number[] =>
  Array.from(value!.initializer!.read().data as ArrayLike<number>, Number);

test('int8 for TensorRT is what its parser asks for: int8 around zero, three inputs, float32 biases; and it runs', async () => {
  const {model, notes, bytes} = await made('int8', {target: 'tensorrt'});
  const all = model.graph.nodes.filter(({opType}) => /^(Q|Deq)uantizeLinear$/.test(opType));
  expect(all.length).toBeGreaterThan(8);
  for (const {inputs} of all) {
    expect([inputs[2]!.dtype, inputs[0]!.dtype === 'float32' || inputs[0]!.dtype === 'int8']).toEqual(['int8', true]);
    expect(numbers(inputs[2]).every((zero) => zero === 0)).toBe(true);
    expect(numbers(inputs[1]).every((scale) => scale > 0)).toBe(true);
    expect(numbers(inputs[1]).length).toBe(numbers(inputs[2]).length);
  }
  const weighted = model.graph.nodes.filter(({opType}) => opType === 'Conv' || opType === 'Gemm');
  expect(weighted.map(({inputs}) => [inputs[1]!.producer!.opType, inputs[2]!.initializer!.dtype])).toEqual([
    ['DequantizeLinear', 'float32'],
    ['DequantizeLinear', 'float32'],
    ['DequantizeLinear', 'float32'],
  ]);
  expect(notes).toContainEqual(expect.stringContaining('float32 biases'));
  const session = await openSession(bytes);
  await session.close();
});

test('int8 for onnxruntime stays what its integer kernels are made for', async () => {
  const {model} = await made('int8', {target: 'openvino'});
  expect(model.graph.nodes.some(({opType, inputs}) => opType === 'QuantizeLinear' && inputs[2]!.dtype === 'uint8')).toBe(true);
  expect(model.graph.nodes.find(({opType}) => opType === 'Conv')!.inputs[2]!.producer!.opType).toBe('DequantizeLinear');
});

test('dynamic int8: refused for TensorRT with the form that is right there, read by OpenVINO', async () => {
  await expect(made('int8-dynamic', {target: 'tensorrt'})).rejects.toThrow(
    refusal("DynamicQuantizeLinear 'flat.q' cannot run there"),
  );
  await expect(made('int8-dynamic', {target: 'tensorrt'})).rejects.toThrow(
    expect.objectContaining({hint: expect.stringContaining('--calibrate')}),
  );
  await made('int8-dynamic', {target: 'openvino'});
});

const withNodes = (lines: string): Model =>
  parseModel(`model opset 17, ir 8, producer "test" "0"
  graph g (%x: f32[1, 4, 8, 8]) -> (%y)
${lines}
`);
/** An activation as integers and back. */
const roundTrip = (type: string, scale: string, zero: string, shape = '[]') =>
  withNodes(`    %s = f32${shape} {${scale}}
    %z = ${type}${shape} {${zero}}
    %q = QuantizeLinear(%x, %s, %z)
    %y = DequantizeLinear(%q, %s, %z)`);
/** A stored bias that is added. */
const storedBias = (type: string, zero: string) =>
  withNodes(`    %b = ${type}[8] {1}
    %s = f32[] {0.5}
    %z = ${type}[] {0}
    %d = DequantizeLinear(%b, %s${zero})
    %y = Add(%x, %d)`);
const loop = () =>
  withNodes(`    %n = i64[] {2}
    %c = bool[] {1}
    %y = Loop(%n, %c, %x) {body = {graph body (%i: i64[], %go: bool[], %v: f32[1, 4, 8, 8]) -> (%go2, %w)
      %go2 = Identity(%go)
      %w = BitShift(%v, %v) {direction = "LEFT"}
    }}`);

function resize(attributes: string): string {
  return `    %s = f32[4] {2}
    %y = Resize(%x, _, %s) {${attributes}}`;
}

test.each<[what: string, model: () => Model, target: TargetName, problem: string | undefined]>([
  ['int8 around zero', () => roundTrip('i8', '0.5', '0'), 'tensorrt', undefined],
  ['a zero point', () => roundTrip('i8', '0.5', '3'), 'tensorrt', 'has the zero point 3'],
  ['uint8', () => roundTrip('u8', '0.5', '0'), 'tensorrt', 'of uint8 numbers'],
  ['a scale of 0', () => roundTrip('i8', '0', '0'), 'tensorrt', 'not positive'],
  ['scales of an activation', () => roundTrip('i8', '0.5', '0', '[4]'), 'tensorrt', '4 scales for an activation'],
  ['a zero point, where it may be', () => roundTrip('u8', '0.5', '3'), 'openvino', undefined],
  ['a bias of int32', () => storedBias('i32', ', %z'), 'tensorrt', 'of int32 numbers'],
  ['no zero point', () => storedBias('i8', ''), 'tensorrt', 'has no zero point'],
  ['a bias of int32, where it may be', () => storedBias('i32', ''), 'openvino', undefined],
  [
    'an operator that it lacks',
    () => withNodes('    %y = Det(%x)'),
    'tensorrt',
    "Det 'y' cannot run there: its parser has no such operator",
  ],
  ['an operator that it lacks', () => withNodes('    %y = Det(%x)'), 'openvino', 'no such operator'],
  ['an operator that a provider lacks', () => withNodes('    %y = Det(%x)'), 'coreml', undefined],
  ['one within a loop', loop, 'tensorrt', "BitShift 'w'"],
  ['a smoothing Resize', () => withNodes(resize('antialias = 1')), 'openvino', 'antialias'],
  ['a smoothing Resize', () => withNodes(resize('antialias = 1')), 'tensorrt', 'antialias'],
  ['a plain Resize', () => withNodes(resize('mode = "linear"')), 'tensorrt', undefined],
  ['computed axes', () => withNodes('    %a = Shape(%x)\n    %y = ReduceSum(%x, %a)'), 'tensorrt', "computes 'a'"],
  ['too many best', () => withNodes('    %k = i64[1] {4000}\n    %y = TopK(%x, %k)'), 'tensorrt', 'the best 4000'],
  [
    'numbers of a Constant',
    () => withNodes('    %c = Constant() {value = f32[1] {2}}\n    %y = Mul(%x, %c)'),
    'tensorrt',
    undefined,
  ],
])('%s (for %#)', (_, model, target, problem) => {
  if (problem === undefined) expect(() => checkTarget(model(), target)).not.toThrow();
  else expect(() => checkTarget(model(), target)).toThrow(refusal(problem));
});

test('text is refused where there is none, with the way out', () => {
  const labels = Array.from({length: 10}, (_, i) => `class ${i}`);
  const model = addAnswers(tinyNetwork(), {softmax: true, topK: 1, labels});
  for (const target of ['tensorrt', 'openvino'] as const)
    expect(() => checkTarget(model, target)).toThrow(refusal('it has no tensors of text'));
  expect(() => checkTarget(model, 'ort-web')).not.toThrow();
  expect(() => resizerFor('tensorrt')).toThrow(refusal('antialiased'));
  expect(resizerFor('openvino')).toBe('matrices');
});

test('operators of other domains are refused where only ONNX is read', () => {
  const graph = new Graph('foreign');
  graph.outputs = [graph.op('Gelu', [graph.input('x', 'float32', [1])], {}, {name: 'odd', domain: 'com.microsoft'})];
  const model = {...tinyNetwork(), graph};
  expect(() => checkTarget(model, 'tensorrt')).toThrow(refusal("operators of 'com.microsoft' are not read"));
  expect(() => checkTarget(model, 'openvino')).not.toThrow();
});

test.each([
  ['tokens', tokens],
  ['a computed size', resized],
])('shapes that a foreign network computes are known for a fixed batch: %s', async (_, foreign) => {
  const {model, notes} = await makeModel(foreign(), 'fp32', {target: 'coreml'}, context);
  expect(model.graph.outputs[0]!.shape).toEqual([1, 10]);
  expect(notes.join()).not.toContain('shapes that depend on numbers');
  const any = await makeModel(foreign(), 'fp32', {target: 'tensorrt'}, context);
  expect(any.model.graph.outputs[0]!.shape).toEqual(['N', 10]);
});

test('a foreign model that cannot be raised to the opset of the target keeps its own', async () => {
  const model = withNodes('    %y = NonZero(%x)');
  expect((await prepareStudent(model, 'fp32', {target: 'coreml'})).opset).toBe(17);
});

const embedded = (target: TargetName): FormOptions => ({
  target,
  embed: {recipe: {...recipes.cnn(8), resize: 9}},
});
const inferShapes = `
import sys, onnx
model = onnx.shape_inference.infer_shapes(onnx.load(sys.argv[1]), strict_mode=True)
fixed = {v.name for v in [*model.graph.value_info, *model.graph.output]
         if v.type.tensor_type.HasField('shape') and all(d.HasField('dim_value') for d in v.type.tensor_type.shape.dim)}
print(*(o for node in model.graph.node for o in node.output if o not in fixed and not node.name.startswith('prepare/')))
print(sum(o in fixed for node in model.graph.node for o in node.output))
`;
describe.each(['ort-mobile', 'coreml'] as const)('%s with the preparation inside', (target) => {
  test('is given its shape where the network begins, and the preparation is said to have none', async () => {
    const {model, notes} = await made('fp32', embedded(target));
    const border = model.graph.nodes.find(({name}) => name === 'prepare/Reshape')!;
    expect(Array.from(border.inputs[1]!.initializer!.read().data as BigInt64Array, Number)).toEqual([1, 3, 8, 8]);
    expect(notes).toContainEqual(expect.stringMatching(/photographs may have any size until they are prepared: .* to the CPU/));
  });

  testWith('python3-onnx', 'shape inference of ONNX itself finds every shape behind it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gpd-targets-'));
    try {
      writeFileSync(join(folder, 'm.onnx'), (await made('fp32', embedded(target))).bytes);
      const {stdout, stderr} = spawnSync(PYTHON, ['-c', inferShapes, join(folder, 'm.onnx')], {encoding: 'utf8'});
      const [open, count] = stdout.split('\n');
      expect([stderr, open]).toEqual(['', '']);
      expect(Number(count)).toBeGreaterThan(6);
    } finally {
      rmSync(folder, {recursive: true, force: true});
    }
  });
});

test('what a target reads but gains nothing from is said', async () => {
  expect((await made('fp32', {target: 'tensorrt', opset: 20})).notes).toEqual([expect.stringContaining('8.6 reads up to 17')]);
  expect((await made('fp32', {target: 'coreml', batch: 'dynamic'})).notes).toEqual([
    expect.stringContaining('--batch 1 fixes it'),
  ]);
  const {notes} = await made('int8', {target: 'coreml'});
  expect(notes).toContainEqual(expect.stringMatching(/lacks QuantizeLinear \d+, DequantizeLinear \d+/));
  expect(notes).toContainEqual(expect.stringContaining('fp16 is the precision to gain from'));
  const prepared = {embed: {recipe: recipes.cnn(8)}};
  expect((await made('fp32', {...prepared, target: 'openvino'})).notes.join()).toContain('float64 in float32');
  expect((await made('fp32', {...prepared, target: 'ort-web'})).notes.join()).not.toContain('float64 in float32');
  for (const target of targetNames) expect((await made('fp32', {target})).notes).toEqual([]);
});

test('weights in 7 bits wherever int8 stores them; without it a note says what may happen on which processors', async () => {
  const reduced = {...context, int8: {...context.int8, weightRange: 'reduced' as const}};
  for (const precision of ['int8', 'int8-dynamic'] as const) {
    const {model, notes} = await makeModel(tinyNetwork(), precision, {}, reduced);
    const weights = model.graph.initializers.filter(
      ({dtype, initializer}) => dtype === 'int8' && initializer!.shape.length > 1,
    );
    expect(weights.length).toBeGreaterThan(0);
    for (const weight of weights) expect(Math.max(...numbers(weight).map(Math.abs))).toBe(63);
    expect(notes.join()).not.toContain('saturate');
    expect((await makeModel(tinyNetwork(), precision, {}, context)).notes.join()).toContain('saturate');
  }
});

test.each(['fp32', 'fp16'] as const)(
  '%s: a form is checked, not proven: the proof is that of the student it is made of',
  async (precision) => {
    const student = tinyNetwork();
    student.metadata.set('gpd.proof.bound', '1e-4').set('gpd.arch', 'tiny');
    const {model} = await makeModel(student, precision, {}, context);
    expect([...model.metadata.keys()].sort()).toEqual(['gpd.arch', 'gpd.precision', 'gpd.student.proof.bound']);
  },
);
