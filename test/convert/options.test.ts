/** Opsets, batches and names: the same network in every wrapping that can be asked for. */
import {filled} from '../../fixtures/fill.js';
import {buildModel, type Emit, MAX_WRITTEN_OPSET, MIN_OPSET} from '../../src/convert/build.js';
import {float32, type Tensor} from '../../src/core/tensor.js';
import {recognise} from '../../src/models/recognise.js';
import {runReference} from '../../src/models/reference.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {fixtureCase, fixtureCases, fixtureNamed} from '../cases.js';
import {expectLogits} from '../close.js';
import {logitsOf} from './run-model.js';

const opsets = Array.from({length: MAX_WRITTEN_OPSET - MIN_OPSET + 1}, (_, i) => MIN_OPSET + i);
const because = 'float32 layers and one rounding of each weight, against float64';

describe.each(opsets)('opset %i', (opset) => {
  test.each(fixtureCases)('%s', async (_, open) => {
    const c = open();
    const recognised = c.recognise();
    for (const emit of ['student', 'teacher'] as const) {
      const {model} = await buildModel(recognised, emit, {opset});
      expect(model.opset).toBe(opset);
      expectLogits((await logitsOf(model, c.images)).data, c.logits[emit], 1e-5, because, emit);
    }
  });
});

const open = (file: string) => fixtureCase(fixtureNamed(file), 'weights');
const files = [
  'resnet18_r2_orepa_ema.pth.tar',
  'rvt_r2_orepa.pth.tar',
  'rvt_plus_mask.pth.tar',
  'cifar_resnet20_r2_orepa.pth.tar',
];
const emits: readonly Emit[] = ['student', 'teacher', 'training-teacher'];

/** The first `count` images, again and again. */
function imagesFor(images: Tensor, count: number): Tensor<'float32'> {
  const [available, ...shape] = images.shape as [number, ...number[]];
  const size = images.data.length / available;
  const data = Float32Array.from({length: count * size}, (_, i) => Number(images.data[i % images.data.length]));
  return float32([count, ...shape], data);
}

test.each(files)('%s: an image has the same logits in any company', async (file) => {
  const c = open(file);
  for (const emit of emits) {
    const {model} = await buildModel(c.recognise(), emit);
    const [one, three] = [await logitsOf(model, imagesFor(c.images, 1)), await logitsOf(model, imagesFor(c.images, 3))];
    const classes = one.shape[1]!;
    expect([one.shape, three.shape]).toEqual([
      [1, classes],
      [3, classes],
    ]);
    const near = 'the runtime may sum in another order';
    expectLogits(three.data.subarray(0, classes), one.data, 1e-5, near);
    expectLogits(three.data.subarray(2 * classes), one.data, 1e-5, near);
  }
});

test.each(files)('%s: a fixed batch is that and no other', async (file) => {
  const c = open(file);
  for (const emit of emits) {
    const {model} = await buildModel(c.recognise(), emit, {batch: 2});
    expect(model.graph.inputs[0]!.shape![0]).toBe(2);
    expect(model.graph.outputs[0]!.shape![0]).toBe(2);
    const logits = c.logits[emit.endsWith('student') ? 'student' : 'teacher'];
    expectLogits((await logitsOf(model, c.images)).data, logits, 1e-5, because, emit);
  }
});

test.each(files)('%s: names of input and output, kept through the bytes', async (file) => {
  const {model} = await buildModel(open(file).recognise(), 'student', {inputName: 'pixels', outputName: 'scores'});
  const read = decodeModel(modelBytes(model));
  expect([read.graph.inputs.map((v) => v.name), read.graph.outputs.map((v) => v.name)]).toEqual([['pixels'], ['scores']]);
  expect(read.graph.inputs[0]!.shape![0]).toBe('N');
});

test.each([
  ['resnet18_r2_orepa_ema.pth.tar', 96],
  ['mobilenet_plain.pth.tar', 193],
  ['rvt_r2_orepa.pth.tar', 128],
  ['cifar_resnet20_r2_orepa.pth.tar', 40],
] as const)('%s: another image size', async (file, imageSize) => {
  const c = open(file);
  const {stateDict, form, arch} = c.recognise();
  const recognised = recognise(stateDict, new Map([['gpd_ratio', form.ratio]]), {...c.flags, imageSize});
  const images = filled(file, 'input', [1, 3, imageSize, imageSize]).read();
  for (const emit of ['student', 'teacher'] as const) {
    const {model} = await buildModel(recognised, emit);
    const expected = runReference(arch, stateDict, form, emit, images);
    expectLogits((await logitsOf(model, images)).data, expected.data, 1e-5, because, emit);
  }
});
